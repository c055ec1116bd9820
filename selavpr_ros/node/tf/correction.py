# SPDX-License-Identifier: MIT
"""map -> odom as a filtered estimate: a pose in SE(3) with its covariance. Knows no ROS.

Recognition tells the robot's pose coarsely and often, odometry its motion finely. The estimate is
a Kalman filter's over what odometry does not know. Its error is told at the robot, along the axes
of the map: at the origin of odometry a degree would be many metres.
"""

from __future__ import annotations

from dataclasses import dataclass
import enum
import math

import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.poses import inverse

DRIFT_M = 0.1  # sigma that odometry gains in a metre; it grows with the root of the way
DRIFT_RAD = math.radians(0.5)
SAME_VIEW_M = 3.0  # on a way this long answers share their error: they name the same keyframe
SAME_VIEW_RAD = math.radians(20.0)
LEAST_SHARE = 0.01  # of an independent answer, from a robot that stands still
GATE = 22.46  # chi square of 6 degrees of freedom, 0.999
AGREEING = 5  # answers outside of the gate that agree with each other: the robot is there


class Verdict(enum.Enum):
    """What became of one answer."""

    FIRST = 'first'
    TAKEN = 'taken'
    OUTSIDE = 'outside'
    MOVED = 'moved'


@dataclass(slots=True, eq=False)
class Estimate:
    """T_map_body at T_odom_body, both (4, 4), with the covariance (6, 6) of the former."""

    T_map_body: np.ndarray
    T_odom_body: np.ndarray
    covariance: np.ndarray
    answers: int = 1

    @property
    def T_map_odom(self) -> np.ndarray:
        return np.asarray(self.T_map_body @ inverse(self.T_odom_body))

    def moved_to(self, T_odom_body: np.ndarray) -> Estimate:
        """Where odometry says that it went."""
        T_map_body = self.T_map_odom @ T_odom_body
        way = T_map_body[:3, 3] - self.T_map_body[:3, 3]
        length, turn = _size(inverse(self.T_odom_body) @ T_odom_body)
        J = np.eye(6)
        J[:3, 3:] = np.cross(np.eye(3), -way)
        drift = length * np.array([DRIFT_M**2] * 3 + [DRIFT_RAD**2] * 3)
        drift[3:] += (0.01 * turn) ** 2
        P = J @ self.covariance @ J.T + np.diag(drift)
        return Estimate(T_map_body, T_odom_body, P, self.answers)

    def distance(self, T_map_body: np.ndarray, covariance: np.ndarray) -> float:
        """The squared Mahalanobis distance of an answer here."""
        e = _difference(self.T_map_body, T_map_body)
        return float(e @ np.linalg.solve(self.covariance + covariance, e))

    def corrected(self, T_map_body: np.ndarray, covariance: np.ndarray, share: float) -> Estimate:
        """With an answer that is worth `share` of an independent one."""
        K = self.covariance @ np.linalg.inv(self.covariance + covariance / share)
        step = K @ _difference(self.T_map_body, T_map_body)
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec(step[3:]).as_matrix() @ self.T_map_body[:3, :3]
        T[:3, 3] = self.T_map_body[:3, 3] + step[:3]
        P = (np.eye(6) - K) @ self.covariance
        return Estimate(T, self.T_odom_body, (P + P.T) / 2, self.answers + 1)


class Correction:
    """Takes answers with their odometry; `estimate` is None before the first."""

    def __init__(self) -> None:
        self.estimate: Estimate | None = None
        self._rival: Estimate | None = None  # where the answers outside of the gate say it is
        self.outside = 0  # answers in a row that were

    def add(
        self, T_map_body: np.ndarray, covariance: np.ndarray, T_odom_body: np.ndarray
    ) -> Verdict:
        answer = (T_map_body, covariance, T_odom_body)
        if self.estimate is None:
            self.estimate = _begin(*answer)
            return Verdict.FIRST
        taken = _updated(self.estimate, *answer)
        if taken is not None:
            self.estimate, self._rival, self.outside = taken, None, 0
            return Verdict.TAKEN
        rival = None if self._rival is None else _updated(self._rival, *answer)
        self._rival = _begin(*answer) if rival is None else rival
        self.outside += 1
        if self._rival.answers < AGREEING:
            return Verdict.OUTSIDE
        self.estimate, self._rival, self.outside = self._rival, None, 0
        return Verdict.MOVED


def _begin(T_map_body: np.ndarray, covariance: np.ndarray, T_odom_body: np.ndarray) -> Estimate:
    return Estimate(T_map_body, T_odom_body, covariance)


def _updated(
    estimate: Estimate, T_map_body: np.ndarray, covariance: np.ndarray, T_odom_body: np.ndarray
) -> Estimate | None:
    """With the answer; None where that is outside of the gate."""
    length, turn = _size(inverse(estimate.T_odom_body) @ T_odom_body)
    here = estimate.moved_to(T_odom_body)
    if here.distance(T_map_body, covariance) > GATE:
        return None
    share = min(1.0, max(length / SAME_VIEW_M, turn / SAME_VIEW_RAD, LEAST_SHARE))
    return here.corrected(T_map_body, covariance, share)


def glide(T: np.ndarray, goal: np.ndarray, most_m: float, most_rad: float) -> np.ndarray:
    """(4, 4) from T towards the goal, by no more than that."""
    e = _difference(T, goal)
    length, turn = float(np.linalg.norm(e[:3])), float(np.linalg.norm(e[3:]))
    if length <= most_m and turn <= most_rad:
        return goal
    share = min(most_m / max(length, 1e-12), most_rad / max(turn, 1e-12), 1.0)
    T_next = np.eye(4)
    T_next[:3, :3] = Rotation.from_rotvec(share * e[3:]).as_matrix() @ T[:3, :3]
    T_next[:3, 3] = T[:3, 3] + share * e[:3]
    return T_next


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(6,) from a to b: metres and radians along the axes of the parent."""
    turn = Rotation.from_matrix(b[:3, :3] @ a[:3, :3].T).as_rotvec()
    return np.concatenate([b[:3, 3] - a[:3, 3], turn])


def _size(T: np.ndarray) -> tuple[float, float]:
    """Metres and radians of a motion."""
    turn = Rotation.from_matrix(T[:3, :3]).magnitude()
    return float(np.linalg.norm(T[:3, 3])), float(turn)
