# SPDX-License-Identifier: MIT
"""The images a model learns from: any mix of data sets as one list, and what is near what.

A row is an image of any source. Two rows show one place when they are positives of each other,
certainly different ones when they are further apart than their source's negative radius or of
other groups (videos, worlds, cities, sources); what lies between is never used. No image is read.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import glob
import math
from pathlib import Path

import numpy as np

from selavpr_model.config import EvaluationConfig, SourceConfig
from selavpr_model.data.datasets import listed, open_dataset, parse_slice
from selavpr_model.data.retrieval_sets import concatenated, RetrievalSet, ROUNDING
from selavpr_model.errors import ConfigError, SourceError

ATTEMPTS = 1000
"""Draws for one place of a batch before its size is called too large for the data."""

CHOICE = 3
"""Places that look alike are drawn among so many times as many as are wanted."""


class TrainingSet:
    """All images of some sources, N rows.

    files: N paths. positions (N, 3) float64, padded with 0. headings (N, 3) float64 unit vectors,
    NaN where not known. groups, runs, sources (N,) int64; groups never span sources, sources index
    `names`. queries (Q,) int64: rows that may be asked and have a positive. references (R,) int64:
    rows that may answer. protocol: every source in words. weights (S,) float64.
    """

    def __init__(
        self,
        parts: Sequence[RetrievalSet],
        weights: Sequence[float] | None = None,
        other_run: Sequence[bool] | None = None,
    ) -> None:
        """parts: one or more sets opened with training=True; weights: 1 each where not given."""
        if not parts:
            raise ConfigError('sources: expected at least one data set to train on, got none')
        self.parts = tuple(parts)
        self.names = tuple(part.name for part in parts)
        self.protocol = '; '.join(f'{part.name}: {part.protocol}' for part in parts)
        self.weights = np.ones(len(parts)) if weights is None else np.array(weights, np.float64)
        self._other_run = np.ones(len(parts), bool) if other_run is None else np.array(other_run)
        blocks = [_Block(part) for part in parts]
        self.files = _each_once([file for block in blocks for file in block.images.files])
        sizes = [len(block.images) for block in blocks]
        self._first = np.cumsum([0, *sizes[:-1]])
        self.sources = np.repeat(np.arange(len(parts)), sizes)
        self.positions = np.concatenate([block.positions for block in blocks])
        self.headings = np.concatenate([block.headings for block in blocks])
        self.runs = np.concatenate([block.runs for block in blocks])
        self.groups = _without_overlap([block.images.groups for block in blocks])
        self._negative_radius = np.repeat([part.negative_radius for part in parts], sizes)
        self._starts, self._rows = _packed(
            [rows + start for b, start in zip(blocks, self._first, strict=True) for rows in b.near]
        )
        asks = np.concatenate([block.asks for block in blocks])
        answers = np.concatenate([block.answers for block in blocks])
        self.queries = np.flatnonzero(asks & (np.diff(self._starts) > 0))
        self.references = np.flatnonzero(answers)
        self._queries_of = [
            self.queries[self.sources[self.queries] == s] for s in range(len(parts))
        ]
        self.weights *= [len(rows) > 0 for rows in self._queries_of]
        if not self.weights.sum() > 0:
            raise SourceError(
                f'sources: expected images with a positive, got none: {self.protocol}'
            )

    def __len__(self) -> int:
        return len(self.files)

    def positives(self, row: int) -> np.ndarray:
        """(n,) int64, rising: the rows that show the place of `row`, without itself."""
        return self._rows[self._starts[row] : self._starts[row + 1]]

    def different(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(A,), (B,) -> (A, B) bool: whether two rows certainly show different places."""
        gap = self.positions[rows][:, None] - self.positions[others][None]
        far = np.linalg.norm(gap, axis=2) > self._negative_radius[rows][:, None] + ROUNDING
        return far | (self.groups[rows][:, None] != self.groups[others][None])

    def sample_pairs(
        self, rng: np.random.Generator, places: int, images: int = 2, source: int | None = None
    ) -> np.ndarray:
        """(places, images) int64: in each row a query and positives of it; one batch.

        No two rows of the batch may show one place: all their images are certainly different.
        Each place is of a source drawn by weight (or of `source`), each query equally likely in
        it. Where a query has fewer positives than asked for, they repeat.
        """
        batch = np.empty((0, images), np.int64)
        for _ in range(places):
            batch = np.vstack([batch, self._draw(rng, batch, images, places, source)])
        return batch

    def sample_alike(
        self, rng: np.random.Generator, places: int, group: int, alike: np.ndarray
    ) -> np.ndarray:
        """(places, 2) int64 as sample_pairs, in groups of places that are taken for each other.

        alike: (N, M) int rows that look most like each row, -1 for none. The first of a group is
        drawn as in sample_pairs, the others at random among the most alike of it; those that do
        not fit are left out, and the group stays smaller.
        """
        batch = np.empty((0, 2), np.int64)
        while len(batch) < places:
            first = self._draw(rng, batch, 2, places, None)
            batch = np.vstack([batch, first])
            near = alike[first[0]]
            most = min(group - 1, places - len(batch))
            for query in rng.permutation(near[near >= 0][: CHOICE * most])[:most]:
                views = np.append(query, self._views(rng, int(query), 1))
                if self.different(views, batch.ravel()).all():
                    batch = np.vstack([batch, views])
        return batch

    def _draw(
        self,
        rng: np.random.Generator,
        batch: np.ndarray,
        images: int,
        places: int,
        source: int | None,
    ) -> np.ndarray:
        """(images,) int64: one more place for the batch; SourceError when there seems none."""
        shares = self.weights / self.weights.sum()
        for _ in range(ATTEMPTS):
            of = int(rng.choice(len(shares), p=shares)) if source is None else source
            query = int(rng.choice(self._queries_of[of]))
            views = np.append(query, self._views(rng, query, images - 1))
            if self.different(views, batch.ravel()).all():
                return views
        raise SourceError(
            f'batch: expected {places} places that are certainly different, found {len(batch)}; '
            'make the batch smaller or add sources'
        )

    def _views(self, rng: np.random.Generator, query: int, count: int) -> np.ndarray:
        """(count,) int64 positives of a query, of another run where asked for and there."""
        rows = self.positives(query)
        if self._other_run[self.sources[query]]:
            others = rows[self.runs[rows] != self.runs[query]]
            rows = others if len(others) else rows
        return rng.choice(rows, count, replace=len(rows) < count)


