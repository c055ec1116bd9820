# SPDX-License-Identifier: MIT
"""How far each number that could be trusted separates right from wrong best places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from selavpr_model.decision.reliability import (
    Bin,
    calibration_error,
    chance_error,
    precision_at,
    reliability,
)
from selavpr_model.evaluation.metrics import precision_recall, PrecisionRecall

SIMILARITY, MATCHES, ALONE, OVER_TIME = 'similarity', 'matches', 'confidence', 'over_time'
TITLES = {
    SIMILARITY: 'cosine',
    MATCHES: 'match count',
    ALONE: 'confidence alone',
    OVER_TIME: 'with time',
}
PROBABILITIES = (ALONE, OVER_TIME)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One number a query: the score of its best place (Q,), NaN for none, and whether it is right.

    Each order of the places has a best one of its own.
    """

    scores: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """Curves of all numbers; of probabilities also how well they keep what they promise.

    accepted: name -> (precision, None without any; count) at min_precision.
    """

    min_precision: float
    curves: dict[str, PrecisionRecall] = field(default_factory=dict)
    diagrams: dict[str, tuple[Bin, ...]] = field(default_factory=dict)
    accepted: dict[str, tuple[float | None, int]] = field(default_factory=dict)

    def error(self, name: str) -> float | None:
        """Expected calibration error of a probability, None where it is not known."""
        return calibration_error(self.diagrams.get(name, ()))

    def to_dict(self) -> dict[str, Any]:
        return {'min_precision': self.min_precision, **{n: self._entry(n) for n in self.curves}}

    def _entry(self, name: str) -> dict[str, Any]:
        curve = self.curves[name]
        entry: dict[str, Any] = {
            'average_precision': round(curve.auc, 4),
            'recall_at_full_precision': round(curve.recall_at_full_precision, 4),
        }
        if name not in self.diagrams:
            return entry
        precision, count = self.accepted[name]
        return {
            **entry,
            'expected_calibration_error': self.error(name),
            'calibration_error_by_chance': chance_error(self.diagrams[name]),
            'precision_at_min_precision': precision,
            'accepted_at_min_precision': count,
            'reliability': [one.to_dict() for one in self.diagrams[name]],
        }


def trust(series: Mapping[str, Series], possible: int, min_precision: float) -> Trust:
    """possible: queries whose place is in the map at all."""
    worth = Trust(min_precision)
    for name, one in series.items():
        answered = np.isfinite(one.scores)
        if not answered.any():
            continue
        worth.curves[name] = precision_recall(one.scores, one.right, possible)
        if name in PROBABILITIES:
            confidence, right = one.scores[answered], one.right[answered]
            worth.diagrams[name] = reliability(confidence, right)
            worth.accepted[name] = precision_at(confidence, right, min_precision)
    return worth
