# SPDX-License-Identifier: MIT
"""The only modules that touch fields of ROS messages."""
