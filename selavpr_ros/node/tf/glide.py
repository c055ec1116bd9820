# SPDX-License-Identifier: MIT
"""From one transform to another in small steps. Knows no ROS."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.decision.pose_filter import difference


def glide(T: np.ndarray, goal: np.ndarray, most_m: float, most_rad: float) -> np.ndarray:
    """(4, 4) from T towards the goal, by no more than that."""
    e = difference(T, goal)
    length, turn = float(np.linalg.norm(e[:3])), float(np.linalg.norm(e[3:]))
    if length <= most_m and turn <= most_rad:
        return goal
    share = min(most_m / max(length, 1e-12), most_rad / max(turn, 1e-12), 1.0)
    T_next = np.eye(4)
    T_next[:3, :3] = Rotation.from_rotvec(share * e[3:]).as_matrix() @ T[:3, :3]
    T_next[:3, 3] = T[:3, 3] + share * e[:3]
    return T_next
