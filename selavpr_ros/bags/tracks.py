# SPDX-License-Identifier: MIT
"""Poses over time out of a recording's messages, by their stamps and by the time of recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
import math
from typing import Any

import numpy as np

from selavpr_model.data.formats.geo import on_earth, Origin
from selavpr_model.errors import InputError, SourceError
from selavpr_model.poses import inverse, pose_matrix, PoseTrack
from selavpr_ros.convert import from_ros

FAR_M = 1e8
"""A coordinate beyond it is nonsense; those of UTM and of the earth's centre are below."""
FAR_UP_M = 1e5
"""Altitude beyond which a fix is nonsense."""
Place = tuple[float, float, float]
COURSE_M = 2.0
"""Way between two fixes that tells where the vehicle heads."""


@dataclass(slots=True)
class Track:
    """Poses T_map_body of one topic or transform. body: the frame they are of, '' if not said.

    left_out: samples that are no poses, by reason; frame: that the poses are in, '' if not said;
    origin: the place on earth of (0, 0, 0); oriented: whether the source says where it looks.
    """

    stamps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    poses: list[np.ndarray] = field(default_factory=list)
    body: str = ''
    frame: str = ''
    left_out: Counter[str] = field(default_factory=Counter)
    origin: Origin | None = None
    oriented: bool = True

    def __len__(self) -> int:
        return len(self.poses)

    def append(self, time_ns: int, stamp_ns: int, message: Any) -> None:
        """A message that holds one pose; counted where it is none."""
        try:
            pose = from_ros.pose_matrix(message)
            if not (np.abs(pose[:3, 3]) < FAR_M).all():
                raise InputError(f'pose: expected coordinates below {FAR_M:g} m')
        except InputError as error:
            self.left_out[str(error).split(', got')[0]] += 1
            return
        self.stamps.append(stamp_ns)
        self.times.append(time_ns)
        self.poses.append(pose)
        self.body = self.body or str(getattr(message, 'child_frame_id', '')).lstrip('/')
        header = getattr(message, 'header', None)
        self.frame = self.frame or str(getattr(header, 'frame_id', '')).lstrip('/')

    def over(self, recorded: bool) -> PoseTrack:
        return PoseTrack(self.times if recorded else self.stamps, self.poses)


def track_of(samples: Iterable[tuple[int, Any]]) -> Track:
    """From (time recorded, message) of any type in topics.POSES."""
    track, fixes = Track(), []
    planned: dict[int, tuple[int, Any]] = {}
    for time, message in samples:
        if hasattr(message, 'latitude'):
            fixes.append((time, message))
        elif hasattr(message, 'poses'):  # a path: the last one is the best, and may be a part
            planned |= {_stamp(pose): (time, pose) for pose in message.poses}
        else:
            track.append(time, _stamp(message), message)
    for stamp, (time, pose) in planned.items():
        track.append(time, stamp, pose)
    return _of_fixes(fixes) if fixes else track


def _stamp(message: Any) -> int:
    return from_ros.stamp_ns(message) if hasattr(message, 'header') else 0


def _of_fixes(fixes: Sequence[tuple[int, Any]]) -> Track:
    """Satellite positions east, north and up of the first one, heading along the way."""
    track = Track(oriented=False)
    good = []
    for time, fix in fixes:
        place = (float(fix.latitude), float(fix.longitude), _number(fix.altitude))
        if fix.status.status < 0 or not _is_fix(place):
            track.left_out['no fix'] += 1
        else:
            good.append((time, _stamp(fix), place))
    if good:
        track.origin = Origin(*good[0][2])
        local = [track.origin.enu(*place) for _, _, place in good]
        track.times, track.stamps = [t for t, _, _ in good], [s for _, s, _ in good]
        track.poses = [
            pose_matrix(list(xyz), (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))
            for xyz, yaw in zip(local, courses(local), strict=True)
        ]
    return track


def _is_fix(place: Place) -> bool:
    """Latitude, longitude in degrees, altitude in m; a receiver without a fix says others."""
    return all(map(math.isfinite, place)) and on_earth(*place[:2]) and abs(place[2]) < FAR_UP_M


