# SPDX-License-Identifier: MIT
"""Fits the logistic model of confidence.py on training data, and corrects it for one map.

A map knows from its own keyframes what its wrong answers look like, but not its right ones: they
come later, in another light. So the correction takes the wrong answers from the map and the right
ones from the training data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import functools
import json
import math
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from selavpr_model.decision.confidence import Confidence, FEATURES, LEVELS
from selavpr_model.decision.reliability import reliability
from selavpr_model.runtime.paths import SHIPPED

COEFFICIENTS = SHIPPED / 'confidence.json'
RIDGE = 1.0  # strength of the pull to 0, in trials, on weights of standardised features
TRUST = 10.0  # wrong answers of a map that count as much as those of the training data
SHARES = (np.arange(50) + 0.5) / 50  # quantiles that stand for all answers of a kind
STEEPEST = 3.0  # most that a map may sharpen the model


@dataclass(frozen=True, slots=True)
class Prior:
    """What training data say. model: for centred features; typical: their medians over the wrong
    answers of keyframes, mean over the maps; right, wrong: quantiles (SHARES) of the logits of
    right and wrong answers; share: of right ones.
    """

    model: Confidence
    typical: tuple[float, ...]
    right: tuple[float, ...]
    wrong: tuple[float, ...]
    share: float
    origin: str = ''

    def to_dict(self) -> dict[str, Any]:
        model = {k: v for k, v in self.model.to_dict().items() if k in MODEL}
        typical = dict(zip(FEATURES, self.typical, strict=True))
        return {
            'origin': self.origin, **model, 'typical': typical, 'right': list(self.right),
            'wrong': list(self.wrong), 'share': self.share,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Prior:
        typical = tuple(float(values['typical'][name]) for name in FEATURES)
        right, wrong = (tuple(float(v) for v in values[k]) for k in ('right', 'wrong'))
        model = Confidence.from_dict(values)
        return cls(model, typical, right, wrong, float(values['share']), str(values['origin']))


MODEL = ('intercept', 'weights', 'sequence')


@functools.lru_cache(maxsize=1)
def shipped() -> Prior:
    """The coefficients that come with the package."""
    return Prior.from_dict(json.loads(COEFFICIENTS.read_text()))


@functools.lru_cache(maxsize=1)
def shipped_growing() -> Confidence:
    """The coefficients for a map that grows, for `at_level`."""
    return Confidence.from_dict(json.loads(COEFFICIENTS.read_text())['growing'])


def at_level(model: Confidence, matches: float) -> Confidence:
    """The model where this many matches are the level that LEVELS are compared with."""
    level = np.array([name in LEVELS for name in FEATURES])
    shift = math.log(matches + 1.0) * float(np.array(model.weights) @ level)
    return replace(model, intercept=model.intercept - shift)


def fit_logistic(
    x: np.ndarray, right: np.ndarray, counts: np.ndarray | None = None, ridge: float = RIDGE
) -> tuple[float, np.ndarray]:
    """Intercept and weights (F,), never negative, that make the outcomes most probable.

    x: (n, F); right: (n,) bool; counts: (n,) how often each trial counts.
    """
    counts = np.ones(len(x)) if counts is None else counts
    scale = np.maximum(x.std(axis=0), 1e-6)
    columns, sign = np.column_stack([np.ones(len(x)), x / scale]), np.where(right, -1.0, 1.0)

    def cost(b: np.ndarray) -> tuple[float, np.ndarray]:
        wrong = sign * (columns @ b)
        pull = ridge * np.append(0.0, b[1:])
        value = counts @ np.logaddexp(0.0, wrong) + 0.5 * pull @ b
        return float(value), columns.T @ (counts * sign * expit(wrong)) + pull

    bounds = [(None, None), *[(0.0, None)] * x.shape[1]]
    start = np.zeros(1 + x.shape[1])
    best = minimize(cost, start, jac=True, method='L-BFGS-B', bounds=bounds).x
    return float(best[0]), best[1:] / scale


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Trials of one training map. x: (n, F) best answers of queries, right: (n,) bool; wrong:
    (k, F) wrong answers of keyframes; kind: of scene.
    """

    x: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    kind: str = ''


