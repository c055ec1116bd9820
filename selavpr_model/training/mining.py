# SPDX-License-Identifier: MIT
"""Hard triplets for a training set: the paper's section 4.2, by global features alone.

Some random queries; for each the positive that is nearest in feature space, and of some random
images the nearest that certainly show another place. Every row is checked against its own query,
so a query that is left out cannot shift the others. Memory holds the global features of the
queries, their positives and the random images, never local features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import logging

import numpy as np

from selavpr_model.config import MiningConfig
from selavpr_model.errors import InputError
from selavpr_model.runtime.progress import progress_bar
from selavpr_model.training.training_sets import TrainingSet

logger = logging.getLogger(__name__)

QUERIES_AT_ONCE = 128
"""Bounds the matrix of distances between queries and random images."""
ExtractGlobals = Callable[[Sequence[int]], np.ndarray]
"""Rows of the training set -> (n, D) float32, L2-normalised; NaN for an image that is broken."""


@dataclass(frozen=True, slots=True, eq=False)
class Triplets:
    """Rows of a training set: queries (Q,), positives (Q,), negatives (Q, K) int64.

    positive_distances (Q,), negative_distances (Q, K) float32: L2 between the global features
    they were mined with; the negatives are the hardest first.
    """

    queries: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    positive_distances: np.ndarray
    negative_distances: np.ndarray

    def __len__(self) -> int:
        return len(self.queries)


def mine(
    data: TrainingSet,
    extract_globals: ExtractGlobals,
    rng: np.random.Generator,
    config: MiningConfig | None = None,
    progress: bool = False,
) -> Triplets:
    """Triplets in random order; a query without enough negatives or a whole image is left out."""
    config = config or MiningConfig()
    queries = _draw(data, data.queries, config.queries, rng)
    candidates = _draw(data, data.references, config.candidates, rng)
    positives = [_some(data.positives(row), config.positives, rng) for row in queries]
    features = _Features([queries, candidates, *positives], extract_globals, config, progress)
    mined = [
        triplets
        for start in range(0, len(queries), QUERIES_AT_ONCE)
        for triplets in _triplets(
            data,
            features,
            queries[start : start + QUERIES_AT_ONCE],
            positives[start : start + QUERIES_AT_ONCE],
            candidates,
            config.negatives,
        )
    ]
    if len(mined) < len(queries):
        logger.warning(
            '%d of %d queries left out: broken images, or fewer than %d certain negatives',
            len(queries) - len(mined),
            len(queries),
            config.negatives,
        )
    return _stacked(mined, config.negatives)


def most_alike(
    data: TrainingSet, features: np.ndarray, count: int, share: tuple[int, int] = (0, 1)
) -> np.ndarray:
    """(n, count) int64: for each row the queries most like it that certainly show another place.

    features: (N, D) unit global features, NaN where an image is broken; share: (rank, world), the
    rows `rank::world`, one process's of several. -1 where there are fewer.
    """
    own = np.arange(len(data))[share[0] :: share[1]]
    whole = data.queries[np.isfinite(features[data.queries]).all(axis=1)]
    alike = np.full((len(own), count), -1, np.int64)
    for start in range(0, len(own), QUERIES_AT_ONCE):
        rows = own[start : start + QUERIES_AT_ONCE]
        distances = _distances(features[rows], features[whole])
        distances[~data.different(rows, whole)] = np.inf
        order = np.argsort(distances, axis=1, kind='stable')[:, :count]
        certain = np.isfinite(np.take_along_axis(distances, order, axis=1))
        alike[start : start + len(rows), : order.shape[1]] = np.where(certain, whole[order], -1)
    return alike


_Triplet = tuple[int, int, np.ndarray, float, np.ndarray]


class _Features:
    """Global features of the rows of some lists, each extracted once; `of` looks them up."""

    def __init__(
        self,
        lists: Sequence[np.ndarray],
        extract_globals: ExtractGlobals,
        config: MiningConfig,
        progress: bool,
    ) -> None:
        self.rows = np.unique(np.concatenate(lists))
        parts = []
        with progress_bar(None, 'mine', progress, unit='image', total=len(self.rows)) as bar:
            for start in range(0, len(self.rows), config.chunk):
                rows = self.rows[start : start + config.chunk]
                parts.append(np.asarray(extract_globals(rows.tolist()), np.float32))
                if len(parts[-1]) != len(rows):
                    raise InputError(f'features: expected {len(rows)} rows, got {parts[-1].shape}')
                bar.update(len(rows))
        self.values = np.concatenate(parts)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """(n,) -> (n, D) float32."""
        return self.values[np.searchsorted(self.rows, rows)]


def _draw(data: TrainingSet, rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(at most count,) int64 of `rows` in random order, each source as likely as its weight."""
    sources = data.sources[rows]
    share = data.weights[sources] / np.bincount(sources, minlength=len(data.weights))[sources]
    drawable = int((share > 0).sum())
    return rng.choice(rows, min(count, drawable), replace=False, p=share / share.sum())


def _some(rows: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(rows)[:limit] if 0 < limit < len(rows) else rows


def _triplets(
    data: TrainingSet,
    features: _Features,
    queries: np.ndarray,
    positives: Sequence[np.ndarray],
    candidates: np.ndarray,
    count: int,
) -> list[_Triplet]:
    """The triplet of each query that has one."""
    anchors, pool = features.of(queries), features.of(candidates)
    distances = _distances(anchors, pool)  # (Q, C)
    distances[~data.different(queries, candidates)] = np.inf
    hardest = np.argsort(distances, axis=1, kind='stable')[:, :count]
    triplets: list[_Triplet] = []
    for i, query in enumerate(queries):
        to_negatives = distances[i, hardest[i]]
        to_positives = _distances(anchors[i : i + 1], features.of(positives[i]))[0]
        best = int(np.argmin(to_positives))
        enough = len(to_negatives) == count and np.isfinite(to_negatives).all()
        if enough and np.isfinite(to_positives[best]):
            negatives = candidates[hardest[i]]
            positive = int(positives[i][best])
            triplets.append((int(query), positive, negatives, to_positives[best], to_negatives))
    return triplets


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, D), (B, D) of unit length -> (A, B) float32 L2; infinite for what is broken."""
    squared = 2.0 - 2.0 * (a @ b.T)
    return np.where(np.isnan(squared), np.inf, np.sqrt(np.maximum(squared, 0.0)))


def _stacked(triplets: Sequence[_Triplet], count: int) -> Triplets:
    return Triplets(
        np.array([t[0] for t in triplets], np.int64),
        np.array([t[1] for t in triplets], np.int64),
        np.array([t[2] for t in triplets], np.int64).reshape(-1, count),
        np.array([t[3] for t in triplets], np.float32),
        np.array([t[4] for t in triplets], np.float32).reshape(-1, count),
    )
