# SPDX-License-Identifier: MIT
"""The order of the candidates, and how clearly the first one wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import math

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.distinct import distinct_from
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Candidate


def rerank(
    query: np.ndarray,
    codes: Sequence[np.ndarray],
    candidates: Sequence[Candidate],
    matcher: Matcher,
    ties: str = 'global',
) -> list[Candidate]:
    """Order by matches; on ties the better global candidate stays first.

    query: a view, PlaceMap.code of the frame; codes: the same of each candidate;
    matcher: of the map, PlaceMap.matcher; ties: 'global', or 'official' for the order of the
    official script.
    """
    counts = matcher.count(query, codes)
    order = official_order(counts) if ties == 'official' else np.argsort(-counts, kind='stable')
    return [
        replace(candidates[i], mutual_matches=int(counts[i]), overlap=matcher.overlap)
        for i in order
    ]


def official_order(counts: np.ndarray) -> np.ndarray:
    """Indices as the official script orders them: one match counts as none, ties reversed."""
    return np.where(counts == 1, 0, counts).argsort(kind='stable')[::-1]


def root(matches: float | Sequence[float] | np.ndarray) -> np.ndarray:
    """Roots of counts (n,): those of a pure count deviate by half, large or small (Anscombe 1948,
    The transformation of Poisson, binomial and negative-binomial data)."""
    return np.sqrt(np.asarray(matches, dtype=float) + 3 / 8)


def best_rival(candidates: Sequence[Candidate], config: RecognizerConfig) -> Candidate | None:
    """The best candidate that shows another place than the first one, or None."""
    apart = distinct_from(candidates[0].place, [c.place for c in candidates], config)
    others = (c for c, distinct in zip(candidates, apart, strict=True) if distinct)
    return max(others, key=lambda c: c.mutual_matches, default=None)


def match_ratio(candidates: Sequence[Candidate], config: RecognizerConfig) -> float:
    """Matches of the best candidate over those of its best distinct rival; inf without one."""
    rival = best_rival(candidates, config)
    if rival is None or rival.mutual_matches == 0:
        return math.inf
    return candidates[0].mutual_matches / rival.mutual_matches
