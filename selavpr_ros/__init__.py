# SPDX-License-Identifier: MIT
"""The ROS 2 side of selavpr: the localizer node and the tools that read bags."""
