# SPDX-License-Identifier: MIT
"""What one frame says for each place, against being off the map: by confidence or by matches.

A place that several sessions have seen has a view of each. A frame is like one of them, and what
that one says holds for the place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import logit

from selavpr_model.config import TemporalConfig
from selavpr_model.decision.confidence import certain
from selavpr_model.decision.ranking import root
from selavpr_model.records import Candidate

Evidence = Callable[[Sequence[Candidate], TemporalConfig], np.ndarray]
"""Re-ranked candidates (k,) -> log-likelihood ratios (k,), nat."""


def by_confidence(candidates: Sequence[Candidate], config: TemporalConfig) -> np.ndarray:
    """Where the map is calibrated, the first candidates have a confidence.

    Their log odds count, over those of a frame that says nothing. The matches of the others speak
    for them, but no louder than the least of these. Without any confidence, matches alone speak.
    """
    confidences = [c.confidence for c in candidates if c.confidence is not None]
    if not confidences:
        return by_matches(candidates, config)
    has_confidence = np.array([c.confidence is not None for c in candidates])
    odds = logit(certain(np.array(confidences))) - logit(config.neutral_confidence)
    evidence = np.minimum(by_matches(candidates, config), odds.min())
    evidence[has_confidence] = odds
    evidence = np.clip(evidence, -config.max_evidence, config.max_evidence)
    # of the keyframes of one place all may be right; which one is nearest, their matches tell
    roots = root([c.independent_matches for c in candidates])
    best = int(np.argmax(evidence + 1e-6 * roots))
    behind = np.maximum(roots[best] - roots, 0.0)
    nearness = evidence[best] - config.evidence_per_root * behind
    return np.maximum(np.minimum(evidence, nearness), -config.max_evidence)


def by_matches(candidates: Sequence[Candidate], config: TemporalConfig) -> np.ndarray:
    """In SLAM, or where no confidence is there: how far matches stand out of the frame's own.

    Counts are compared with each other (robust standard deviations above the frame's median):
    night, rain or another season lower them all. Their roots are compared, as the deviation of a
    count grows with its root.
    """
    roots = root([c.independent_matches for c in candidates])
    median = np.median(roots)
    deviation = max(1.4826 * float(np.median(np.abs(roots - median))), 0.5)
    deviations = (roots - median) / deviation
    gain = config.evidence_per_deviation * (deviations - config.neutral_deviations)
    return np.clip(gain, -config.max_evidence, config.max_evidence)


def shared(evidence: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """(N,) nat: of each place the most that is said for it or for another look of it.

    looks: (n, S) rows, -1 for none, as looks_in gives them for the first n places of a map; others
    have none.
    """
    if looks.size:
        known = np.append(evidence, -np.inf)  # row -1
        evidence[: len(looks)] = np.maximum(evidence[: len(looks)], known[looks].max(axis=1))
    return evidence


def other_looks(
    positions: np.ndarray, axes: np.ndarray, sessions: np.ndarray, names: np.ndarray,
    radius_m: float,
) -> np.ndarray:  # fmt: skip
    """(N, S) rows that show the same place in each of the sessions `names`, -1 where none does.

    Of each other session the nearest, where the camera stood and looked the same way: within half
    the radius of a place, of which a radius counts as much as 60 degrees. positions: (N, d) m;
    axes: (N, 3) unit, optical; sessions: (N,).
    """
    points = np.column_stack([positions, axes * radius_m])
    found = np.full((len(points), len(names)), -1, np.int64)
    for column, name in enumerate(names):
        rows, others = np.flatnonzero(sessions == name), np.flatnonzero(sessions != name)
        if len(rows):
            tree = cKDTree(points[rows])
            near = tree.query(points[others], distance_upper_bound=radius_m / 2)[1]
            found[others, column] = np.append(rows, -1)[near]
    return found
