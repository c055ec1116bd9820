# SPDX-License-Identifier: MIT
"""How the odometry of a drive lies in the map, by the answers before and after a frame.

One answer has the pose of a keyframe: a metre and some degrees off. Over a few metres of driving
odometry is exact, so that several answers together say better where each frame was taken.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.config import UpdateConfig
from selavpr_model.records import Frame, Recognition, State

KEPT = 1000  # answers: a robot that stands still adds no distance


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """Of a LOCALIZED frame. odom: (4, 4) T_odom_camera; pose: (4, 4) T_map_camera."""

    travelled: float
    odom: np.ndarray
    pose: np.ndarray


class Trail:
    """The odometry of the frames so far. travelled: m; odom: of the last frame, None without."""

    def __init__(self, config: UpdateConfig) -> None:
        self._config = config
        self._answers: deque[_Answer] = deque(maxlen=KEPT)
        self._segment: int | None = None
        self.travelled = 0.0
        self.odom: np.ndarray | None = None

    def breaks(self, frame: Frame, usable: bool, broken: bool) -> bool:
        """Whether no motion leads from the last frame to this one; usable: its odometry; broken:
        whoever looked at the odometry says so."""
        if self.odom is None:
            return False
        restarted = self._segment != frame.odom_segment
        return broken or restarted or not usable or not _is_usable(frame.odom)

    def step(self, frame: Frame, usable: bool, answer: Recognition) -> None:
        """The next frame."""
        before, self.odom = self.odom, frame.odom if usable and _is_usable(frame.odom) else None
        self._segment = frame.odom_segment
        if self.odom is None:
            return
        if before is not None:
            self.travelled += float(np.linalg.norm(self.odom[:3, 3] - before[:3, 3]))
        if answer.state is State.LOCALIZED and answer.pose is not None:
            self._answers.append(_Answer(self.travelled, self.odom, answer.pose))

    def forget(self) -> None:
        """Odometry broke: what was answered before says nothing about what follows."""
        self._answers.clear()
        self.odom = None

    def pose_of(self, odom: np.ndarray, travelled: float, enclosed: bool) -> np.ndarray | None:
        """(4, 4) T_map_camera of a frame, None where the answers around it are too few or do not
        agree. enclosed: there must be answers on both sides of it.

        The rotation is the mean of what the answers say; then the translation that fits their
        positions best, without those that are agree_m off.
        """
        around = [
            a for a in self._answers if abs(a.travelled - travelled) <= self._config.window_m
        ]
        sides = {a.travelled < travelled for a in around}
        if len(around) < self._config.min_answers or (enclosed and len(sides) < 2):
            return None
        T = self._fitted(around)
        return None if T is None else T @ odom

    def _fitted(self, answers: list[_Answer]) -> np.ndarray | None:
        """(4, 4) T_map_odom of those that agree; None where they are not most of them."""
        said = np.array([a.pose for a in answers])
        driven = np.array([a.odom for a in answers])
        agree = np.ones(len(answers), bool)
        T = np.eye(4)
        for _ in range(2):
            turns = said[agree, :3, :3] @ driven[agree, :3, :3].transpose(0, 2, 1)
            T[:3, :3] = Rotation.from_matrix(turns).mean().as_matrix()
            offsets = said[:, :3, 3] - driven[:, :3, 3] @ T[:3, :3].T
            T[:3, 3] = np.median(offsets[agree], axis=0)
            agree = np.linalg.norm(offsets - T[:3, 3], axis=1) <= self._config.agree_m
            if agree.sum() < max(self._config.min_answers, len(answers) / 2):
                return None
        T[:3, 3] = offsets[agree].mean(axis=0)
        return T


def _is_usable(odom: np.ndarray | None) -> bool:
    return odom is not None and bool(np.isfinite(odom).all())
