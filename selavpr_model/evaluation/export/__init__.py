# SPDX-License-Identifier: MIT
"""What other programs read: trajectories, pairs of images, poses of maps."""
