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

LEAD = 2.0  # of roots
FOUR_FIFTHS = 2.563  # standard deviations of a normal number that hold them
SURPRISE = 4.0  # standard deviations
LEAST_SPREAD = 0.5  # of roots: what a pure count has, large or small


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


def with_matches(
    query: np.ndarray,
    codes: Sequence[np.ndarray],
    candidates: Sequence[Candidate],
    matcher: Matcher,
) -> list[Candidate]:
    """The candidates with their matches, in the order they came in.

    query: a view, PlaceMap.code of the frame; codes: the same of each candidate;
    matcher: of the map, PlaceMap.matcher.
    """
    if not candidates:
        return []  # a matcher of tokens would decode the query for nothing
    counts = matcher.count(query, codes)
    return [
        replace(c, mutual_matches=int(n), overlap=matcher.overlap)
        for c, n in zip(candidates, counts, strict=True)
    ]


def ordered(
    candidates: Sequence[Candidate], spread: float, config: RecognizerConfig
) -> list[Candidate]:
    """Best first, each with its rank; of equals the better global candidate.

    spread: of the cosines of the map's places, VectorIndex.spread.
    """
    if not candidates:
        return []
    if config.similarity_weight:
        order = np.argsort(-scores(candidates, spread, config.similarity_weight), kind='stable')
    else:
        counts = np.array([c.mutual_matches for c in candidates], np.int64)
        official = config.ties == 'official'
        order = official_order(counts) if official else np.argsort(-counts, kind='stable')
    return [replace(candidates[i], rank=rank) for rank, i in enumerate(order)]


def is_decided(
    compared: Sequence[Candidate], similarity: float, spread: float, config: RecognizerConfig
) -> bool:
    """Whether the same place would come first if all candidates were compared.

    compared: the most similar ones; similarity: of the best of the others. How much matches vary
    is not known before all are compared: one place has to come first whether it is half or twice
    as much as among these. And an other place must not come first with SURPRISE standard
    deviations more matches than the less similar half of these has on average.
    """
    weight = config.similarity_weight
    cosines, roots = _numbers(compared)
    tail = roots[np.argsort(-cosines, kind='stable')][len(roots) // 2 :]
    unlikely = tail.mean() + SURPRISE * max(float(tail.std()), LEAST_SPREAD)
    firsts = set()
    for factor in (0.5, 2.0):
        varies = max(factor * variation(roots), LEAST_SPREAD)
        values = _values(np.append(cosines, similarity), np.append(roots, unlikely),
                         spread, varies, weight)  # fmt: skip
        firsts.add(int(values.argmax()))
    return len(firsts) == 1 and len(compared) not in firsts


def scores(candidates: Sequence[Candidate], spread: float, weight: float) -> np.ndarray:
    """(n,) weight x cosine / spread + LEAD x root of the matches / their variance in this frame.

    A linear discriminant weighs a number by its lead over its variance. Cosines lead in
    proportion to what they vary by in the map, whatever model made them. Roots of right places
    lead by about LEAD; where they vary as much between other places they say little.
    """
    cosines, roots = _numbers(candidates)
    return _values(cosines, roots, spread, variation(roots), weight)


def _values(
    cosines: np.ndarray, roots: np.ndarray, spread: float, varies: float, weight: float
) -> np.ndarray:
    return weight * cosines / spread + LEAD * roots / varies**2


def _numbers(candidates: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) cosines and roots of matches."""
    cosines = np.array([c.global_similarity for c in candidates], float)
    return cosines, root([c.independent_matches for c in candidates])


def variation(roots: np.ndarray) -> float:
    """Standard deviation of the middle four fifths: a few right places are not among them."""
    low, high = np.quantile(roots, (0.1, 0.9))
    return max(float(high - low) / FOUR_FIFTHS, LEAST_SPREAD)


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
