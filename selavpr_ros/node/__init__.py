# SPDX-License-Identifier: MIT
"""The node's parts."""
