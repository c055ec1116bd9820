# SPDX-License-Identifier: MIT
"""Where odometry breaks: it restarted, jumped, or two sources speak at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
import math

import numpy as np

from selavpr_model.config import SlamConfig
from selavpr_model.poses import inverse
from selavpr_model.records import SECOND

JUMP_M = 0.5  # off the way that the last motion leads, where it is a matter of milliseconds
ACCELERATION = 10.0  # m/s^2 that a robot may have
TURN_RAD = math.radians(30.0)  # the same for its heading
TURN_RATE = 10.0  # rad/s that a robot may turn with
SHAKY_S = 0.05  # that stamps may be wrong, as those of arrivals are
STEPS = 10  # samples that say how far it usually goes
ORIGIN_M, ORIGIN_RAD = 0.02, math.radians(1.0)  # where odometry starts
BACK_NS = SECOND  # a stamp that much before the last one is of a clock that was restarted
MOST_NS = SECOND  # that a step counts for: between two clocks, steps are of any length
BREAKS, WINDOW_NS = 4, 10 * SECOND  # so many breaks within it, and odometry is none


class OdometrySegments:
    """Numbers the stretches of unbroken odometry, sample by sample."""

    def __init__(self, max_speed_mps: float = SlamConfig().max_speed_mps) -> None:
        self._max_speed_mps = max_speed_mps
        self.segment = 0
        self.last_break = ''  # in words
        self._last: tuple[int, np.ndarray] | None = None
        self._steps: deque[tuple[float, np.ndarray]] = deque(maxlen=STEPS)  # s, (3,) m
        self._stamp_ns: int | None = None  # of the last sample
        self._lived_ns = 0  # until it: a bag that starts over has the same stamps each round
        self._breaks: deque[int] = deque(maxlen=BREAKS)  # the same, of each

    def add(self, stamp_ns: int, pose: np.ndarray) -> int:
        """The segment of a sample; pose: (4, 4) T_odom_base, stamps ascend."""
        if self._stamp_ns is not None:
            self._lived_ns += min(max(stamp_ns - self._stamp_ns, 0), MOST_NS)
        self._stamp_ns = stamp_ns
        if self._last is not None:
            broken = self._break(stamp_ns, pose)
            if broken:
                self.break_off(broken)
        self._learn(stamp_ns, pose)
        return self.segment

    def break_off(self, why: str) -> None:
        """The next sample starts a segment."""
        self.segment += 1
        self.last_break = why
        self._breaks.append(self._lived_ns)
        self._last = None

    @property
    def is_torn(self) -> bool:
        """Whether it breaks again and again, as of two sources on one topic."""
        breaks = self._breaks
        return len(breaks) == BREAKS and self._lived_ns - breaks[0] <= WINDOW_NS

    def _learn(self, stamp_ns: int, pose: np.ndarray) -> None:
        if self._last is None:
            self._steps.clear()
        else:
            seconds = max(0.0, (stamp_ns - self._last[0]) / SECOND)
            self._steps.append((seconds, pose[:3, 3] - self._last[1][:3, 3]))
        self._last = stamp_ns, pose

    def _break(self, stamp_ns: int, pose: np.ndarray) -> str:
        """Why the last sample does not lead to this one; '' where it does."""
        assert self._last is not None
        before, seconds = self._last[1], max(0.0, (stamp_ns - self._last[0]) / SECOND)
        step = pose[:3, 3] - before[:3, 3]
        moved = float(np.linalg.norm(step))
        if moved > JUMP_M and is_origin(pose) and not is_origin(before):
            return f'it started anew at its origin, {moved:.1f} m away'
        limit = JUMP_M + self._max_speed_mps * max([SHAKY_S, seconds, self._usual_s()])
        if moved > limit or self._is_odd(step, seconds):
            return f'it jumped by {moved:.1f} m within {seconds:.2f} s'
        turned = angle_of(inverse(before) @ pose)
        if turned > TURN_RAD + TURN_RATE * max(SHAKY_S, seconds):
            return f'it turned by {math.degrees(turned):.0f} degrees within {seconds:.2f} s'
        return ''

    def _usual_s(self) -> float:
        """Between two samples."""
        return float(np.mean([seconds for seconds, _ in self._steps])) if self._steps else 0.0

    def _is_odd(self, step: np.ndarray, seconds: float) -> bool:
        """Longer than the last ones, and not where the last one leads. Stamps may be shaky."""
        if not self._steps:
            return False
        last_s, last = self._steps[-1]
        speed = last / last_s if last_s > 0.0 else np.zeros(3)
        off = min(float(np.linalg.norm(step - way)) for way in (last, seconds * speed))
        longest = max(float(np.linalg.norm(way)) for _, way in self._steps)
        usual = JUMP_M + ACCELERATION * seconds**2
        return off > usual and float(np.linalg.norm(step)) > usual + 2.0 * longest


def segment_starts(stamps_ns: Sequence[int], poses: Sequence[np.ndarray]) -> list[int]:
    """Stamps at which a new segment starts, but the first; of samples in ascending order."""
    if len(poses) < 2:
        return []
    track = np.stack(poses)
    steps = np.linalg.norm(np.diff(track[:, :3, 3], axis=0), axis=1)
    traces = np.einsum('nij,nij->n', track[1:, :3, :3], track[:-1, :3, :3])
    if steps.max() <= JUMP_M and traces.min() >= 1.0 + 2.0 * math.cos(TURN_RAD):
        return []  # the usual case, without a look at each
    judge, starts, segment = OdometrySegments(), [], 0
    for stamp, pose in zip(stamps_ns, poses, strict=True):
        if judge.add(stamp, pose) != segment:
            segment = judge.segment
            starts.append(stamp)
    return starts


def breaks(samples: Sequence[tuple[int, np.ndarray]]) -> list[str]:
    """Why odometry broke, each time, in words; stamps in ns and (4, 4), as they came.

    A stamp before that of the sample before is a break where it is more than BACK_NS before.
    """
    judge, found, last = OdometrySegments(), list[str](), None
    for stamp, pose in samples:
        if last is not None and last - BACK_NS <= stamp <= last:
            continue  # out of order, or sent twice
        before = judge.segment
        if last is not None and stamp < last:
            judge.break_off(f'its stamps went back by {(last - stamp) / SECOND:.1f} s')
        last = stamp
        if judge.add(stamp, pose) != before:
            found.append(judge.last_break)
    return found


def is_origin(pose: np.ndarray) -> bool:
    """Whether odometry with this pose says that nothing has moved since it started."""
    return float(np.linalg.norm(pose[:3, 3])) < ORIGIN_M and angle_of(pose) < ORIGIN_RAD


def angle_of(T: np.ndarray) -> float:
    """The angle of a (4, 4), rad in [0, pi]."""
    return math.acos(float(np.clip((np.trace(T[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)))
