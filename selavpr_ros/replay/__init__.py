# SPDX-License-Identifier: MIT
"""Recordings through the recogniser, SLAM and the live node; the demo."""
