# SPDX-License-Identifier: MIT
"""The pose that does not jump: answers and odometry in one estimate, in SE(3) with covariance.

Recognition tells the camera's pose coarsely and often, odometry its motion finely. The estimate is
a Kalman filter's over what odometry does not know, map -> odom. Its error is told at the camera,
along the axes of the map: at the origin of odometry a degree would be many metres.
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
FORGOTTEN = 3  # frames in a row without an answer, after which one outside of the gate is believed


class Verdict(enum.Enum):
    """What became of one answer."""

    FIRST = 'first'
    TAKEN = 'taken'
    OUTSIDE = 'outside'
    MOVED = 'moved'


@dataclass(slots=True, eq=False)
class Estimate:
    """T_map_body at T_odom_body, both (4, 4); covariance: (6, 6) of the former."""

    T_map_body: np.ndarray
    covariance: np.ndarray
    T_odom_body: np.ndarray
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
        return Estimate(T_map_body, P, T_odom_body, self.answers)

    def distance(self, T_map_body: np.ndarray, covariance: np.ndarray) -> float:
        """The squared Mahalanobis distance of an answer here."""
        e = difference(self.T_map_body, T_map_body)
        return float(e @ np.linalg.solve(self.covariance + covariance, e))

    def corrected(self, T_map_body: np.ndarray, covariance: np.ndarray, share: float) -> Estimate:
        """With an answer that is worth `share` of an independent one."""
        K = self.covariance @ np.linalg.inv(self.covariance + covariance / share)
        step = K @ difference(self.T_map_body, T_map_body)
        T = np.eye(4)
        T[:3, :3] = Rotation.from_rotvec(step[3:]).as_matrix() @ self.T_map_body[:3, :3]
        T[:3, 3] = self.T_map_body[:3, 3] + step[:3]
        P = (np.eye(6) - K) @ self.covariance
        return Estimate(T, (P + P.T) / 2, self.T_odom_body, self.answers + 1)


class PoseFilter:
    """Takes answers with their odometry; `estimate` is None before the first."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing leads from the frames so far to the next ones."""
        self.estimate: Estimate | None = None
        self._rival: Estimate | None = None  # where the answers outside of the gate say it is
        self.outside = 0  # answers in a row that were
        self._missed = 0  # frames in a row without an answer

    def miss(self) -> None:
        """A frame has no answer."""
        self._missed += 1

    def add(
        self, T_map_body: np.ndarray, covariance: np.ndarray, T_odom_body: np.ndarray
    ) -> Verdict:
        """An answer, (4, 4) and (6, 6) as in Recognition, and odometry at its image."""
        missed, self._missed = self._missed, 0
        verdict = self._add((T_map_body, covariance, T_odom_body), missed >= FORGOTTEN)
        self.outside = self.outside + 1 if verdict is Verdict.OUTSIDE else 0
        return verdict

    def _add(self, answer: tuple[np.ndarray, np.ndarray, np.ndarray], believed: bool) -> Verdict:
        if self.estimate is None:
            self.estimate = Estimate(*answer)
            return Verdict.FIRST
        taken = _updated(self.estimate, *answer)
        if taken is not None:
            self.estimate, self._rival = taken, None
            return Verdict.TAKEN
        rival = None if self._rival is None else _updated(self._rival, *answer)
        self._rival = rival or Estimate(*answer)
        if self._rival.answers < AGREEING and not believed:
            return Verdict.OUTSIDE
        self.estimate, self._rival = self._rival, None
        return Verdict.MOVED


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


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(6,) from a to b, both (4, 4): metres and radians along the axes of the parent."""
    turn = Rotation.from_matrix(b[:3, :3] @ a[:3, :3].T).as_rotvec()
    return np.concatenate([b[:3, 3] - a[:3, 3], turn])


def _size(T: np.ndarray) -> tuple[float, float]:
    """Metres and radians of a motion."""
    turn = Rotation.from_matrix(T[:3, :3]).magnitude()
    return float(np.linalg.norm(T[:3, 3])), float(turn)
