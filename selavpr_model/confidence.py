# SPDX-License-Identifier: MIT
"""How probable it is that a place is right: one logistic model over numbers without a unit.

Cosines and match counts differ from model to model and from map to map. What is used here compares
a candidate with the frame's own rivals and with the wrong answers of the map's own keyframes, so
that what tools/fit_confidence.py learned holds elsewhere; confidence_fit.py corrects it for a map.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
import math
from typing import Any

import numpy as np
from scipy.special import expit, logit

from selavpr_model.config import RecognizerConfig
from selavpr_model.consistency import Matcher
from selavpr_model.places import distinct_from
from selavpr_model.records import Candidate
from selavpr_model.reliability import Bin

LEVELS = ('match_level', 'similarity_level')
"""Logarithms of the matches and of one over the cosine distance: they mean something only against
those of the map's own wrong answers, which are subtracted."""
FEATURES = (
    'match_margin',  # log of the matches over those of the best distinct rival
    'match_standing',  # how far the matches stand out of all rivals, robust deviations, asinh
    'similarity_margin',  # the same two of the cosine
    'similarity_standing',
    'spread',  # share of the 8 x 8 blocks of the frame with a match
    'agreement',  # share of all pairs of neighbouring blocks whose matches lead the same way
    'agreement_margin',  # the same, more than that of the best distinct rival
    *LEVELS,
)
BLOCKS = 8
LEAST_DISTANCE = 0.01  # of two cosines: nearer ones are alike
CERTAIN = 1e-6  # a probability is never nearer to 0 or 1
JUDGED = 5  # best candidates that get a confidence


