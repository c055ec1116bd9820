# SPDX-License-Identifier: MIT
"""A map that grows: the session, its odometry track and its loop closures."""
