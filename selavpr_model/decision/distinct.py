# SPDX-License-Identifier: MIT
"""When two keyframes show different places."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.poses import rotation_angles
from selavpr_model.records import Place


def are_distinct(a: Place, b: Place, config: RecognizerConfig) -> bool:
    """True when they are too far apart, in position or direction, to be mistaken harmlessly.

    Places without poses are compared by their stamps, and always differ across sessions. So do
    poses of two frames, which say nothing about each other's distance: a rival too many costs an
    answer, while a stranger taken for the place itself would speak for what may be wrong.
    """
    if a.pose is None or b.pose is None:
        apart_s = abs(a.stamp_ns - b.stamp_ns) * 1e-9
        return a.session != b.session or apart_s > config.distinct_time_s
    if a.frame != b.frame:
        return True
    distance = float(np.linalg.norm(a.pose[:3, 3] - b.pose[:3, 3]))
    if distance > config.distinct_radius_m:
        return True
    angle = float(rotation_angles(a.pose[None, :3, :3], b.pose[:3, :3])[0])
    return angle > math.radians(config.distinct_angle_deg)


def distinct_from(a: Place, others: Sequence[Place], config: RecognizerConfig) -> np.ndarray:
    """(n,) bool: are_distinct of `a` and each of the others, without a call for each."""
    posed = np.array([a.pose is not None and b.pose is not None for b in others], bool)
    apart = np.empty(len(others), bool)
    apart[~posed] = [
        are_distinct(a, b, config) for b, known in zip(others, posed, strict=True) if not known
    ]
    if a.pose is not None and posed.any():
        known = [b for b in others if b.pose is not None]
        poses = np.array([b.pose for b in known])
        strange = np.array([b.frame != a.frame for b in known])
        far = np.linalg.norm(poses[:, :3, 3] - a.pose[:3, 3], axis=1) > config.distinct_radius_m
        turned = rotation_angles(poses[:, :3, :3], a.pose[:3, :3])
        apart[posed] = strange | far | (turned > math.radians(config.distinct_angle_deg))
    return apart
