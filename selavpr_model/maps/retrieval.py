# SPDX-License-Identifier: MIT
"""Which places of a map a frame may show: search by global features, re-rank by local matches.

The recogniser, SLAM and the calibration of a map all call `ranked`. They differ in which rows of
the map may answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.ranking import (
    is_decided,
    ordered,
    Ranked,
    with_matches,
)
from selavpr_model.maps.place_map import PlaceMap, shown
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Candidate, Features, Place
from selavpr_model.runtime.stages import StageClock


class Query:
    """What is looked for. global_: (D,) float32; view: (cells, C), coded as the map's places."""

    def __init__(self, global_: np.ndarray, encode: Callable[[], np.ndarray]) -> None:
        """encode: makes the view when it is first needed."""
        self.global_, self._encode = global_, encode

    @classmethod
    def of_frame(cls, place_map: PlaceMap, features: Features) -> Query:
        return cls(features.global_, lambda: place_map.code(features))

    @classmethod
    def of_row(cls, place_map: PlaceMap, row: int) -> Query:
        """A keyframe of the map itself."""
        return cls(place_map.global_(row), lambda: place_map.codes([row])[0])

    @cached_property
    def view(self) -> np.ndarray:
        return self._encode()


def ranked(
    place_map: PlaceMap,
    query: Query,
    matcher: Matcher,
    config: RecognizerConfig,
    rows: np.ndarray | None = None,
    elsewhere: np.ndarray | None = None,
    frame_of: Callable[[int], str] | None = None,
    clock: StageClock | None = None,
) -> Ranked:
    """The places that are most similar to the query, best first by similarity and matches.

    rows: (N,) bool, the places that may answer; None: all. elsewhere: (N,) bool, other places,
    known not to be the query's, that are matched beside those. frame_of: row -> name of the frame
    of its pose; None: poses in another frame than the map's are left out. clock: gets the stages
    retrieve, load_local and rerank.
    """
    clock = clock or StageClock()
    with clock.stage('retrieve'):
        parts = _retrieve(place_map, query.global_, config, rows, elsewhere, frame_of is not None)
    compare = _Comparison(place_map, query, matcher, clock)
    candidates = compare.few_first(parts[0], config)
    # each part by itself: what is compared with what must not depend on the other part
    other = compare.all(parts[1])
    with clock.stage('rerank'):
        first = ordered(candidates, place_map.index.spread, config)
        frames = None if frame_of is None else [frame_of(c.row) for c in first]
        return Ranked.of(first, config, other, frames, place_map.joined)


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """Of one query with places."""

    place_map: PlaceMap
    query: Query
    matcher: Matcher
    clock: StageClock

    def all(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """With their matches."""
        with self.clock.stage('load_local'):
            codes = self.place_map.codes([c.row for c in candidates])
            view = self.query.view
        with self.clock.stage('rerank'):
            return with_matches(view, codes, candidates, self.matcher)

    def few_first(
        self, candidates: Sequence[Candidate], config: RecognizerConfig
    ) -> list[Candidate]:
        """The most similar ones; the others, too, where one of them may still come first.

        All at once for a matcher that goes from coarse to fine by itself, and as in the paper.
        """
        at_once = self.matcher.narrows or not config.similarity_weight
        few = config.candidates if at_once else config.first_candidates
        compared, others = self.all(candidates[:few]), candidates[few:]
        spread = self.place_map.index.spread
        if not others or is_decided(compared, others[0].global_similarity, spread, config):
            return compared
        return [*compared, *self.all(others)]


def _retrieve(
    place_map: PlaceMap,
    global_: np.ndarray,
    config: RecognizerConfig,
    rows: np.ndarray | None,
    elsewhere: np.ndarray | None,
    with_all_poses: bool,
) -> tuple[list[Candidate], list[Candidate]]:
    """The most similar places that may answer, and those that are known to be elsewhere."""
    hidden = 0 if rows is None else int((~rows).sum())
    nearest, similarities = place_map.search(global_, config.candidates + hidden)
    similarity = dict(zip(nearest.tolist(), similarities, strict=True))
    may_answer = [r for r in similarity if rows is None or rows[r]][: config.candidates]
    others = [r for r in similarity if elsewhere is not None and elsewhere[r]]
    candidates = [
        Candidate(_place(place_map, row, with_all_poses), row, float(similarity[row]), rank)
        for rank, row in enumerate([*may_answer, *others])
    ]
    return candidates[: len(may_answer)], candidates[len(may_answer) :]


def _place(place_map: PlaceMap, row: int, with_all_poses: bool) -> Place:
    place = place_map.places[row]
    return place if with_all_poses else shown(place, place_map)
