# SPDX-License-Identifier: MIT
"""The order of the candidates, and how clearly the first one wins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
import math
from types import MappingProxyType

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.distinct import Distinct, Viewpoints
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Candidate


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The candidates of one frame in re-ranked order, best first.

    distinct: which of them show different places. elsewhere: places that were matched, too, and
    are known not to be the frame's; they show what a wrong answer looks like.
    """

    candidates: tuple[Candidate, ...]
    distinct: Distinct
    elsewhere: tuple[Candidate, ...] = ()

    @classmethod
    def of(
        cls, candidates: Sequence[Candidate], config: RecognizerConfig,
        elsewhere: Sequence[Candidate] = (), frames: Sequence[str] | None = None,
        joined: Mapping[int, Collection[int]] = MappingProxyType({}),
    ) -> Ranked:  # fmt: skip
        """frames: of each candidate's pose; by default all poses are in one frame; joined: row ->
        rows that a closure joins with it."""
        viewpoints = Viewpoints.of([c.place for c in candidates], frames)
        at = {c.row: i for i, c in enumerate(candidates)} if joined else {}
        linked = {
            i: [at[r] for r in joined[row] if r in at] for row, i in at.items() if row in joined
        }
        return cls(tuple(candidates), Distinct(viewpoints, config, linked), tuple(elsewhere))

    def rivals(self, row: int) -> list[Candidate]:
        """The candidates that show another place than the candidate of this row of the map."""
        index = next(i for i, c in enumerate(self.candidates) if c.row == row)
        apart = self.distinct[index]
        return [c for c, distinct in zip(self.candidates, apart, strict=True) if distinct]


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
    if not candidates:
        return []  # a matcher of tokens would decode the query for nothing
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


def best_rival(ranked: Ranked) -> Candidate | None:
    """The candidate with the most matches that shows another place than the first one."""
    rivals = ranked.rivals(ranked.candidates[0].row)
    return max(rivals, key=lambda c: c.mutual_matches, default=None)


def match_ratio(ranked: Ranked) -> float:
    """Matches of the best candidate over those of its best distinct rival; inf without one."""
    rival = best_rival(ranked)
    if rival is None or rival.mutual_matches == 0:
        return math.inf
    return ranked.candidates[0].mutual_matches / rival.mutual_matches
