# SPDX-License-Identifier: MIT
"""Transforms: those that are heard, and map -> odom, which is sent."""
