# SPDX-License-Identifier: MIT
"""Odometry that stands still while the camera sees something new is none."""

from __future__ import annotations

import math

import numpy as np

from selavpr_model.config import TemporalConfig
from selavpr_model.matching.nearest import count_mutual
from selavpr_model.poses import inverse
from selavpr_model.records import Frame

MOVED_M, MOVED_RAD = 0.05, math.radians(8.0)  # more than the trembling of a standing robot
# A lorry may drive past a robot that waits. Odometry that has never moved gets no such credit.
PATIENCE = 3


class OdometryGuard:
    """Asked once for each frame, in order. `frozen`: what was given for the last frame stood
    still; `broken`: odometry broke between the last two frames.
    """

    def __init__(self, config: TemporalConfig) -> None:
        self._new_view = config.independent_view
        self._proven = False
        self._segment: int | None = None
        self.reset()

    def reset(self) -> None:
        """How the robot moved since the last frame is not known."""
        self._anchor: tuple[np.ndarray, np.ndarray] | None = None  # where it last moved, its view
        self._changed = 0  # frames in a row
        self.frozen = self.broken = False

    def check(self, frame: Frame, view: np.ndarray) -> np.ndarray | None:
        """(4, 4) T_odom_camera that can be used; view: PlaceMap.code of the frame."""
        odom = frame.odom
        if odom is None or not np.isfinite(odom).all():
            self.broken = False
            return None
        self.broken = self._segment not in (None, frame.odom_segment)
        self._segment = frame.odom_segment
        if self.broken or self._anchor is None or self._has_moved(odom):
            self._begin(odom, view)
            return odom
        self._changed = self._changed + 1 if self._is_new(view) else 0
        self.frozen = self.frozen or self._changed >= (PATIENCE if self._proven else 1)
        return None if self.frozen else odom

    def _begin(self, odom: np.ndarray, view: np.ndarray) -> None:
        self._proven = self._proven or not (self.broken or self._anchor is None)
        self._anchor, self._changed, self.frozen = (odom, view), 0, False

    def _has_moved(self, odom: np.ndarray) -> bool:
        assert self._anchor is not None
        motion = inverse(self._anchor[0]) @ odom
        turned = math.acos(float(np.clip((np.trace(motion[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)))
        return float(np.linalg.norm(motion[:3, 3])) >= MOVED_M or turned >= MOVED_RAD

    def _is_new(self, view: np.ndarray) -> bool:
        assert self._anchor is not None
        same = int(count_mutual(view, [self._anchor[1]])[0]) / len(view)
        return 1.0 - same >= self._new_view
