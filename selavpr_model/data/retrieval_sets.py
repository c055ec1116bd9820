# SPDX-License-Identifier: MIT
"""What a retrieval data set is: images, where each was taken, and which of them show one place.

Every layout comes down to the same thing: each image has a position (metres, or the index of a
frame) and a group, and two images show one place when they are of one group, at most `radius`
apart and, where asked, look at most `max_angle_deg` apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

ROUNDING = 1e-6
"""Added to a radius: positions are decimals, and `up to` includes what is exactly as far."""
ANY_ANGLE = 180.0


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Files with positions (N, d) float64 and groups (N,) int64.

    headings: (N, 3) float64 unit vectors along the line of sight, NaN where not known; None: none
    is. runs: (N,) int64, which drive of its group an image is of; None: one drive.
    """

    files: tuple[Path, ...]
    positions: np.ndarray
    groups: np.ndarray
    headings: np.ndarray | None = None
    runs: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Sequence[int] | np.ndarray) -> ImageSet:
        return ImageSet(
            tuple(self.files[i] for i in rows),
            self.positions[rows],
            self.groups[rows],
            None if self.headings is None else self.headings[rows],
            None if self.runs is None else self.runs[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalSet:
    """What is asked and what may be answered; `protocol` says in words how they were chosen.

    In a set for training the queries may be the references themselves (the same object).
    negative_radius: images of one group certainly show different places beyond it; inf: never.
    listed: for each query the rows of the references that are right, where a file says it.
    """

    name: str
    protocol: str
    queries: ImageSet
    references: ImageSet
    radius: float
    max_angle_deg: float = ANY_ANGLE
    negative_radius: float = math.inf
    listed: tuple[np.ndarray, ...] | None = None

    def positives(self, radius: float | None = None) -> list[np.ndarray]:
        """For each query the rows (n,) int64, rising, of the references that show its place."""
        if self.listed is not None:
            return list(self.listed)
        wanted = self.radius if radius is None else radius
        return near(self.queries, self.references, wanted, self.max_angle_deg)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked of a data set.

    tolerance, max_angle_deg: None is the layout's own, else in its unit (m or frames; degrees).
    split: '' is the layout's own. floors: values of the floor column, empty for all.
    query_slice: which of the queries in their order; names: which numbers in the names of pairs;
    None for all. queries: folder of the queries in an @utm@ tree. training: everything a model may
    learn from, instead of queries and references.
    """

    tolerance: float | None = None
    split: str = ''
    floors: tuple[str, ...] = ()
    query_slice: slice | None = None
    names: slice | None = None
    queries: str = ''
    max_angle_deg: float | None = None
    training: bool = False


def near(
    queries: ImageSet, references: ImageSet, radius: float, max_angle_deg: float = ANY_ANGLE
) -> list[np.ndarray]:
    """For each query the rising rows (n,) int64 of its group's references up to `radius` away.

    References whose known heading differs by more than `max_angle_deg` are left out.
    """
    rows_near = [np.empty(0, np.int64)] * len(queries)
    for group in np.unique(queries.groups):
        group_queries = np.flatnonzero(queries.groups == group)
        rows = np.flatnonzero(references.groups == group)
        if not len(rows):
            continue
        tree = cKDTree(references.positions[rows])
        hits = tree.query_ball_point(queries.positions[group_queries], radius + ROUNDING)
        for query, hit in zip(group_queries, hits, strict=True):
            close = rows[np.sort(np.asarray(hit, np.int64))]
            rows_near[query] = _facing(queries, int(query), references, close, max_angle_deg)
    return rows_near


def _facing(
    queries: ImageSet, query: int, references: ImageSet, rows: np.ndarray, max_angle_deg: float
) -> np.ndarray:
    """Those of `rows` that look the query's way; all of them where a heading is not known."""
    if max_angle_deg >= ANY_ANGLE or queries.headings is None or references.headings is None:
        return rows
    cosine = references.headings[rows] @ queries.headings[query]
    return rows[~(cosine < math.cos(math.radians(max_angle_deg)) - ROUNDING)]


def image_set(files: Sequence[Path], positions: np.ndarray) -> ImageSet:
    """Images of one group at (N, d) positions."""
    return ImageSet(tuple(files), positions, np.zeros(len(files), np.int64))


def concatenated(parts: Sequence[ImageSet]) -> ImageSet:
    """The images of all parts; headings and runs where every part has them."""

    def column(name: str) -> np.ndarray | None:
        columns = [getattr(part, name) for part in parts]
        return None if any(c is None for c in columns) else np.concatenate(columns)

    return ImageSet(
        tuple(file for part in parts for file in part.files),
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.groups for part in parts]),
        column('headings'),
        column('runs'),
    )
