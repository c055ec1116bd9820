# SPDX-License-Identifier: MIT
"""Where places lie, from odometry and loop closures: the pose graph and the alignment of runs."""
