# SPDX-License-Identifier: MIT
"""Places in memory: their features, poses and thumbnails, and how they are retrieved."""
