# SPDX-License-Identifier: MIT
"""Rigid transforms: (4, 4) float64 matrices, and position with quaternion (x, y, z, w)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation, Slerp


def pose_matrix(xyz: Sequence[float], quaternion: Sequence[float]) -> np.ndarray:
    """Position in m and quaternion (x, y, z, w) of any length but 0 -> (4, 4)."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    T[:3, 3] = xyz
    return T


def position_quaternion(T: np.ndarray) -> tuple[float, ...]:
    """x, y, z, qx, qy, qz, qw with qw >= 0, so that equal poses are equal numbers."""
    quaternion = Rotation.from_matrix(T[:3, :3]).as_quat(canonical=True)
    return tuple(float(v) for v in (*T[:3, 3], *quaternion))


def inverse(T: np.ndarray) -> np.ndarray:
    """(4, 4) T_a_b -> T_b_a."""
    back = np.eye(4)
    back[:3, :3] = T[:3, :3].T
    back[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return back


def rotation_angles(rotations: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, 3, 3) against (3, 3) -> (N,) angles in radians, [0, pi]."""
    traces = np.einsum('nij,ij->n', rotations, other)
    return np.arccos(np.clip((traces - 1.0) / 2.0, -1.0, 1.0))


class PoseTrack:
    """Poses over time, interpolated: straight lines for positions, slerp for rotations."""

    def __init__(self, stamps_ns: Sequence[int], poses: Sequence[np.ndarray]) -> None:
        """Samples in any order; of several with one stamp the first counts."""
        self.stamps, first = np.unique(np.asarray(stamps_ns, np.int64), return_index=True)
        self.poses = [poses[i] for i in first]

    def at(self, stamp_ns: int, max_gap_ns: int) -> np.ndarray | None:
        """(4, 4) at the stamp; None when no sample is within `max_gap_ns` of it."""
        if not self.poses:
            return None
        after = int(np.searchsorted(self.stamps, stamp_ns))
        before, after = max(after - 1, 0), min(after, len(self.poses) - 1)
        gaps = [abs(int(self.stamps[i]) - stamp_ns) for i in (before, after)]
        if min(gaps) > max_gap_ns:
            return None
        if before == after or 0 in gaps:
            return self.poses[before if gaps[0] <= gaps[1] else after]
        return pose_between(self.poses[before], self.poses[after], gaps[0] / sum(gaps))

    def latest(self, stamp_ns: int, max_age_ns: int) -> np.ndarray | None:
        """(4, 4) of the last sample at or before the stamp; None when it is older than allowed.

        What a live node can know when the image arrives; so live and replayed frames agree.
        """
        at = int(np.searchsorted(self.stamps, stamp_ns, side='right')) - 1
        if at < 0 or stamp_ns - int(self.stamps[at]) > max_age_ns:
            return None
        return self.poses[at]


def relative(
    T_map_a: np.ndarray, T_map_b: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """T_a_b and, along the axes of a, the covariance (6, 6) that is given along the map's."""
    turn = np.kron(np.eye(2), T_map_a[:3, :3].T)
    return inverse(T_map_a) @ T_map_b, turn @ covariance @ turn.T


def pose_between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """(4, 4) on the way from a (share 0) to b (share 1)."""
    T = np.eye(4)
    T[:3, 3] = (1.0 - share) * a[:3, 3] + share * b[:3, 3]
    rotations = Rotation.from_matrix(np.stack([a[:3, :3], b[:3, :3]]))
    T[:3, :3] = Slerp([0.0, 1.0], rotations)(share).as_matrix()
    return T
