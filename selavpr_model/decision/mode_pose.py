# SPDX-License-Identifier: MIT
"""Where a mode of the belief says that the camera is: mean and spread of its keyframes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation


def mode_pose(
    share: Mapping[int, float], poses: np.ndarray, keyframe: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pose (4, 4) and covariance (6, 6) as in Recognition.

    share: row -> probability, of rows with a pose in the map; poses: (N, 4, 4); keyframe: (6, 6)
    of a keyframe's pose taken for that of the camera, along the axes of the keyframe's camera.
    """
    rows = np.fromiter(share, np.int64, len(share))
    weights = np.fromiter(share.values(), float, len(share))
    weights = weights / weights.sum()
    T = np.eye(4)
    T[:3, 3] = weights @ poses[rows, :3, 3]
    turns = Rotation.from_matrix(poses[rows, :3, :3])
    T[:3, :3] = turns.mean(weights).as_matrix()
    off = np.empty((len(rows), 6))
    off[:, :3] = poses[rows, :3, 3] - T[:3, 3]
    off[:, 3:] = (turns * Rotation.from_matrix(T[:3, :3]).inv()).as_rotvec()
    axes = np.kron(np.eye(2), T[:3, :3])
    return T, (off * weights[:, None]).T @ off + axes @ keyframe @ axes.T
