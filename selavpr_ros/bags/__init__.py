# SPDX-License-Identifier: MIT
"""Recordings read and written without a ROS installation."""
