# SPDX-License-Identifier: MIT
"""Do probabilities keep what they promise? Reliability diagram and expected calibration error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binom

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence lies in one tenth: mean confidence, share of right ones, count."""

    confidence: float
    right: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Bin:
        """Raises KeyError, TypeError or ValueError when `values` is not what to_dict gives."""
        return cls(float(values['confidence']), float(values['right']), int(values['count']))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> tuple[Bin, ...]:
    """Confidences (Q,) in [0, 1] and whether they were right (Q,), in equal parts, none empty."""
    part = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    right = np.asarray(right, bool)
    groups = (part == number for number in range(bins))
    return tuple(
        Bin(
            round(float(np.mean(confidence[group])), 6),
            round(float(np.mean(right[group])), 6),
            int(group.sum()),
        )
        for group in groups
        if group.any()
    )


def calibration_error(diagram: Sequence[Bin]) -> float | None:
    """Expected calibration error: mean gap of confidence and share, weighted by count."""
    total = sum(one.count for one in diagram)
    if not total:
        return None
    gaps = (one.count * abs(one.confidence - one.right) for one in diagram)
    return round(sum(gaps) / total, 4)


def chance_error(diagram: Sequence[Bin]) -> float | None:
    """The calibration error that so few answers give on average when every confidence is true."""
    total = sum(one.count for one in diagram)
    if not total:
        return None
    gaps = 0.0
    for one in diagram:
        hits = np.arange(one.count + 1)
        gaps += binom.pmf(hits, one.count, one.confidence) @ np.abs(
            hits - one.count * one.confidence
        )
    return round(float(gaps) / total, 4)


def precision_at(
    confidence: np.ndarray, right: np.ndarray, least: float
) -> tuple[float | None, int]:
    """Share of right answers among those at least this sure, None without any; and how many."""
    accepted = np.asarray(confidence) >= least
    count = int(accepted.sum())
    return (round(float(np.mean(right[accepted])), 4) if count else None), count
