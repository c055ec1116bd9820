# SPDX-License-Identifier: MIT
"""Tells odometry that was restarted from a robot that moves. Knows no ROS."""

from __future__ import annotations

from collections import deque

import numpy as np

from selavpr_model.poses import inverse, rotation_angles
from selavpr_model.records import SECOND

STEP_M, STEP_RAD = 0.5, 0.5  # that rounding, slip and a late sample explain
SPEED_MPS, TURN_RADPS = 10.0, 6.0  # that a robot may have all of a sudden
ANY_SPEED_MPS = 60.0
TIMES_BEFORE = 3.0  # a robot may be faster than before by this
BACK_S = 1.0  # a stamp that much before the last one is of a clock that was restarted


class JumpDetector:
    """Looks at each sample of odometry."""

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray] | None = None
        self._speeds: deque[float] = deque(maxlen=10)

    def jumped(self, stamp_ns: int, T_odom_base: np.ndarray) -> str | None:
        """What a robot cannot have done since the last sample; None where it may have."""
        last = self._last
        if last is None:
            self._last = stamp_ns, T_odom_base
            return None
        seconds = (stamp_ns - last[0]) / SECOND
        if -BACK_S <= seconds <= 0.0:
            return None  # out of order, or sent twice
        self._last = stamp_ns, T_odom_base
        if seconds < 0.0:
            self._speeds.clear()
            return f'its stamps went back by {-seconds:.1f} s'
        return self._impossible(inverse(last[1]) @ T_odom_base, seconds)

    def _impossible(self, step: np.ndarray, seconds: float) -> str | None:
        metres = float(np.linalg.norm(step[:3, 3]))
        turn = float(rotation_angles(step[None, :3, :3], np.eye(3))[0])
        fastest = max(SPEED_MPS, TIMES_BEFORE * self._usual())
        if len(self._speeds) < 2:
            fastest = ANY_SPEED_MPS  # the robot may have been driving before the first sample
        self._speeds.append(metres / seconds)
        if metres <= STEP_M + fastest * seconds and turn <= STEP_RAD + TURN_RADPS * seconds:
            return None
        return f'it jumped by {metres:.1f} m and {np.degrees(turn):.0f} deg within {seconds:.2f} s'

    def _usual(self) -> float:
        """The second highest speed of late: one jump is no speed, two in a row are."""
        return sorted(self._speeds)[-2] if len(self._speeds) > 1 else 0.0
