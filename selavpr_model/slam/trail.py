# SPDX-License-Identifier: MIT
"""The way of a run: where odometry, or an assumed speed, puts its keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selavpr_model.config import SlamConfig
from selavpr_model.poses import inverse
from selavpr_model.records import Frame, Place


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A moment of a run. pose: (4, 4) T_odom_camera, or on a line along z where `blind`, without
    odometry; leg: poses of different legs have no common frame; elapsed, travelled: since start.
    """

    stamp_ns: int
    pose: np.ndarray
    leg: int
    blind: bool
    travelled_m: float = 0.0
    elapsed_s: float = 0.0


class Trail:
    """Spots of keyframes, in order. Stamps that jump back and odometry that jumps start a leg."""

    def __init__(self, config: SlamConfig, speed_mps: float, first_leg: int = 0) -> None:
        self._config, self._speed_mps = config, speed_mps
        self._next_leg = first_leg
        self.spots: list[Spot] = []
        self._searchable = 0

    def locate(self, frame: Frame) -> Spot:
        """The frame's spot; nothing is remembered until `add`."""
        odom = frame.odom if frame.odom is not None and np.isfinite(frame.odom).all() else None
        if not self.spots:
            return self._fresh(frame.stamp_ns, odom, 0.0, 0.0)
        last = self.spots[-1]
        seconds = max(0.0, (frame.stamp_ns - last.stamp_ns) * 1e-9)
        far = (
            self._speed_mps * seconds if odom is None or last.blind else distance(last.pose, odom)
        )
        jumped = far > self._config.max_speed_mps * seconds and not last.blind
        going = last.travelled_m + (0.0 if jumped else far), last.elapsed_s + seconds
        if jumped or last.blind != (odom is None) or last.leg != self._next_leg:
            return self._fresh(frame.stamp_ns, odom, *going)
        pose = ahead(last.pose, far) if odom is None else odom
        return Spot(frame.stamp_ns, pose, last.leg, last.blind, *going)

    def _fresh(
        self, stamp: int, odom: np.ndarray | None, travelled: float, elapsed: float
    ) -> Spot:
        leg = self._next_leg + bool(self.spots and self.spots[-1].leg == self._next_leg)
        return Spot(
            stamp, np.eye(4) if odom is None else odom, leg, odom is None, travelled, elapsed
        )

    def add(self, spot: Spot) -> None:
        self._next_leg = spot.leg
        self.spots.append(spot)

    def break_off(self) -> None:
        """The robot was carried or time jumped: the next spot starts a leg."""
        if self.spots:
            self._next_leg = self.spots[-1].leg + 1

    def searchable(self, now: Spot) -> int:
        """How many of the first spots are long enough ago, in time and in distance."""
        config = self._config
        while self._searchable < len(self.spots):
            spot = self.spots[self._searchable]
            near = now.travelled_m - spot.travelled_m < config.exclude_m
            if near or now.elapsed_s - spot.elapsed_s < config.exclude_s:
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


def spots_of(places: Sequence[Place], speed_mps: float) -> list[Spot]:
    """Places of earlier runs, a leg for each; those without a pose on a line in time."""
    legs: dict[tuple[str, bool], int] = {}
    spots = []
    for place in places:
        blind = place.pose is None
        leg = legs.setdefault((place.session, blind), len(legs))
        seconds = (place.stamp_ns - places[0].stamp_ns) * 1e-9
        pose = ahead(np.eye(4), speed_mps * seconds) if place.pose is None else place.pose
        spots.append(Spot(place.stamp_ns, pose, leg, blind))
    return spots


def motion_error_m(a: tuple[Spot, Spot], b: tuple[Spot, Spot]) -> tuple[float, float]:
    """How far two motions are from being one, and the length of the first, m.

    Where only one of them is blind, the lengths of the ways are compared. Two blind ones are both
    on a line, so the same way driven backwards is another motion: a camera sees other things then.
    """
    first, second = (inverse(x.pose) @ y.pose for x, y in (a, b))
    length, other = float(np.linalg.norm(first[:3, 3])), float(np.linalg.norm(second[:3, 3]))
    if len({spot.blind for spot in (*a, *b)}) > 1:
        return abs(length - other), length
    return distance(first, second), length
