# SPDX-License-Identifier: MIT
"""Codes of local features and how mutual nearest neighbours among them are counted."""
