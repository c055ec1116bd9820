# SPDX-License-Identifier: MIT
"""Fits the logistic model of confidence.py, and corrects it for one map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from selavpr_model.confidence import Confidence
from selavpr_model.reliability import reliability

RIDGE = 1.0  # strength of the pull to 0, in trials, on weights of standardised features
SHIFT_SIGMA = 1.0  # how far a map may differ from the others: standard deviation of its constant
LEAST_TRIALS = 5  # fewer correct nothing


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
    found = minimize(cost, np.zeros(1 + x.shape[1]), jac=True, method='L-BFGS-B', bounds=bounds)
    return float(found.x[0]), found.x[1:] / scale


def adapted(prior: Confidence, features: np.ndarray, right: np.ndarray) -> Confidence:
    """The prior with the constant that trials on a map's own keyframes ask for.

    features: (n, F); right: (n,). Only the constant: keyframes of one run say how much places of
    this map look alike, but not how much another season takes away. A Gaussian holds it near the
    prior's, which a map with few or one-sided trials keeps.
    """
    if len(right) < LEAST_TRIALS:
        return prior
    before = logit(prior.of(features))
    shift = _shift(before, right)
    return replace(
        prior,
        intercept=prior.intercept + shift,
        positives=int(np.sum(right)),
        negatives=int(np.sum(~right)),
        reliability=reliability(expit(before + shift), right),
    )


def _shift(before: np.ndarray, right: np.ndarray) -> float:
    """Newton's method on a convex function of one variable."""
    shift = 0.0
    for _ in range(50):
        p = expit(before + shift)
        slope = float(np.sum(p - right)) + shift / SHIFT_SIGMA**2
        step = slope / (float(np.sum(p * (1 - p))) + 1 / SHIFT_SIGMA**2)
        shift -= float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-9:
            break
    return round(shift, 9)
