# SPDX-License-Identifier: MIT
"""Search and re-ranking in one function, among all places of a map or a part of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selavpr_model.config import MapConfig, RecognizerConfig
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.decision.ranking import scores
from selavpr_model.maps.index import SPREAD
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Features, ModelIdentity, Place
from selavpr_model.runtime.stages import StageClock

IDENTITY = ModelIdentity('f' * 64, 'made up', 16, (3, 4, 8))
CONFIG = RecognizerConfig(candidates=10, similarity_weight=1.25)
PLACES, EVERY = 40, np.ones(40, bool)


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def features(seed: int) -> Features:
    rng = np.random.default_rng(seed)
    return Features(unit(rng.standard_normal(16)), unit(rng.standard_normal((3, 4, 8))))


@pytest.fixture(scope='module')
def place_map() -> PlaceMap:
    built = PlaceMap.empty(IDENTITY, MapConfig(local_dtype='exact'))
    for i in range(PLACES):
        T = np.eye(4)
        T[0, 3] = 2.0 * i
        built.add(features(i), Place(i, i, session='run', pose=T))
    return built


def rank(place_map: PlaceMap, query: Query, **how):
    return ranked(place_map, query, place_map.matcher(CONFIG.score), CONFIG, **how)


def test_places_are_ranked_by_similarity_and_matches_after_a_search(place_map):
    answer = rank(place_map, Query.of_frame(place_map, features(99))).candidates
    rows, similarities = place_map.search(features(99).global_, CONFIG.candidates)
    by_global = sorted(answer, key=lambda c: c.global_rank)
    assert [c.row for c in by_global] == rows.tolist()
    assert [c.global_similarity for c in by_global] == similarities.tolist()
    values = scores(answer, place_map.index.spread, CONFIG.similarity_weight)
    assert values.tolist() == sorted(values.tolist(), reverse=True)
    assert [c.rank for c in answer] == list(range(CONFIG.candidates))


def test_as_in_the_paper_matches_alone_decide_the_order(place_map):
    paper = replace(CONFIG, similarity_weight=0.0, first_candidates=2)
    query = Query.of_frame(place_map, features(99))
    answer = ranked(place_map, query, place_map.matcher('mutual'), paper).candidates
    order = [(-c.mutual_matches, c.global_rank) for c in answer]
    assert order == sorted(order) and len(order) == CONFIG.candidates


def test_few_are_compared_where_no_other_place_can_come_first(place_map):
    """A keyframe itself is beyond doubt; a frame from elsewhere is not."""
    few = replace(CONFIG, candidates=40, first_candidates=8)
    matcher = place_map.matcher(few.score)
    counts = [
        len(ranked(place_map, query, matcher, few).candidates)
        for query in (Query.of_row(place_map, 7), Query.of_frame(place_map, features(99)))
    ]
    assert counts == [8, 40]


def test_what_is_left_out_would_not_have_come_first(place_map):
    every, few = (replace(CONFIG, candidates=40, first_candidates=n) for n in (40, 6))
    matcher = place_map.matcher(few.score)
    for seed in range(60):
        query = Query.of_frame(place_map, features(seed))
        best, same = (ranked(place_map, query, matcher, c).candidates[0] for c in (every, few))
        assert best.row == same.row


def test_what_cosines_vary_by_is_measured_on_the_places(place_map):
    vectors = np.array([features(i).global_ for i in range(PLACES)])
    cosines = (vectors @ vectors.T)[np.triu_indices(PLACES, 1)]
    assert place_map.index.spread == pytest.approx(cosines.std(), rel=1e-5)
    few = PlaceMap.empty(IDENTITY, place_map.config)
    assert few.index.spread == SPREAD


def test_a_keyframe_finds_itself_unless_its_row_is_hidden(place_map):
    query = Query.of_row(place_map, 7)
    assert rank(place_map, query).candidates[0].row == 7
    rows = EVERY.copy()
    rows[7] = False
    assert 7 not in [c.row for c in rank(place_map, query, rows=rows).candidates]


def test_hidden_places_leave_no_gap(place_map):
    """As many candidates come as if the map held the other places alone."""
    rows = np.arange(PLACES) % 3 == 0
    answer = rank(place_map, Query.of_frame(place_map, features(99)), rows=rows).candidates
    every, _ = place_map.search(features(99).global_, PLACES)
    expected = [row for row in every.tolist() if rows[row]][: CONFIG.candidates]
    assert sorted(c.row for c in answer) == sorted(expected)
    assert sorted(c.global_rank for c in answer) == list(range(CONFIG.candidates))


def test_places_elsewhere_are_matched_but_never_answer(place_map):
    rows = np.arange(PLACES) < 30
    answer = rank(
        place_map, Query.of_row(place_map, 35), rows=rows, elsewhere=~rows, frame_of=lambda _: ''
    )
    assert {c.row for c in answer.candidates} <= set(range(30))
    assert answer.elsewhere[0].row == 35 and answer.elsewhere[0].mutual_matches > 0


def test_poses_of_a_session_that_is_not_aligned_are_left_out_unless_their_frame_is_named(
    place_map,
):
    alone = PlaceMap.empty(IDENTITY, place_map.config)
    alone.extend(place_map)
    alone.unaligned_sessions = {'run'}
    query = Query.of_row(alone, 7)
    assert all(c.place.pose is None for c in rank(alone, query).candidates)
    named = rank(alone, query, frame_of=lambda row: f'run/{row % 2}')
    for i, a in enumerate(named.candidates):
        for j, b in enumerate(named.candidates):
            other_frame = a.row % 2 != b.row % 2
            expected = other_frame or are_distinct(a.place, b.place, CONFIG)
            assert named.distinct[i][j] == expected


def test_the_rivals_of_a_place_are_those_that_are_distinct_from_it(place_map):
    answer = rank(place_map, Query.of_frame(place_map, features(99)))
    for c in answer.candidates:
        rivals = {r.row for r in answer.rivals(c.row)}
        assert rivals == {o.row for o in answer.candidates if 2.0 * abs(o.row - c.row) > 5.0}


def test_each_stage_is_timed_and_a_view_is_coded_once(place_map):
    clock, coded = StageClock(), []

    def encode():
        coded.append(1)
        return place_map.codes([0])[0]

    query = Query(place_map.global_(0), encode)
    rank(place_map, query, clock=clock)
    assert list(clock.ns) == ['retrieve', 'load_local', 'rerank']
    assert query.view is query.view and len(coded) == 1


def test_nothing_is_matched_where_no_place_is_elsewhere(place_map, monkeypatch):
    """A map of tokens decodes the query for each call of its matcher: 13 ms on a core."""
    calls = []
    count = Matcher.count

    def watched(self, query, references, threads=None):
        calls.append(len(references))
        return count(self, query, references, threads)

    monkeypatch.setattr(Matcher, 'count', watched)
    rank(place_map, Query.of_row(place_map, 0))
    rank(place_map, Query.of_row(place_map, 0), rows=~EVERY)
    assert calls == [CONFIG.candidates]


def test_an_empty_map_has_no_candidates():
    empty = PlaceMap.empty(IDENTITY, MapConfig(local_dtype='exact'))
    assert rank(empty, Query.of_frame(empty, features(0))).candidates == ()