class _Block:
    """The images of one data set, references first, with the positives of each."""

    def __init__(self, part: RetrievalSet) -> None:
        both = part.queries is part.references
        count, queries = len(part.references), len(part.queries)
        self.images = part.references if both else concatenated([part.references, part.queries])
        self.asks = np.arange(len(self.images)) >= (0 if both else count)
        self.answers = np.arange(len(self.images)) < count
        empty = np.empty(0, np.int64)
        positives = part.positives()
        self.near = (
            [rows[rows != i] for i, rows in enumerate(positives)]
            if both
            else [empty] * count + positives
        )
        assert len(self.near) == (count if both else count + queries)
        size, given = len(self.images), self.images
        self.positions = np.zeros((size, 3))
        self.positions[:, : given.positions.shape[1]] = given.positions
        nowhere = np.full((size, 3), math.nan)
        self.headings = nowhere if given.headings is None else given.headings
        self.runs = np.zeros(size, np.int64) if given.runs is None else given.runs


def _each_once(files: Sequence[Path]) -> tuple[Path, ...]:
    if len(set(files)) < len(files):
        twice = next(file for i, file in enumerate(files) if file in files[:i])
        raise ConfigError(f'sources: expected each image once, got {twice} in two of them')
    return tuple(files)


def _without_overlap(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Groups of all parts, numbered so that no two parts share one."""
    numbered, start = [], 0
    for groups in parts:
        _, inverse = np.unique(groups, return_inverse=True)
        numbered.append(inverse + start)
        start += int(inverse.max()) + 1
    return np.concatenate(numbered)


def _packed(lists: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(N + 1,) int64 starts and all rows in one array."""
    starts = np.cumsum([0, *map(len, lists)])
    return starts, np.concatenate(lists).astype(np.int64)


def open_training_set(
    sources: Sequence[SourceConfig],
    base: Path | str = '.',
    config: EvaluationConfig | None = None,
) -> TrainingSet:
    """All sources; relative paths are below `base`, a pattern's folders are sources of their own.

    The weight of a pattern is shared by its folders in proportion to their queries.
    """
    parts, weights, other_run = [], [], []
    for source in sources:
        opened = [_open(folder, source, config) for folder in _folders(source.path, Path(base))]
        sizes = np.array([len(part.queries) for part in opened], np.float64)
        parts += opened
        weights += list(source.weight * sizes / sizes.sum())
        other_run += [source.other_run] * len(opened)
    return TrainingSet(parts, weights, other_run)


def _folders(pattern: str, base: Path) -> list[Path]:
    """The folders of a source in order of name; SourceError when there are none."""
    path = str(base / Path(pattern).expanduser())
    folders = [Path(p) for p in sorted(glob.glob(path)) if Path(p).is_dir()]  # noqa: PTH207
    if not pattern or not folders:
        raise SourceError(f'sources: path: expected a folder or a pattern of some, got {path!r}')
    return folders


def _open(folder: Path, source: SourceConfig, config: EvaluationConfig | None) -> RetrievalSet:
    data = open_dataset(
        folder,
        source.positive_radius,
        split=source.split,
        floors=listed(source.floors),
        names=None if source.names == ':' else parse_slice(source.names),
        queries=source.queries,
        max_angle_deg=source.max_angle_deg,
        training=True,
        config=config,
    )
    if source.negative_radius is None:
        return data
    return dataclasses.replace(data, negative_radius=source.negative_radius)
