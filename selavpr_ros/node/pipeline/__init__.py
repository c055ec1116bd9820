# SPDX-License-Identifier: MIT
"""The work behind the node, without rclpy: the worker and what it runs."""
