# SPDX-License-Identifier: MIT
"""Scores of a retrieval: recall at N with its interval, and the precision-recall curve.

A ranking is a row of reference rows, best first; positives are the reference rows that show the
query's place. Recall is in percent over all queries: one without positives counts as missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

RECALL_AT = (1, 5, 10)
NEVER = np.iinfo(np.int64).max
"""The rank of a positive that was not retrieved."""


def first_hits(ranked: Iterable[np.ndarray], positives: Iterable[np.ndarray]) -> np.ndarray:
    """(Q,) int64: the rank, from 0, of each query's first positive; NEVER where there is none."""
    pairs = zip(ranked, positives, strict=True)
    hits = (np.flatnonzero(np.isin(order, right)) for order, right in pairs)
    return np.array([h[0] if len(h) else NEVER for h in hits], dtype=np.int64)


def recall_of_hits(hits: np.ndarray, ns: Sequence[int] = RECALL_AT) -> dict[int, float]:
    """N -> percent of the first hits (Q,) that are below N; NaN when there is no query."""
    return {n: 100.0 * float(np.mean(hits < n)) if len(hits) else float('nan') for n in ns}


def bootstrap_interval(
    hits: np.ndarray, n: int, samples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """The interval of recall at n in percent when the queries are drawn again with replacement.

    The number of hits in such a draw is binomial, so it is drawn as one.
    """
    rng = np.random.default_rng(seed)
    recalls = 100.0 * rng.binomial(len(hits), np.mean(hits < n), samples) / len(hits)
    low, high = np.quantile(recalls, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecall:
    """One point per threshold, from the strictest down; all (T,) float64, fractions in [0, 1]."""

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def auc(self) -> float:
        """Area under the curve as a sum of steps (average precision): nothing interpolated."""
        return float(np.sum(np.diff(self.recall, prepend=0.0) * self.precision))

    @property
    def recall_at_full_precision(self) -> float:
        """The largest recall that any threshold reaches without one false match."""
        return float(np.max(self.recall, where=self.precision == 1.0, initial=0.0))


def precision_recall(scores: np.ndarray, right: np.ndarray, possible: int) -> PrecisionRecall:
    """The curve of accepting each query's best place where its score (Q,) reaches a threshold.

    right: (Q,) bool, that place is a positive; possible: queries that have a positive at all.
    Equal scores are accepted together. NaN or -inf: no answer, never accepted.
    """
    answered = np.isfinite(scores)
    order = np.argsort(-scores[answered], kind='stable')
    values, correct = scores[answered][order], right[answered][order]
    # the last of each run of equal scores: NaN equals nothing, so the end is always one
    last = np.flatnonzero(values != np.append(values[1:], np.nan))
    true = np.cumsum(correct)[last].astype(np.float64)
    return PrecisionRecall(values[last], true / (last + 1), true / max(possible, 1))
