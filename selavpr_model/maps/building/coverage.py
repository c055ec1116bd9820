# SPDX-License-Identifier: MIT
"""What of the world a map covers: ways, area, looks of each place, gaps, sessions, names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
import math
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.distinct import Viewpoints
from selavpr_model.maps.place_map import PlaceMap

CELL_M = 1.0  # of the raster that areas are counted on
GAP_STEPS = 3.0  # a step of a session is a gap from so many of its usual steps on
MOST_RASTER = 20_000  # keyframes whose discs are drawn; of more every n-th


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch between two keyframes of a session, by their ids, that no session covers; m."""

    before: int
    after: int
    length_m: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """way_m: driven once, however often it was driven; area_m2: within `radius_m` of a keyframe.

    looks: number of sessions that show a place -> keyframes; gaps: longest first; sessions: name
    -> places, posed, aligned, metres driven; names: what `selavpr map edit` named -> places.
    """

    radius_m: float
    way_m: float
    area_m2: float
    looks: dict[int, int]
    gaps: list[Gap]
    sessions: dict[str, dict[str, Any]]
    names: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        return {**values, 'looks': {str(n): count for n, count in self.looks.items()}}


def coverage(place_map: PlaceMap, config: RecognizerConfig | None = None) -> Coverage:
    """Of the keyframes with a pose in the frame of the map; the others are only counted."""
    config = config or RecognizerConfig()
    radius = config.distinct_radius_m
    positions, sessions = place_map.positions, np.array([p.session for p in place_map.places])
    posed = np.isfinite(positions).all(axis=1)
    ways = {s: np.flatnonzero(posed & (sessions == s)) for s in sorted(place_map.sessions)}
    gaps = list(_gaps(place_map, positions, ways, radius))
    return Coverage(
        radius,
        _way(positions, ways, radius),
        _area(positions[posed], radius),
        _looks(place_map, posed, config),
        sorted(gaps, key=lambda gap: -gap.length_m),
        {s: _session(place_map, s, sessions, positions, ways[s]) for s in ways},
        dict(Counter(p.label for p in place_map.places if p.label)),
    )


def _session(
    place_map: PlaceMap, name: str, sessions: np.ndarray, positions: np.ndarray, rows: np.ndarray
) -> dict[str, Any]:
    driven, _ = _steps(positions[rows])
    return {
        'places': int((sessions == name).sum()),
        'posed': len(rows),
        'aligned': name not in place_map.unaligned_sessions,
        'way_m': round(float(driven.sum()), 3),
    }


def _steps(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) -> lengths of the steps (n - 1,), 0 for gaps; (n - 1,) bool, which are gaps."""
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    usual = float(np.median(lengths)) if len(lengths) else 0.0
    wide = lengths > GAP_STEPS * max(usual, CELL_M)
    return np.where(wide, 0.0, lengths), wide


def _way(positions: np.ndarray, ways: dict[str, np.ndarray], radius: float) -> float:
    """Metres of way, each stretch once: steps that end near an earlier one do not count.

    Earlier is another session, or the same one 2 radii of way before.
    """
    total, before = 0.0, np.empty((0, 3))
    for rows in ways.values():
        points = positions[rows]
        lengths, _ = _steps(points)
        travelled = np.concatenate([[0.0], np.cumsum(lengths)])
        again = _near(points, before, radius) | _comes_back(points, travelled, radius)
        total += float(lengths[~again[1:]].sum()) if len(points) else 0.0
        before = np.concatenate([before, points])
    return total


def _near(points: np.ndarray, others: np.ndarray, radius: float) -> np.ndarray:
    if not len(others) or not len(points):
        return np.zeros(len(points), bool)
    return np.isfinite(cKDTree(others).query(points, distance_upper_bound=radius)[0])


def _comes_back(points: np.ndarray, travelled: np.ndarray, radius: float) -> np.ndarray:
    """(n,) bool, whether a point is near one that lies more than 2 radii of way before it."""
    if not len(points):
        return np.zeros(0, bool)
    near = cKDTree(points).query_ball_point(points, radius)
    first = np.array([travelled[min(rows)] for rows in near])
    return travelled - first > 2.0 * radius


def _area(points: np.ndarray, radius: float) -> float:
    """m^2 within the radius of a keyframe, seen along the axis in which the map extends least."""
    if not len(points):
        return 0.0
    flat = np.sort(np.argsort(np.ptp(points, axis=0))[1:])
    cells = np.unique(np.round(points[:, flat] / CELL_M).astype(np.int64), axis=0)
    cells = cells[:: max(1, math.ceil(len(cells) / MOST_RASTER))]
    reach = math.ceil(radius / CELL_M)
    grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1).reshape(-1, 2)
    disc = grid[np.linalg.norm(grid, axis=1) * CELL_M <= radius]
    covered = np.unique((cells[:, None] + disc).reshape(-1, 2), axis=0)
    return float(len(covered) * CELL_M**2)


def _looks(place_map: PlaceMap, posed: np.ndarray, config: RecognizerConfig) -> dict[int, int]:
    """Number of sessions that show the place of a keyframe -> keyframes."""
    rows = np.flatnonzero(posed)
    places = [place_map.places[row] for row in rows.tolist()]
    views, counts = Viewpoints.of(places), Counter[int]()
    near = cKDTree(views.poses[:, :3, 3]).query_ball_point(
        views.poses[:, :3, 3], config.distinct_radius_m
    ) if len(rows) else []  # fmt: skip
    for index, beside in enumerate(near):
        same = ~views.some(beside).from_one(views.at(index), config)
        counts[len({places[i].session for i, s in zip(beside, same, strict=True) if s})] += 1
    return dict(sorted(counts.items()))


def _gaps(
    place_map: PlaceMap, positions: np.ndarray, ways: dict[str, np.ndarray], radius: float
) -> Iterator[Gap]:
    """Wide steps whose points are not all within the radius of keyframes."""
    posed = positions[np.isfinite(positions).all(axis=1)]
    for rows in ways.values():
        points = positions[rows]
        for step in np.flatnonzero(_steps(points)[1]).tolist():
            a, b = points[step], points[step + 1]
            length = float(np.linalg.norm(b - a))
            between = a + np.linspace(0.0, 1.0, 2 + int(length / CELL_M))[:, None] * (b - a)
            if not _near(between, posed, radius).all():
                before, after = (place_map.places[int(rows[k])].id for k in (step, step + 1))
                yield Gap(before, after, round(length, 3))
