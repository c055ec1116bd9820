# SPDX-License-Identifier: MIT
"""Recordings as published: one file a layout, each with `fits(path)` and `load(path, body)`."""