@dataclass(frozen=True, slots=True)
class Confidence:
    """p = 1 / (1 + exp(-(intercept + weights . features))).

    weights: one a name in FEATURES, never negative, as each speaks for the place when it grows;
    sequence: (constant, factor of this frame's logit, factor of the belief's logit); positives,
    negatives: trials on the map's own keyframes that corrected it; reliability: on these trials.
    """

    intercept: float
    weights: tuple[float, ...]
    sequence: tuple[float, float, float]
    positives: int = 0
    negatives: int = 0
    reliability: tuple[Bin, ...] = ()

    def of(self, features: np.ndarray) -> np.ndarray:
        """(n, len(FEATURES)) -> (n,) probabilities."""
        return certain(expit(self.intercept + features @ np.array(self.weights)))

    def over_time(self, alone: float, belief: float) -> float:
        """From a frame's own confidence and the belief in the place after a sequence."""
        constant, frame, before = self.sequence
        both = logit(certain(np.array([alone, belief])))
        return float(certain(expit(constant + both @ (frame, before))))

    def to_dict(self) -> dict[str, Any]:
        return {
            'intercept': self.intercept,
            'weights': dict(zip(FEATURES, self.weights, strict=True)),
            'sequence': list(self.sequence),
            'positives': self.positives,
            'negatives': self.negatives,
            'reliability': [one.to_dict() for one in self.reliability],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Confidence:
        """Raises KeyError, TypeError or ValueError when `values` is not what to_dict gives."""
        constant, frame, before = (float(v) for v in values['sequence'])
        made = cls(
            float(values['intercept']),
            tuple(float(values['weights'][name]) for name in FEATURES),
            (constant, frame, before),
            int(values.get('positives', 0)),
            int(values.get('negatives', 0)),
            tuple(Bin.from_dict(one) for one in values.get('reliability', ())),
        )
        if not all(math.isfinite(v) for v in (made.intercept, *made.weights, *made.sequence)):
            raise ValueError('confidence: expected finite coefficients')
        return made


def certain(p: np.ndarray) -> np.ndarray:
    """Probabilities whose log odds are finite."""
    return np.clip(p, CERTAIN, 1.0 - CERTAIN)


class Layouts:
    """Where the matches of a frame and a candidate lie: (spread, agreement), in [0, 1]."""

    def __init__(
        self,
        view: np.ndarray,
        codes: Callable[[Sequence[int]], list[np.ndarray]],
        matcher: Matcher,
    ) -> None:
        """view: (cells, C) of the frame; codes: of rows, PlaceMap.codes; matcher: of the map."""
        self._view, self._codes, self._matcher = view, codes, matcher
        self._known: dict[int, tuple[float, float]] = {}

    def __call__(self, candidate: Candidate) -> tuple[float, float]:
        row = candidate.row
        if row not in self._known:
            pairs = self._matcher.pairs(self._view, self._codes([row])[0])
            self._known[row] = layout(pairs, self._matcher.grid)
        return self._known[row]


def layout(pairs: np.ndarray, grid: tuple[int, int]) -> tuple[float, float]:
    """Share of blocks with matches, and of neighbouring pairs of blocks that move alike.

    pairs: (M, 2) of query and reference cells, row-major. Two neighbours move alike when their
    median displacements differ by less than a block in both directions.
    """
    h, w = grid
    if not len(pairs):
        return 0.0, 0.0
    at = np.stack(np.divmod(pairs, w), axis=-1) / (h, w)  # (M, query or reference, y or x)
    block = np.minimum((at[:, 0] * BLOCKS).astype(int), BLOCKS - 1) @ (BLOCKS, 1)
    moved = _medians(block, at[:, 1] - at[:, 0]).reshape(BLOCKS, BLOCKS, 2)
    down, right = np.diff(moved, axis=0), np.diff(moved, axis=1)
    alike = [(np.abs(d) < 1.0 / BLOCKS).all(axis=-1).sum() for d in (down, right)]
    occupied = np.isfinite(moved[..., 0]).mean()
    return float(occupied), float(sum(alike) / (2 * BLOCKS * (BLOCKS - 1)))


def _medians(block: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """(BLOCKS^2, 2) median displacement of each block; NaN without matches."""
    out = np.full((BLOCKS**2, 2), np.nan)
    for axis in (0, 1):
        order = np.lexsort((moved[:, axis], block))
        counts = np.bincount(block, minlength=BLOCKS**2)
        start = np.cumsum(counts) - counts
        found = counts > 0
        middle = (start + (counts - 1) // 2)[found]
        out[found, axis] = moved[order[middle], axis]
    return out


def features_of(
    candidates: Sequence[Candidate],
    layouts: Layouts,
    config: RecognizerConfig,
    count: int = JUDGED,
) -> np.ndarray:
    """(n, len(FEATURES)) of the first `count` of all re-ranked candidates, best first."""
    matches = np.array([c.mutual_matches for c in candidates], float)
    cosines = np.array([c.global_similarity for c in candidates], float)
    places = [c.place for c in candidates]
    rows = []
    for i, candidate in enumerate(candidates[:count]):
        rivals = distinct_from(places[i], places, config)
        best = int(np.argmax(np.where(rivals, matches, -1.0)))
        spread, agreement = layouts(candidate)
        against = layouts(candidates[best])[1] if rivals.any() else agreement
        rows.append((
            _log_ratio(matches[i], matches[rivals]),
            _standing(matches[i], matches[rivals], math.sqrt),
            _lead(cosines[i], cosines[rivals]),
            _standing(cosines[i], cosines[rivals]),
            spread, agreement, agreement - against,
            math.log(matches[i] + 1.0), -math.log(1.0 - cosines[i] + LEAST_DISTANCE),
        ))  # fmt: skip
    return np.array(rows).reshape(-1, len(FEATURES))


def _log_ratio(value: float, rivals: np.ndarray) -> float:
    return math.log((value + 1.0) / (rivals.max() + 1.0)) if len(rivals) else 0.0


def _spread(rivals: np.ndarray, least: float) -> tuple[float, float]:
    """Median and robust standard deviation."""
    median = float(np.median(rivals))
    return median, max(1.4826 * float(np.median(np.abs(rivals - median))), least)


def _standing(
    value: float, rivals: np.ndarray, noise: Callable[[float], float] | None = None
) -> float:
    """noise: of a value that is the median, by counting; the deviation is never below it."""
    if not len(rivals):
        return 0.0
    median = float(np.median(rivals))
    median, deviation = _spread(rivals, max(noise(median), 1.0) if noise else 1e-3)
    return math.asinh((value - median) / deviation)


def _lead(value: float, rivals: np.ndarray) -> float:
    if not len(rivals):
        return 0.0
    return math.asinh((value - float(rivals.max())) / _spread(rivals, 1e-3)[1])


def assured(
    candidates: Sequence[Candidate],
    layouts: Layouts,
    model: Confidence,
    config: RecognizerConfig,
) -> list[Candidate]:
    """All candidates, the first JUDGED of them with their confidence."""
    if not candidates:
        return []
    found = model.of(features_of(candidates, layouts, config))
    sure = [replace(c, confidence=float(p)) for c, p in zip(candidates, found, strict=False)]
    return [*sure, *candidates[len(sure) :]]


def over_time(
    candidates: Sequence[Candidate], believed: Collection[int], mass_of: Callable[[int], float],
    model: Confidence,
) -> tuple[Candidate, ...]:  # fmt: skip
    """Candidates with a confidence of their own: with the one that the sequence gives.

    believed: rows around the most probable place; the candidates among them get one, too.
    """
    known = [c.confidence for c in candidates if not math.isnan(c.confidence)]
    made = list(candidates)
    for i, c in enumerate(candidates):
        if known and (c.row in believed or not math.isnan(c.confidence)):
            alone = min(known) if math.isnan(c.confidence) else c.confidence
            made[i] = replace(c, confidence=model.over_time(alone, mass_of(c.row)))
    return tuple(made)