def _number(value: float) -> float:
    """An altitude that a receiver does not know is NaN."""
    return float(value) if math.isfinite(value) else 0.0


def courses(positions: Sequence[np.ndarray]) -> list[float]:
    """The direction of the way at each position in rad from east; before the first way its own."""
    found: list[float] = []
    known = last = 0.0
    at = 0
    for index, xyz in enumerate(positions):
        way = xyz[:2] - positions[at][:2]
        if np.hypot(*way) >= COURSE_M:
            last, at = math.atan2(way[1], way[0]), index
            if not known:
                known = 1.0
                found = [last] * len(found)
        found.append(last)
    return found


class Transforms:
    """What /tf and /tf_static say over time."""

    def __init__(self) -> None:
        self.moving: dict[tuple[str, str], Track] = {}
        self.fixed: dict[tuple[str, str], np.ndarray] = {}
        self.left_out: Counter[str] = Counter()

    def add(self, time_ns: int, message: Any, fixed: bool) -> None:
        """A TFMessage; transforms that are none are counted."""
        for edge in message.transforms:
            key = edge.header.frame_id.lstrip('/'), edge.child_frame_id.lstrip('/')
            single = Track()
            single.append(time_ns, _stamp(edge), edge)
            self.left_out += single.left_out
            if single.poses and fixed:
                self.fixed[key] = single.poses[0]
            elif single.poses:
                track = self.moving.setdefault(key, Track())
                track.stamps += single.stamps
                track.times += single.times
                track.poses += single.poses

    def roots(self) -> list[str]:
        """Frames that are no other one's child."""
        edges = [*self.moving, *self.fixed]
        children = {child for _, child in edges}
        return sorted({parent for parent, _ in edges} - children)

    def path(self, parent: str, child: str, moving: bool = True) -> list[tuple[str, str]] | None:
        """The frames' pairs from parent to child, either way; None if not connected."""
        parent, child = parent.lstrip('/'), child.lstrip('/')
        pairs = [*self.fixed, *(self.moving if moving else ())]
        near: dict[str, list[str]] = {}
        for a, b in pairs:
            near.setdefault(a, []).append(b)
            near.setdefault(b, []).append(a)
        ways: dict[str, list[tuple[str, str]]] = {parent: []}
        open_ = [parent]
        for a in open_:
            for b in near.get(a, []):
                if b not in ways:
                    ways[b] = [*ways[a], (a, b)]
                    open_.append(b)
        return ways.get(child)

    def static(self, parent: str, child: str) -> np.ndarray | None:
        """(4, 4) T_parent_child along /tf_static alone; None if it does not connect them."""
        way = self.path(parent, child, moving=False)
        return None if way is None else Chain(self, way, recorded=False).at(0, 0)


class Chain:
    """T_parent_child over time along a path of transforms."""

    def __init__(
        self, transforms: Transforms, path: Sequence[tuple[str, str]], recorded: bool
    ) -> None:
        self.steps: list[tuple[bool, np.ndarray | PoseTrack]] = []
        for a, b in path:
            forward = (a, b) in transforms.moving or (a, b) in transforms.fixed
            key = (a, b) if forward else (b, a)
            moving = transforms.moving.get(key)
            self.steps.append(
                (forward, moving.over(recorded) if moving else transforms.fixed[key])
            )

    def at(self, when_ns: int, max_gap_ns: int) -> np.ndarray | None:
        T: np.ndarray = np.eye(4)
        for forward, step in self.steps:
            found = step.at(when_ns, max_gap_ns) if isinstance(step, PoseTrack) else step
            if found is None:
                return None
            T = T @ (found if forward else inverse(found))
        return T


def require_frame(transforms: Transforms, frame: str, where: str) -> None:
    """SourceError with the frames there are, unless `frame` is one of /tf."""
    edges = [*transforms.moving, *transforms.fixed]
    if frame not in {name for edge in edges for name in edge}:
        roots = ', '.join(transforms.roots()) or 'none, as there is no transform'
        raise SourceError(
            f'{where}: --poses tf:{frame}: /tf has no frame {frame!r}; its roots are {roots}'
        )
