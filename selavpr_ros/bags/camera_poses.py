# SPDX-License-Identifier: MIT
"""Where the camera was when: from the poses of a body and the way from that body to the camera."""

from __future__ import annotations

from dataclasses import dataclass
import logging
from typing import Protocol

import numpy as np

from selavpr_model.data.formats.geo import Origin
from selavpr_model.data.pose_files import T_BASE_OPTICAL
from selavpr_model.errors import SourceError
from selavpr_model.poses import PoseTrack
from selavpr_ros.bags.survey import Clock, seconds, Survey, track_span
from selavpr_ros.bags.topics import TRANSFORMS
from selavpr_ros.bags.tracks import Chain, require_frame, Track

log = logging.getLogger(__name__)


class Lookup(Protocol):
    """Poses over time."""

    def at(self, when_ns: int, max_gap_ns: int) -> np.ndarray | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class CameraPoses:
    """T_map_camera over time. recorded: looked up by the time of recording, not by stamps.

    source: for people; span: of the poses, in ns of that clock; count: how many there are; frame:
    what the recording calls the map, '' where it does not say; origin: its place on earth.
    """

    lookup: Lookup
    T_body_camera: np.ndarray
    recorded: bool = False
    source: str = 'none'
    span: tuple[int, int] = (0, 0)
    count: int = 0
    frame: str = ''
    origin: Origin | None = None

    def at(self, time_ns: int, stamp_ns: int, max_gap_ns: int) -> np.ndarray | None:
        """(4, 4), or None where no pose is near; the image's time of recording and its stamp."""
        T_map_body = self.lookup.at(time_ns if self.recorded else stamp_ns, max_gap_ns)
        return None if T_map_body is None else T_map_body @ self.T_body_camera


@dataclass(frozen=True, slots=True, eq=False)
class Mounting:
    """Where the camera sits. given: T_base_camera that the user gave; None: /tf_static says."""

    where: str
    base_frame: str
    given: np.ndarray | None
    found: Survey

    def base_camera(self) -> np.ndarray | None:
        """(4, 4) T_base_camera; None where nothing says it."""
        if self.given is not None:
            return self.given
        return self.found.transforms.static(self.base_frame, self.found.camera_frame)

    def of_body(self, body: str, topic: str) -> np.ndarray:
        """(4, 4) T_body_camera of the frame that a topic's poses are of; '' is the base frame."""
        static, camera = self.found.transforms.static, self.found.camera_frame
        base_camera = self.base_camera()
        if body in ('', self.base_frame):
            return np.eye(4) if base_camera is None else base_camera
        T_body_base = static(body, self.base_frame)
        if self.given is not None and T_body_base is not None:
            return T_body_base @ self.given
        T_body_camera = static(body, camera) if self.given is None else None
        if T_body_camera is not None:
            return T_body_camera
        log.warning(
            '%s: %s gives poses of %r, from which no /tf_static leads to %r; they are taken as '
            'those of %r: record /tf_static, or give --base-camera from %r',
            self.where, topic, body, camera, self.base_frame, body,
        )  # fmt: skip
        return np.eye(4) if base_camera is None else base_camera


def of_track(track: Track, topic: str, clock: Clock, mounting: Mounting, gap: int) -> CameraPoses:
    """The camera's poses by a topic's messages."""
    recorded = clock.recorded(track, gap)
    if track.left_out:
        reasons = ', '.join(f'{reason} ({n})' for reason, n in track.left_out.items())
        log.warning('%s: poses are left out of %s: %s', mounting.where, topic, reasons)
    if recorded:
        log.warning(
            '%s: the stamps of %s (%s) and of the images (%s) are of different clocks or not '
            'set; the times of recording join them',
            mounting.where, topic, seconds(track_span(track, False)), seconds(clock.span(False)),
        )  # fmt: skip
    if track.oriented:
        T_body_camera = mounting.of_body(track.body, topic)
    else:
        log.warning(
            '%s: %s gives no heading: it is taken from the way driven, and the camera to look '
            'ahead from the antenna', mounting.where, topic,
        )  # fmt: skip
        T_body_camera = T_BASE_OPTICAL
    source = f'{topic}, {len(track)} poses' + (f' of {track.body}' if track.body else '')
    span = track_span(track, recorded)
    return CameraPoses(
        track.over(recorded), T_body_camera, recorded, source, span, len(track), track.frame,
        track.origin,
    )  # fmt: skip


def of_transforms(name: str, clock: Clock, mounting: Mounting, gap: int) -> CameraPoses:
    """The camera's poses in the frame of `tf:FRAME`."""
    found, frame = mounting.found, name.removeprefix(TRANSFORMS)
    require_frame(found.transforms, frame, mounting.where)
    target, T_target_camera = found.camera_frame, np.eye(4)
    path = found.transforms.path(frame, target) if mounting.given is None else None
    if path is None:
        target, T_target_camera = mounting.base_frame, mounting.of_body('', name)
        path = found.transforms.path(frame, target)
    if path is None:
        raise SourceError(
            f'{mounting.where}: --poses {name}: /tf does not lead from {frame!r} to '
            f'{found.camera_frame!r} or {mounting.base_frame!r}; the roots of /tf are '
            f'{", ".join(found.transforms.roots())}'
        )
    moving = [found.transforms.moving[key] for key in _keys(path, found)]
    every = Track()
    for track in moving:
        every.stamps += track.stamps
        every.times += track.times
        every.poses += track.poses
    recorded = clock.recorded(every, gap)
    chain = Chain(found.transforms, path, recorded)
    source = f'{name} to {target}, {len(every)} transforms'
    span = track_span(every, recorded)
    return CameraPoses(chain, T_target_camera, recorded, source, span, len(every), frame)


def _keys(path: list[tuple[str, str]], found: Survey) -> list[tuple[str, str]]:
    both = [key for a, b in path for key in ((a, b), (b, a))]
    return [key for key in both if key in found.transforms.moving]


NOWHERE = CameraPoses(PoseTrack([], []), np.eye(4))
