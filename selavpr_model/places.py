# SPDX-License-Identifier: MIT
"""When two keyframes show different places."""

from __future__ import annotations

import math

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.poses import rotation_angles
from selavpr_model.records import Place


def are_distinct(a: Place, b: Place, config: RecognizerConfig) -> bool:
    """True when they are too far apart, in position or direction, to be mistaken harmlessly.

    Places without poses are compared by their stamps, and always differ across sessions.
    """
    if a.pose is None or b.pose is None:
        apart_s = abs(a.stamp_ns - b.stamp_ns) * 1e-9
        return a.session != b.session or apart_s > config.distinct_time_s
    distance = float(np.linalg.norm(a.pose[:3, 3] - b.pose[:3, 3]))
    if distance > config.distinct_radius_m:
        return True
    angle = float(rotation_angles(a.pose[None, :3, :3], b.pose[:3, :3])[0])
    return angle > math.radians(config.distinct_angle_deg)