def fit_prior(sources: Sequence[Source], origin: str = '') -> Prior:
    """Every kind of scene counts alike, and of a kind every source, however many trials it has."""
    typical = np.mean([np.median(s.wrong, axis=0) for s in sources], axis=0)
    x = np.concatenate([s.x - _centre(s.wrong, typical) for s in sources])
    right = np.concatenate([s.right for s in sources])
    counts = _counts(sources)
    intercept, weights = fit_logistic(x, right, counts)
    logits = intercept + x @ weights
    model = Confidence(round(intercept, 4), _rounded(weights), (0.0, 1.0, 1.0))
    return Prior(
        model,
        _rounded(typical),
        _rounded(_quantiles(logits[right], counts[right])),
        _rounded(_quantiles(logits[~right], counts[~right])),
        round(float(counts[right].sum() / counts.sum()), 4),
        origin,
    )


def _counts(sources: Sequence[Source]) -> np.ndarray:
    """(n,) how often each trial counts: as many times as there are trials, all together."""
    alike = Counter(s.kind for s in sources)
    trials = sum(len(s.x) for s in sources) / len(alike)
    return np.concatenate([np.full(len(s.x), trials / alike[s.kind] / len(s.x)) for s in sources])


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)


def _quantiles(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind='stable')
    below = (np.cumsum(counts[order]) - 0.5 * counts[order]) / counts.sum()
    return np.interp(SHARES, below, values[order])


def _centre(wrong: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """(F,) what is subtracted from features: the LEVELS of the map's own wrong answers. What
    compares a frame's candidates with each other stays as it is: it means the same in every map.
    """
    if not len(wrong):
        return np.asarray(typical)
    level = np.array([name in LEVELS for name in FEATURES])
    return np.where(level, np.median(wrong, axis=0), typical)


def adapted(
    prior: Prior, features: np.ndarray | None = None, right: np.ndarray | None = None
) -> Confidence:
    """The model for a map. features: (n, F) of the best answers for its keyframes; right: (n,);
    None: nothing was measured on the map.
    """
    if features is None or right is None:
        features, right = np.empty((0, len(FEATURES))), np.empty(0, bool)
    wrong = features[~right]
    weights = np.array(prior.model.weights)
    if not len(wrong):
        weights = weights * np.array([name not in LEVELS for name in FEATURES])
    intercept = prior.model.intercept - _centre(wrong, np.array(prior.typical)) @ weights
    shift, factor = _platt(prior, intercept + wrong @ weights)
    model = replace(
        prior.model,
        intercept=round(shift + factor * intercept, 6),
        weights=tuple(round(float(factor * w), 6) for w in weights),
        positives=int(np.sum(right)),
        negatives=int(np.sum(~right)),
    )
    return replace(model, reliability=reliability(model.of(features), right))


def _platt(prior: Prior, wrong: np.ndarray) -> tuple[float, float]:
    """(a, b) with a + b logit calibrated for right answers as trained and the map's wrong ones."""
    own = len(wrong) / (len(wrong) + TRUST)
    parts = (
        (np.array(prior.right), prior.share, -1.0),
        (np.array(prior.wrong), (1.0 - prior.share) * (1.0 - own), 1.0),
        (wrong, (1.0 - prior.share) * own, 1.0),
    )
    logits = np.concatenate([v for v, _, _ in parts])
    counts = np.concatenate([np.full(len(v), share / max(1, len(v))) for v, share, _ in parts])
    sign = np.concatenate([np.full(len(v), s) for v, _, s in parts])

    def cost(ab: np.ndarray) -> tuple[float, np.ndarray]:
        wrong_way = sign * (ab[0] + ab[1] * logits)
        slope = counts * sign * expit(wrong_way)
        value = counts @ np.logaddexp(0.0, wrong_way)
        return float(value), np.array([slope.sum(), slope @ logits])

    bounds = [(None, None), (0.0, STEEPEST)]
    start = np.array([0.0, 1.0])
    best = minimize(cost, start, jac=True, method='L-BFGS-B', bounds=bounds).x
    return float(best[0]), float(best[1])
