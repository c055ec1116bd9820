# SPDX-License-Identifier: MIT
"""What /tf and /tf_static say, at any time of the last seconds: as tf2's buffer, without tf2.

A tree: each frame has one parent at a time. Between two samples positions are interpolated along
a straight line and rotations by slerp; nothing is extrapolated.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
import math
import threading
from typing import Any, Protocol

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.poses import inverse, pose_between, pose_matrix
from selavpr_model.records import SECOND
from selavpr_model.runtime.shown import shown
from selavpr_ros.convert import from_ros

CACHE_NS = 10 * SECOND
DEEPEST = 1000  # frames from one to the root; more is a loop
MOST_FRAMES = 2000  # robots have some hundred
MOST_OF_A_NAME = 250  # characters of a frame
MOST_AT_ONCE = 16  # samples of a frame with one stamp
MOST_SAMPLES = 20_000  # of a frame: CACHE_NS at 2,000 Hz
UNIT_TOLERANCE = 0.01  # of the squared length of a quaternion


class TransformError(InputError):
    """There is no transform between the two frames, at this time or at all."""


class OutOfTimeError(TransformError):
    """The frames are connected, but the samples do not reach the time that was asked for."""

    def __init__(self, text: str, frame: str, nearest_ns: int) -> None:
        super().__init__(text)
        self.frame, self.nearest_ns = frame, nearest_ns


class TransformTree(Protocol):
    """What the node needs of a buffer, be it ours or tf2's."""

    def add(self, message: Any, static: bool = True) -> list[str]: ...

    def lookup(self, parent: str, child: str, stamp_ns: int | None = None) -> np.ndarray: ...

    def find(self, parent: str, child: str, stamp_ns: int | None = None) -> np.ndarray | None: ...

    def latest_ns(self, parent: str, child: str) -> int | None: ...

    def frames(self) -> set[str]: ...

    def clear(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a frame was in its parent."""

    parent: str
    values: tuple[float, ...]  # x, y, z, qx, qy, qz, qw

    def matrix(self) -> np.ndarray:
        return pose_matrix(self.values[:3], self.values[3:])


class _Track:
    """The samples of one frame, by time; a static one has one sample, for all times."""

    def __init__(self, static: bool) -> None:
        self.static = static
        self.stamps: list[int] = []
        self.samples: list[Sample] = []

    def add(self, stamp_ns: int, sample: Sample) -> bool:
        """Whether it was young enough to be kept."""
        if self.static:
            self.stamps, self.samples = [stamp_ns], [sample]
            return True
        if self.stamps and stamp_ns < self.stamps[-1] - CACHE_NS:
            return False
        at = bisect_right(self.stamps, stamp_ns)
        before = bisect_left(self.stamps, stamp_ns)
        if at - before >= MOST_AT_ONCE or sample in self.samples[before:at]:
            return True
        self.stamps.insert(at, stamp_ns)
        self.samples.insert(at, sample)
        self._prune()
        return True

    def _prune(self) -> None:
        """Drop what is too old or too much, many at once."""
        first = 0
        if self.stamps[-1] - self.stamps[0] > CACHE_NS + SECOND:
            first = bisect_left(self.stamps, self.stamps[-1] - CACHE_NS)
        elif len(self.stamps) > MOST_SAMPLES:
            first = MOST_SAMPLES // 10
        del self.stamps[:first], self.samples[:first]

    def at(self, frame: str, stamp_ns: int) -> tuple[str, np.ndarray]:
        """Parent and (4, 4) T_parent_frame; OutOfTimeError where no samples are around it."""
        if self.static:
            return self.samples[0].parent, self.samples[0].matrix()
        first, last = self.stamps[0], self.stamps[-1]
        if not first <= stamp_ns <= last:
            nearest = first if stamp_ns < first else last
            raise OutOfTimeError(_late(frame, stamp_ns, nearest), frame, nearest)
        after = bisect_right(self.stamps, stamp_ns)
        one = self.samples[after - 1]
        if self.stamps[after - 1] == stamp_ns or one.parent != self.samples[after].parent:
            return one.parent, one.matrix()
        share = (stamp_ns - self.stamps[after - 1]) / (self.stamps[after] - self.stamps[after - 1])
        return one.parent, pose_between(one.matrix(), self.samples[after].matrix(), share)


class TransformBuffer:
    """For several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tracks: dict[str, _Track] = {}

    def add(self, message: Any, static: bool = True) -> list[str]:
        """Take a tf2_msgs/TFMessage; returns why transforms of it were refused."""
        with self._lock:
            troubles = [self._add(edge, static) for edge in message.transforms]
        return [trouble for trouble in troubles if trouble is not None]

    def _add(self, edge: Any, static: bool) -> str | None:
        parent, child = bare(edge.header.frame_id), bare(edge.child_frame_id)
        p, q = edge.transform.translation, edge.transform.rotation
        values = (p.x, p.y, p.z, q.x, q.y, q.z, q.w)
        if trouble := refused(parent, child, values):
            return trouble
        track = self._tracks.get(child)
        if track is None and len(self._tracks) >= MOST_FRAMES:
            return f'more than {MOST_FRAMES} frames were named; {shown(child)} is one too many'
        if track is None or track.static is not static:
            track = _Track(static)
        if not track.add(from_ros.stamp_ns(edge), Sample(parent, values)):
            return f'{parent!r} -> {child!r} is more than {CACHE_NS // SECOND} s older than before'
        self._tracks[child] = track  # only now: with a sample inside
        return None

    def lookup(self, parent: str, child: str, stamp_ns: int | None = None) -> np.ndarray:
        """(4, 4) T_parent_child; None or 0: at the newest time that all between them have.

        TransformError says why there is none.
        """
        with self._lock:
            parent, child = bare(parent), bare(child)
            return self._lookup(parent, child, stamp_ns or self.latest_ns(parent, child) or 0)

    def _lookup(self, parent: str, child: str, stamp_ns: int) -> np.ndarray:
        up, climbed = self._climb(child, stamp_ns, parent)
        if parent in up:
            return up[parent]
        down, other = self._climb(parent, stamp_ns, child)
        for frame, T_frame_child in up.items():
            if frame in down:
                return np.asarray(inverse(down[frame]) @ T_frame_child)
        if trouble := climbed or other:
            raise trouble
        raise TransformError(self._unconnected(parent, child))

    def find(self, parent: str, child: str, stamp_ns: int | None = None) -> np.ndarray | None:
        """lookup, with None for an error."""
        try:
            return self.lookup(parent, child, stamp_ns)
        except TransformError:
            return None

    def latest_ns(self, parent: str, child: str) -> int | None:
        """The newest time that all between the two have; None where nothing there moves."""
        with self._lock:
            chains = [self._ancestors(bare(frame)) for frame in (parent, child)]
            between = set(chains[0]) ^ set(chains[1])
            tracks = [self._tracks[f] for f in between if f in self._tracks]
        return min((t.stamps[-1] for t in tracks if not t.static), default=None)

    def frames(self) -> set[str]:
        """All that were named."""
        with self._lock:
            return set(self._tracks) | {t.samples[-1].parent for t in self._tracks.values()}

    def clear(self) -> None:
        """Forget what moves, as after a jump of the clock."""
        with self._lock:
            self._tracks = {name: t for name, t in self._tracks.items() if t.static}

    def _climb(
        self, frame: str, stamp_ns: int, end: str
    ) -> tuple[dict[str, np.ndarray], OutOfTimeError | None]:
        """(4, 4) T_a_frame of each frame `a` above, itself first, up to `end` or the root; the
        error where time ends the way.
        """
        T, above = np.eye(4), {frame: np.eye(4)}
        while (track := self._tracks.get(frame)) is not None and frame != end:
            try:
                frame, T_parent_frame = track.at(frame, stamp_ns)
            except OutOfTimeError as error:
                return above, error
            if frame in above:
                raise TransformError(f'the tf tree has a loop at {frame!r}; rename a frame')
            T = T_parent_frame @ T
            above[frame] = T
        return above, None

    def _ancestors(self, frame: str) -> list[str]:
        """From the frame to its root, by the newest samples."""
        chain = [frame]
        while (track := self._tracks.get(frame)) is not None and len(chain) < DEEPEST:
            frame = track.samples[-1].parent
            chain.append(frame)
        return chain

    def _unconnected(self, parent: str, child: str) -> str:
        known = self.frames()
        missing = [name for name in (parent, child) if name not in known]
        if missing:
            return (
                f'no transform names the frame {" nor ".join(map(repr, missing))}; known: '
                f'{", ".join(sorted(known)[:12]) or "none"}'
            )
        roots = [self._ancestors(name)[-1] for name in (parent, child)]
        return (
            f'{parent!r} (below {roots[0]!r}) and {child!r} (below {roots[1]!r}) are in two trees '
            'that nothing connects; publish the transform between them'
        )


def bare(frame: str) -> str:
    """Without the leading slash of ROS 1."""
    return frame.removeprefix('/')


def refused(parent: str, child: str, values: tuple[float, ...]) -> str | None:
    """Why a transform cannot be used; None where it can."""
    if max(len(parent), len(child)) > MOST_OF_A_NAME:
        return (
            f'{shown(child)} below {shown(parent)}: names of at most {MOST_OF_A_NAME} characters'
        )
    if not parent or not child:
        return f'{parent!r} -> {child!r}: expected two names of frames'
    if parent == child:
        return f'{child!r} is said to be its own parent'
    length = math.hypot(*values[3:])
    if not all(map(math.isfinite, values)) or abs(length * length - 1.0) >= UNIT_TOLERANCE:
        return (
            f'{parent!r} -> {child!r}: expected finite numbers and a unit quaternion, got '
            f'{", ".join(f"{v:g}" for v in values)}'
        )
    return None


def _late(frame: str, stamp_ns: int, nearest_ns: int) -> str:
    apart = (stamp_ns - nearest_ns) / SECOND
    side = 'newest is {:.2f} s before' if apart > 0 else 'oldest is {:.2f} s after'
    return f'the transforms of {frame!r} on /tf do not reach it: the {side.format(abs(apart))}'
