# SPDX-License-Identifier: MIT
"""The way of a run: where odometry, or an assumed speed, puts its keyframes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from selavpr_model.config import SlamConfig
from selavpr_model.poses import inverse
from selavpr_model.records import Place

LATELY = 100  # keyframes


@dataclass(frozen=True, slots=True, eq=False)
class TrackPoint:
    """A moment of a run.

    pose: (4, 4) T_odom_camera; without odometry (`blind`) on a line along z. segment: number of
    the stretch of unbroken odometry; poses of different segments have no common frame.
    travelled_m, elapsed_s: since the start of the run.
    """

    stamp_ns: int
    pose: np.ndarray
    segment: int
    blind: bool
    travelled_m: float = 0.0
    elapsed_s: float = 0.0


class OdometryTrack:
    """Points of the keyframes, in order.

    A segment starts where the odometry jumps, ends or comes back, and after `break_off`.
    """

    def __init__(self, config: SlamConfig, speed_mps: float, first_segment: int = 0) -> None:
        """speed_mps: assumed where there is no odometry."""
        self._config, self._speed_mps = config, speed_mps
        self._next_segment = first_segment
        self.points: list[TrackPoint] = []
        self._searchable = 0

    def locate(self, stamp_ns: int, odom: np.ndarray | None) -> TrackPoint:
        """The point of a moment; nothing is remembered until `add`.

        odom: (4, 4) T_odom_camera, None or not finite where there is none.
        """
        odom = odom if odom is not None and np.isfinite(odom).all() else None
        if not self.points:
            return self._fresh(stamp_ns, odom, 0.0, 0.0)
        last = self.points[-1]
        seconds = max(0.0, (stamp_ns - last.stamp_ns) * 1e-9)
        far = (
            self._speed_mps * seconds if odom is None or last.blind else distance(last.pose, odom)
        )
        jumped = far > self._config.max_speed_mps * seconds and not last.blind
        so_far = last.travelled_m + (0.0 if jumped else far), last.elapsed_s + seconds
        if jumped or last.blind != (odom is None) or last.segment != self._next_segment:
            return self._fresh(stamp_ns, odom, *so_far)
        pose = ahead(last.pose, far) if odom is None else odom
        return TrackPoint(stamp_ns, pose, last.segment, last.blind, *so_far)

    def _fresh(
        self, stamp: int, odom: np.ndarray | None, travelled: float, elapsed: float
    ) -> TrackPoint:
        """The first point of a segment."""
        is_used = bool(self.points and self.points[-1].segment == self._next_segment)
        pose, segment = np.eye(4) if odom is None else odom, self._next_segment + is_used
        return TrackPoint(stamp, pose, segment, odom is None, travelled, elapsed)

    def add(self, point: TrackPoint) -> None:
        self._next_segment = point.segment
        self.points.append(point)

    def continues(self, point: TrackPoint) -> bool:
        """Whether the motion from the last point to this one is known."""
        return not self.points or self.points[-1].segment == point.segment

    def break_off(self) -> None:
        """The robot was carried or time jumped: the next point starts a segment."""
        if self.points:
            self._next_segment = self.points[-1].segment + 1

    @property
    def spacing_m(self) -> float:
        """Median distance of the last consecutive keyframes, m; 0 where there were none."""
        points = [point for point in self.points[-LATELY:] if not point.blind]
        ways = [distance(a.pose, b.pose) for a, b in pairwise(points) if a.segment == b.segment]
        return float(np.median(ways)) if ways else 0.0

    def searchable(self, now: TrackPoint) -> int:
        """How many of the first points are long enough ago, in time and in distance."""
        config = self._config
        while self._searchable < len(self.points):
            point = self.points[self._searchable]
            near = now.travelled_m - point.travelled_m < config.exclude_m
            if near or now.elapsed_s - point.elapsed_s < config.exclude_s:
                break
            self._searchable += 1
        return self._searchable


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3]))


def ahead(pose: np.ndarray, metres: float) -> np.ndarray:
    """The pose moved along its z axis, which is where a camera looks."""
    moved = pose.copy()
    moved[:3, 3] += metres * pose[:3, 2]
    return moved


def points_of(
    places: Sequence[Place], speed_mps: float, unaligned: Collection[str]
) -> list[TrackPoint]:
    """Places of earlier runs: one segment for all in the frame of the map, one for each run that
    is unaligned or, on a line in time, has no poses."""
    segments: dict[tuple[str, bool], int] = {}
    points = []
    for place in places:
        blind = place.pose is None
        run = place.session if blind or place.session in unaligned else ''
        segment = segments.setdefault((run, blind), len(segments))
        seconds = (place.stamp_ns - places[0].stamp_ns) * 1e-9
        pose = ahead(np.eye(4), speed_mps * seconds) if place.pose is None else place.pose
        points.append(TrackPoint(place.stamp_ns, pose, segment, blind))
    return points


def motion_error_m(
    a: tuple[TrackPoint, TrackPoint], b: tuple[TrackPoint, TrackPoint]
) -> tuple[float, float]:
    """How far two motions are from being one, and the length of the first, m.

    Where only one of them is blind, the lengths of the ways are compared. Two blind ones are both
    on a line, so the same way driven backwards is another motion: a camera sees other things then.
    """
    first, second = (inverse(x.pose) @ y.pose for x, y in (a, b))
    length, other = float(np.linalg.norm(first[:3, 3])), float(np.linalg.norm(second[:3, 3]))
    if len({point.blind for point in (*a, *b)}) > 1:
        return abs(length - other), length
    return distance(first, second), length
