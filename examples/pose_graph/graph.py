# SPDX-License-Identifier: MIT
"""A pose graph of keyframes, odometry between them and loop closures; GTSAM solves it."""

from __future__ import annotations

from dataclasses import dataclass, field
import itertools
import math

import gtsam
import numpy as np


@dataclass(frozen=True)
class Noise:
    """Standard deviations. `place`: a closure without a pose says "about here, looking the same
    way"; that is an assumption of this example, not a measurement.
    """

    odometry_m_per_m: float = 0.03
    odometry_deg_per_m: float = 0.6
    least_m: float = 0.02
    least_deg: float = 0.2
    place_m: float = 1.5
    place_deg: float = 10.0
    start: float = 1e-4


@dataclass
class PoseGraph:
    """Poses by key, in that order; closures: key, key, T_from_to or None, covariance."""

    noise: Noise = field(default_factory=Noise)
    odometry: dict[int, np.ndarray] = field(default_factory=dict)
    closures: list[tuple[int, int, np.ndarray | None, np.ndarray | None]] = field(
        default_factory=list
    )

    @property
    def keys(self) -> list[int]:
        return sorted(self.odometry)

    def add_keyframe(self, key: int, T_odom_camera: np.ndarray) -> None:
        self.odometry[key] = T_odom_camera

    def add_closure(
        self,
        key_from: int,
        key_to: int,
        T_from_to: np.ndarray | None = None,
        covariance: np.ndarray | None = None,
    ) -> None:
        """T_from_to: (4, 4) where it is metric, None for the same place; covariance: (6, 6) of
        x, y, z, rx, ry, rz along the axes of `from`, as LoopClosure has it.
        """
        self.closures.append((key_from, key_to, T_from_to, covariance))

    def optimise(self) -> dict[int, np.ndarray]:
        """Key -> (4, 4) T_odom_camera, corrected.

        Graduated non-convexity with truncated least squares: a wrong closure loses its weight
        altogether, where a kernel alone would let it pull a little.
        """
        graph, initial, keys = gtsam.NonlinearFactorGraph(), gtsam.Values(), self.keys
        for key, pose in self.odometry.items():
            initial.insert(key, gtsam.Pose3(pose))
        start = gtsam.noiseModel.Isotropic.Sigma(6, self.noise.start)
        graph.add(gtsam.PriorFactorPose3(keys[0], initial.atPose3(keys[0]), start))
        for before, after in itertools.pairwise(keys):
            graph.add(self._odometry_factor(initial, before, after))
        trusted = list(range(graph.size()))
        for closure in self.closures:
            if closure[0] in self.odometry and closure[1] in self.odometry:
                graph.add(self._closure_factor(*closure))
        parameters = gtsam.GncLMParams()
        parameters.setKnownInliers(trusted)
        solved = gtsam.GncLMOptimizer(graph, initial, parameters).optimize()
        return {key: solved.atPose3(key).matrix() for key in keys}

    def _odometry_factor(self, initial: gtsam.Values, a: int, b: int) -> gtsam.BetweenFactorPose3:
        motion = initial.atPose3(a).between(initial.atPose3(b))
        metres, noise = float(np.linalg.norm(motion.translation())), self.noise
        turn = math.radians(noise.least_deg + noise.odometry_deg_per_m * metres)
        shift = noise.least_m + noise.odometry_m_per_m * metres
        return gtsam.BetweenFactorPose3(a, b, motion, _diagonal(turn, shift))

    def _closure_factor(
        self, a: int, b: int, T: np.ndarray | None, covariance: np.ndarray | None
    ) -> gtsam.BetweenFactorPose3:
        if T is None:
            loose = _diagonal(math.radians(self.noise.place_deg), self.noise.place_m)
            return gtsam.BetweenFactorPose3(a, b, gtsam.Pose3(), loose)
        if covariance is None:
            return gtsam.BetweenFactorPose3(a, b, gtsam.Pose3(T), _diagonal(0.05, 0.2))
        order = [3, 4, 5, 0, 1, 2]  # GTSAM has rotation first
        along = turned(covariance, T[:3, :3].T)  # and measures along the axes of `to`
        model = gtsam.noiseModel.Gaussian.Covariance(along[np.ix_(order, order)])
        return gtsam.BetweenFactorPose3(a, b, gtsam.Pose3(T), model)


def turned(covariance: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(6, 6) of x, y, z, rx, ry, rz along other axes; rotation: R_new_old (3, 3)."""
    both = np.kron(np.eye(2), rotation)
    return both @ covariance @ both.T


def _diagonal(turn_rad: float, shift_m: float) -> gtsam.noiseModel.Diagonal:
    return gtsam.noiseModel.Diagonal.Sigmas(np.array([turn_rad] * 3 + [shift_m] * 3))


def trajectory_error(poses: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square of the distances after the best rigid alignment, m; (n, 4, 4) each."""
    a, b = poses[:, :3, 3], truth[:, :3, 3]
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, _, vt = np.linalg.svd(a.T @ b)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    rotation = vt.T @ flip @ u.T
    return float(np.sqrt(np.mean(np.sum((a @ rotation.T - b) ** 2, axis=1))))
