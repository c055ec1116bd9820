# SPDX-License-Identifier: MIT
"""How probable it is that a place is right: one logistic model over numbers without a unit.

Cosines and match counts differ from model to model and from map to map. What is used here compares
a candidate with the frame's own rivals and with the wrong answers of the map's own keyframes, so
that what tools/fit_confidence.py learned holds elsewhere; confidence_fit.py corrects it for a map.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
import math
from typing import Any

import numpy as np
from scipy.special import expit, logit

from selavpr_model.decision.ranking import Ranked, root
from selavpr_model.decision.reliability import Bin
from selavpr_model.records import Candidate

LEVELS = ('match_level',)
"""Logarithm of the matches: it means something only against the map's own wrong answers, whose
median is subtracted."""
FEATURES = (
    'evidence',  # of the matches against those of all rivals, see evidence()
    'support',  # log of the matches of the best keyframe beside it over those of the best rival
    'similarity_margin',  # best cosine of the place over that of the best rival
    *LEVELS,
)
LEAST_RIVAL = 1e-12  # sum over rivals that is never undercut
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
        confidence = cls(
            float(values['intercept']),
            tuple(float(values['weights'][name]) for name in FEATURES),
            (constant, frame, before),
            int(values.get('positives', 0)),
            int(values.get('negatives', 0)),
            tuple(Bin.from_dict(one) for one in values.get('reliability', ())),
        )
        numbers = (confidence.intercept, *confidence.weights, *confidence.sequence)
        if not all(math.isfinite(v) for v in numbers):
            raise ValueError('confidence: expected finite coefficients')
        return confidence


def certain(p: np.ndarray) -> np.ndarray:
    """Probabilities whose log odds are finite."""
    return np.clip(p, CERTAIN, 1.0 - CERTAIN)


def features_of(ranked: Ranked, count: int = JUDGED) -> np.ndarray:
    """(n, len(FEATURES)) of the first `count` candidates.

    All candidates that show other places are their rivals, and all that are known to be elsewhere.
    """
    candidates, elsewhere = ranked.candidates, np.ones(len(ranked.elsewhere), bool)
    compared = [*candidates, *ranked.elsewhere]
    matches = np.array([c.independent_matches for c in compared])
    cosines = np.array([c.global_similarity for c in compared], float)
    rows = [
        _features(i, np.append(ranked.distinct[i], elsewhere), matches, cosines)
        for i in range(min(count, len(candidates)))
    ]
    return np.array(rows).reshape(-1, len(FEATURES))


def _features(
    index: int, rivals: np.ndarray, matches: np.ndarray, cosines: np.ndarray
) -> tuple[float, float, float, float]:
    """Of one candidate. rivals: (n,) bool; matches, cosines: (n,) of all that are compared."""
    level = math.log(matches[index] + 1.0)
    if not rivals.any():  # nothing to compare with says nothing
        return 0.0, 0.0, 0.0, level
    beside = ~rivals
    beside[index] = False
    best = matches[rivals].max()
    support = math.log((matches[beside].max() + 1.0) / (best + 1.0)) if beside.any() else 0.0
    margin = cosines[~rivals].max() - cosines[rivals].max()
    return evidence(matches[index], matches[rivals]), support, float(margin), level


def evidence(matches: float, rivals: np.ndarray) -> float:
    """-log of the sum over all rivals of exp(root of their matches - root of these).

    Roots of counts vary by half, however large the counts (Anscombe 1948), so one scale fits all
    scenes. Many rivals that are nearly as good weigh as much as one that is as good.
    """
    lead = root(rivals) - root(matches)
    return float(-np.log(max(np.exp(lead).sum(), LEAST_RIVAL)))


def with_confidence(ranked: Ranked, model: Confidence) -> Ranked:
    """The first JUDGED candidates get their confidence, by this frame alone."""
    if not ranked.candidates:
        return ranked
    probabilities = model.of(features_of(ranked))
    judged = [
        replace(c, confidence=float(p))
        for c, p in zip(ranked.candidates, probabilities, strict=False)
    ]
    return replace(ranked, candidates=(*judged, *ranked.candidates[len(judged) :]))


def over_time(
    ranked: Ranked, believed: Collection[int], mass_of: Callable[[int], float], model: Confidence
) -> Ranked:
    """Confidences by this frame alone become those that the sequence gives.

    believed: rows around the most probable place; candidates among them get a confidence, too.
    mass_of: row -> what is believed in the place that it shows.
    """
    confidences = [c.confidence for c in ranked.candidates if c.confidence is not None]
    if not confidences:
        return ranked

    def timed(c: Candidate) -> Candidate:
        if c.confidence is None and c.row not in believed:
            return c
        alone = min(confidences) if c.confidence is None else c.confidence
        return replace(c, confidence=model.over_time(alone, mass_of(c.row)))

    return replace(ranked, candidates=tuple(timed(c) for c in ranked.candidates))
