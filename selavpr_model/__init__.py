# SPDX-License-Identifier: MIT
"""Visual place recognition with SelaVPR: model, map and recogniser. Imports no ROS."""
