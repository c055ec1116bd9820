# SPDX-License-Identifier: MIT
"""What one frame says for each place, against being off the map: by confidence or by matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
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
