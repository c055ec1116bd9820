# SPDX-License-Identifier: MIT
"""Folders become frames and data sets; pose files become poses."""
