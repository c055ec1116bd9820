# SPDX-License-Identifier: MIT
"""When two keyframes show different places: they stand, or look, too far apart.

A robot that takes one for the other is then wrong. Places without poses are compared by their
stamps; of two sessions they always differ. Poses of two frames say nothing about each other's
distance, so they always differ, too: a rival too many costs an answer, while a stranger taken for
the place itself would speak for what may be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
import math
from types import MappingProxyType

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.poses import rotation_angles
from selavpr_model.records import Place

AROUND = 3.0  # radii of a place within which views of its surroundings still look alike
NO_POSE = np.full((4, 4), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Viewpoints:
    """Where, and if that is not known when, places were seen.

    poses: (n, 4, 4), all NaN where there is none; posed: (n,) bool; frames: (n,) names of the
    frames of the poses; stamps_ns: (n,) int64; sessions: (n,) names.
    """

    poses: np.ndarray
    posed: np.ndarray
    frames: np.ndarray
    stamps_ns: np.ndarray
    sessions: np.ndarray

    @classmethod
    def of(cls, places: Sequence[Place], frames: Sequence[str] | None = None) -> Viewpoints:
        """frames: of each pose; by default all poses are in one frame."""
        return cls(
            np.array([NO_POSE if p.pose is None else p.pose for p in places]).reshape(-1, 4, 4),
            np.array([p.pose is not None for p in places], bool),
            np.array([''] * len(places) if frames is None else frames, str),
            np.array([p.stamp_ns for p in places], np.int64),
            np.array([p.session for p in places], str),
        )

    def __len__(self) -> int:
        return len(self.poses)

    def from_one(self, other: Viewpoints, config: RecognizerConfig) -> np.ndarray:
        """(n,) bool, whether each of these and the only one of `other` show different places."""
        apart = self._apart_in_time(other, config)
        both = self.posed & other.posed[0]
        if both.any():
            apart[both] = self._apart_in_space(other.poses[0], other.frames[0], both, config)
        return apart

    def _apart_in_time(self, other: Viewpoints, config: RecognizerConfig) -> np.ndarray:
        seconds = np.abs(self.stamps_ns - other.stamps_ns[0]) * 1e-9
        return (self.sessions != other.sessions[0]) | (seconds > config.distinct_time_s)

    def _apart_in_space(
        self, pose: np.ndarray, frame: str, rows: np.ndarray, config: RecognizerConfig
    ) -> np.ndarray:
        """rows: (n,) bool, those that are compared."""
        poses = self.poses[rows]
        far = np.linalg.norm(poses[:, :3, 3] - pose[:3, 3], axis=1) > config.distinct_radius_m
        angles = rotation_angles(poses[:, :3, :3], pose[:3, :3])
        turned = angles > math.radians(config.distinct_angle_deg)
        return (self.frames[rows] != frame) | far | turned

    def at(self, row: int) -> Viewpoints:
        """The one of a row."""
        return self.some([row])

    def some(self, rows: Sequence[int]) -> Viewpoints:
        """Those of the rows."""
        return Viewpoints(
            self.poses[rows], self.posed[rows], self.frames[rows], self.stamps_ns[rows],
            self.sessions[rows],
        )  # fmt: skip


def wider(config: RecognizerConfig) -> RecognizerConfig:
    """Where places are different only from AROUND times as far on."""
    return replace(
        config,
        distinct_radius_m=AROUND * config.distinct_radius_m,
        distinct_time_s=AROUND * config.distinct_time_s,
    )


class Distinct:
    """Which of the places of one frame show different places; each is compared once.

    `distinct[i]` is (n,) bool: whether the i-th and each of them do. Places that a loop closure
    joins are one, and so are those at the same place as either of its ends.
    """

    def __init__(
        self, viewpoints: Viewpoints, config: RecognizerConfig,
        joined: Mapping[int, Collection[int]] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """joined: index -> indices that a closure joins with it."""
        self._viewpoints, self._config, self._joined = viewpoints, config, joined
        self._apart: dict[int, np.ndarray] = {}
        self._rows: dict[int, np.ndarray] = {}

    def __getitem__(self, index: int) -> np.ndarray:
        if index not in self._rows:
            apart = self._by_viewpoint(index)
            here = {index, *np.flatnonzero(~apart).tolist()} if self._joined else set()
            partners = sorted({p for one in here for p in self._joined.get(one, ())} - here)
            self._rows[index] = np.logical_and.reduce(
                [apart, *(self._by_viewpoint(partner) for partner in partners)]
            )
            self._rows[index][partners] = False
        return self._rows[index]

    def _by_viewpoint(self, index: int) -> np.ndarray:
        """The same, by what is known of each of the two alone."""
        if index not in self._apart:
            one = self._viewpoints.at(index)
            self._apart[index] = self._viewpoints.from_one(one, self._config)
        return self._apart[index]


def distinct_from(place: Place, others: Sequence[Place], config: RecognizerConfig) -> np.ndarray:
    """(n,) bool, whether `place` and each of the others show different places; one frame."""
    return Viewpoints.of(others).from_one(Viewpoints.of([place]), config)


def are_distinct(a: Place, b: Place, config: RecognizerConfig) -> bool:
    """Whether two places are different ones, with poses in one frame."""
    return bool(distinct_from(a, [b], config)[0])
