# SPDX-License-Identifier: MIT
"""What the node says about itself: diagnostics, status, log."""
