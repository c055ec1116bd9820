# SPDX-License-Identifier: MIT
"""Which images of a topic are of one camera and one clock, and what time they are of."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from selavpr_model.records import SECOND
from selavpr_model.runtime.shown import shortened

ALIVE_NS = 3 * SECOND  # without an image, a camera or clock is gone
REPEATS = 2  # of a stamp that show that stamps stand still
AHEAD_NS = SECOND // 4  # that no image can be in the future
MOST = 50  # cameras and clocks at a time
STRAYS = 5  # images in a row
OTHER_CAMERA, OTHER_CLOCK = 'other_camera', 'other_clock'


@dataclass
class Line:
    """Stamps of one clock. offset_ns: of arrival to stamp; seen_ns: time.monotonic_ns."""

    offset_ns: int
    seen_ns: int


class ImageStamps:
    """Asked once for each image, in order. Knows no ROS."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._frames: dict[str, int] = {}  # when each was seen last, time.monotonic_ns
        self._frame: str | None = None  # in use
        self._lines: list[Line] = []
        self._line: Line | None = None  # in use
        self._mixed_ns: int | None = None  # when clocks were seen to alternate
        self._last: tuple[int, Line] | None = None
        self._repeats = 0
        self._last_stamp: int | None = None
        self._ahead: deque[int] = deque(maxlen=STRAYS)

    def refused(self, stamp_ns: int, frame: str, now_ns: int, jump_ns: int, steady_ns: int) -> str:
        """Why the image is not to be used, as it is counted; '' where it is.

        now_ns: by the clock of the node; steady_ns: time.monotonic_ns; jump_ns: further apart,
        stamps are of two clocks.
        """
        if not self._is_camera_in_use(frame, steady_ns):
            return OTHER_CAMERA
        if stamp_ns and not self._is_clock_in_use(stamp_ns, now_ns, jump_ns, steady_ns):
            return OTHER_CLOCK
        self._repeats = self._repeats + 1 if stamp_ns == self._last_stamp else 0
        self._last_stamp = stamp_ns
        if stamp_ns:
            self._ahead.append(stamp_ns - now_ns)
        return ''

    def _is_camera_in_use(self, frame: str, steady_ns: int) -> bool:
        frame = shortened(frame)
        self._frames.pop(frame, None)
        self._frames[frame] = steady_ns
        alive = [(f, t) for f, t in self._frames.items() if steady_ns - t <= ALIVE_NS]
        self._frames = dict(self._kept(alive))
        if self._frame not in self._frames:
            self._frame = frame
        return frame == self._frame

    def _kept(self, alive: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """The last ones, and the one in use: a stranger may have a name for each image."""
        return [f for f in alive[:-MOST] if f[0] == self._frame] + alive[-MOST:]

    def _is_clock_in_use(self, stamp_ns: int, now_ns: int, jump_ns: int, steady_ns: int) -> bool:
        """Of two clocks that alternate, the one nearer to ours is used."""
        line, is_known = self._line_of(steady_ns - stamp_ns, jump_ns, steady_ns)
        last, self._last = self._last, (stamp_ns, line)
        if last is not None and line is not last[1] and is_known and stamp_ns < last[0] - jump_ns:
            self._mixed_ns = steady_ns
            here = steady_ns - now_ns  # the offset of our own clock
            self._line = min(self._lines, key=lambda known: abs(known.offset_ns - here))
        if self._line not in self._lines or not self.are_clocks_mixed(steady_ns):
            self._line = line
        return line is self._line

    def _line_of(self, offset_ns: int, jump_ns: int, steady_ns: int) -> tuple[Line, bool]:
        """The clock of a stamp, and whether it was there before."""
        alive = [line for line in self._lines if steady_ns - line.seen_ns <= ALIVE_NS]
        self._lines = alive[-MOST:]
        near = [line for line in self._lines if abs(line.offset_ns - offset_ns) <= jump_ns]
        line = min(near, key=lambda known: abs(known.offset_ns - offset_ns), default=None)
        if line is None:
            line = Line(offset_ns, steady_ns)
            self._lines.append(line)
            return line, False
        line.offset_ns, line.seen_ns = offset_ns, steady_ns
        return line, True

    def are_clocks_mixed(self, steady_ns: int) -> bool:
        return (
            self._mixed_ns is not None
            and len(self._lines) > 1
            and all(steady_ns - line.seen_ns <= ALIVE_NS for line in self._lines)
        )

    @property
    def frames(self) -> list[str]:
        """Frames of the images that come now, the one in use first."""
        return sorted(self._frames, key=lambda frame: (frame != self._frame, frame))

    @property
    def stand_still(self) -> bool:
        return self._repeats >= REPEATS

    @property
    def are_missing(self) -> bool:
        """Whether images have stamp 0."""
        return self._last_stamp == 0

    @property
    def ahead_s(self) -> float | None:
        """How far images are in the future, all of the last few; None where they are not."""
        least = min(self._ahead, default=0)
        return least / SECOND if len(self._ahead) == STRAYS and least > AHEAD_NS else None
