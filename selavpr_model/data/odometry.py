# SPDX-License-Identifier: MIT
"""Where odometry breaks: it restarted, jumped, or two sources speak at once."""

from __future__ import annotations

from collections import deque
import math

import numpy as np

from selavpr_model.config import SlamConfig
from selavpr_model.poses import inverse
from selavpr_model.records import SECOND

JUMP_M = 0.5  # off the way that the last motion leads, where it is a matter of milliseconds
ACCELERATION = 10.0  # m/s^2 that a robot may have
TURN_RAD = math.radians(30.0)  # the same for its heading
TURN_RATE = 10.0  # rad/s that a robot may turn with
ORIGIN_M, ORIGIN_RAD = 0.02, math.radians(1.0)  # where odometry starts
BREAKS, WINDOW_NS = 4, 10 * SECOND  # so many breaks within it, and odometry is none


class OdometrySegments:
    """Numbers the stretches of unbroken odometry, sample by sample."""

    def __init__(self, max_speed_mps: float = SlamConfig().max_speed_mps) -> None:
        self._max_speed_mps = max_speed_mps
        self.segment = 0
        self.last_break = ''  # in words
        self._last: tuple[int, np.ndarray] | None = None
        self._velocity: np.ndarray | None = None
        self._breaks: deque[int] = deque(maxlen=BREAKS)  # stamps

    def add(self, stamp_ns: int, pose: np.ndarray) -> int:
        """The segment of a sample; pose: (4, 4) T_odom_base, stamps ascend."""
        if self._last is not None:
            broken = self._break(stamp_ns, pose)
            if broken:
                self.break_off(stamp_ns, broken)
        self._learn(stamp_ns, pose)
        return self.segment

    def break_off(self, stamp_ns: int, why: str) -> None:
        """The next sample starts a segment."""
        self.segment += 1
        self.last_break = why
        self._breaks.append(stamp_ns)
        self._last = None

    @property
    def is_torn(self) -> bool:
        """Whether it breaks again and again, as of two sources on one topic."""
        breaks = self._breaks
        return len(breaks) == BREAKS and self._age_ns(breaks[0]) <= WINDOW_NS

    def _age_ns(self, stamp_ns: int) -> int:
        newest = self._breaks[-1] if self._last is None else self._last[0]
        return abs(newest - stamp_ns)

    def _learn(self, stamp_ns: int, pose: np.ndarray) -> None:
        if self._last is None:
            self._velocity = None
        elif stamp_ns > self._last[0]:
            seconds = (stamp_ns - self._last[0]) / SECOND
            self._velocity = (pose[:3, 3] - self._last[1][:3, 3]) / seconds
        self._last = stamp_ns, pose

    def _break(self, stamp_ns: int, pose: np.ndarray) -> str:
        """Why the last sample does not lead to this one; '' where it does."""
        assert self._last is not None
        before, seconds = self._last[1], max(0.0, (stamp_ns - self._last[0]) / SECOND)
        moved = float(np.linalg.norm(pose[:3, 3] - before[:3, 3]))
        if moved > JUMP_M and is_origin(pose) and not is_origin(before):
            return f'it started anew at its origin, {moved:.1f} m away'
        usual, limit = JUMP_M + ACCELERATION * seconds**2, self._max_speed_mps * seconds
        ahead = before[:3, 3] + (0.0 if self._velocity is None else seconds * self._velocity)
        off = float(np.linalg.norm(pose[:3, 3] - ahead))
        is_odd = self._velocity is not None and min(off, moved) > usual
        if is_odd or moved > JUMP_M + limit:
            return f'it jumped by {moved:.1f} m within {seconds:.2f} s'
        turned = angle_of(inverse(before) @ pose)
        if turned > TURN_RAD + TURN_RATE * seconds:
            return f'it turned by {math.degrees(turned):.0f} degrees within {seconds:.2f} s'
        return ''


def is_origin(pose: np.ndarray) -> bool:
    """Whether odometry with this pose says that nothing has moved since it started."""
    return float(np.linalg.norm(pose[:3, 3])) < ORIGIN_M and angle_of(pose) < ORIGIN_RAD


def angle_of(T: np.ndarray) -> float:
    """The angle of a (4, 4), rad in [0, pi]."""
    return math.acos(float(np.clip((np.trace(T[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)))
