# SPDX-License-Identifier: MIT
"""Order, rivals and the decision on made-up candidates."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.calibration import Calibration, keyframe_covariance
from selavpr_model.decision.confidence_fit import adapted, shipped
from selavpr_model.decision.decide import conclude, judge, Thresholds, thresholds
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.decision.ranking import best_rival, match_ratio, official_order, rerank
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Candidate, Place, Reject, State, Status

CONFIG = RecognizerConfig()
NEEDED = Thresholds(similarity=0.6, matches=50, ratio=1.2)


def place(number: int, x: float | None = 0.0, yaw: float = 0.0, **fields) -> Place:
    T = np.eye(4)
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    T[0, 3] = x or 0.0
    return Place(number, fields.pop('stamp_ns', 0), pose=None if x is None else T, **fields)


def candidate(number: int, x: float, matches: int, similarity: float = 0.9) -> Candidate:
    return Candidate(place(number, x), number, similarity, number, matches)


def state_of(*candidates: Candidate) -> tuple[State, Reject]:
    judged = judge(candidates, NEEDED, CONFIG)
    return conclude(judged, NEEDED, CONFIG)[0], judged[0].reject


def test_a_clear_winner_is_localized():
    assert state_of(candidate(0, 0, 100), candidate(1, 50, 60)) == (State.LOCALIZED, Reject.NONE)


def test_a_strong_rival_elsewhere_makes_it_ambiguous():
    answer = state_of(candidate(0, 0, 100), candidate(1, 50, 90))
    assert answer == (State.AMBIGUOUS, Reject.AMBIGUOUS)


def test_a_strong_neighbour_is_no_rival():
    answer = state_of(candidate(0, 0, 100), candidate(1, 3, 99), candidate(2, 50, 60))
    assert answer == (State.LOCALIZED, Reject.NONE)


def test_few_matches_or_low_similarity_mean_lost():
    assert state_of(candidate(0, 0, 49)) == (State.LOST, Reject.LOW_LOCAL)
    assert state_of(candidate(0, 0, 90, 0.5)) == (State.LOST, Reject.LOW_GLOBAL)


def test_every_reason_is_in_the_mask_and_every_rejection_has_one():
    judged = judge([candidate(0, 0, 40, 0.1), candidate(1, 50, 40)], NEEDED, CONFIG)
    assert judged[0].reject == Reject.LOW_GLOBAL | Reject.LOW_LOCAL | Reject.AMBIGUOUS
    assert all((c.status is Status.REJECTED) == bool(c.reject) for c in judged)


def test_reasons_name_the_number_and_what_was_needed():
    lost = conclude(judge([candidate(0, 0, 49)], NEEDED, CONFIG), NEEDED, CONFIG)[1]
    assert lost == '49 matches, 50 needed'
    two = [candidate(0, 0, 100), candidate(7, 50, 90)]
    ambiguous = conclude(judge(two, NEEDED, CONFIG), NEEDED, CONFIG)[1]
    assert ambiguous == '1.11 times the matches of place 7, 1.20 needed'


def test_without_any_rival_the_ratio_is_infinite():
    assert match_ratio([candidate(0, 0, 10), candidate(1, 1, 10)], CONFIG) == math.inf
    assert best_rival([candidate(0, 0, 10)], CONFIG) is None


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_the_best_is_localized_exactly_when_nothing_speaks_against_it(counts):
    ranked = sorted(counts, reverse=True)
    judged = judge([candidate(i, 20.0 * i, n) for i, n in enumerate(ranked)], NEEDED, CONFIG)
    enough = ranked[0] >= 50
    clear = len(ranked) == 1 or ranked[1] == 0 or ranked[0] / ranked[1] >= 1.2
    state, _ = conclude(judged, NEEDED, CONFIG)
    assert (state is State.LOCALIZED) == (enough and clear)


def test_turned_around_or_far_apart_is_another_place():
    here = place(0, 0.0)
    assert not are_distinct(here, place(1, 4.9), CONFIG)
    assert are_distinct(here, place(1, 5.1), CONFIG)
    assert are_distinct(here, place(1, 0.0, yaw=math.radians(61)), CONFIG)
    assert not are_distinct(here, place(1, 0.0, yaw=math.radians(59)), CONFIG)


def test_without_poses_time_and_session_tell_places_apart():
    here = place(0, None)
    assert not are_distinct(here, place(1, None, stamp_ns=4 * 10**9), CONFIG)
    assert are_distinct(here, place(1, None, stamp_ns=6 * 10**9), CONFIG)
    assert are_distinct(here, place(1, None, session='tuesday'), CONFIG)


def test_poses_of_two_frames_make_two_places_wherever_they_lie():
    here = place(0, 0.0, frame='drive/0')
    assert are_distinct(here, place(1, 0.0), CONFIG)
    assert are_distinct(here, place(1, 0.0, frame='drive/1'), CONFIG)
    assert not are_distinct(here, place(1, 0.0, frame='drive/0'), CONFIG)


def test_configured_thresholds_replace_the_maps_own_one_by_one():
    measured = Calibration(0.4, 60, 1.3, 1.0, 0.1, 20, adapted(shipped()))
    assert thresholds(CONFIG, measured) == Thresholds(0.4, 60, 1.3, 0.99, Reject.NONE)
    changed = thresholds(RecognizerConfig(min_matches=5), measured)
    assert changed == Thresholds(0.4, 5, 1.3, 0.99, Reject.LOW_LOCAL)
    assert thresholds(RecognizerConfig(min_matches=5), None) is None


def test_reranking_keeps_the_global_order_on_ties():
    query = np.eye(4, dtype=np.float32)
    local = np.stack([np.eye(4)] * 3).astype(np.float32)
    local[1, 2:] = local[1, :2]  # two cells twice: fewer mutual matches
    candidates = [candidate(i, 0, 0) for i in range(3)]
    ranked = rerank(query, local, candidates, Matcher((2, 2), score='mutual'))
    assert [c.global_rank for c in ranked] == [0, 2, 1]
    assert [c.mutual_matches for c in ranked] == [4, 4, 2]


def test_the_official_order_reverses_ties_and_ignores_a_single_match():
    assert official_order(np.array([5, 5, 1, 0])).tolist() == [1, 0, 3, 2]
    query = np.eye(4, dtype=np.float32)
    local = np.stack([np.eye(4)] * 3).astype(np.float32)
    ranked = rerank(
        query, local, [candidate(i, 0, 0) for i in range(3)], Matcher((2, 2)), 'official'
    )
    assert [c.global_rank for c in ranked] == [2, 1, 0]


@pytest.mark.parametrize('field', ['position_sigma_m', 'rotation_sigma_rad'])
def test_the_covariance_is_never_zero(field):
    values = {'position_sigma_m': 2.0, 'rotation_sigma_rad': 0.2, field: 0.0}
    covariance = keyframe_covariance(
        Calibration(0.4, 60, 1.3, samples=9, confidence=adapted(shipped()), **values), CONFIG
    )
    assert covariance.shape == (6, 6) and (np.linalg.eigvalsh(covariance) > 0).all()


def test_a_map_that_measured_nothing_is_trusted_to_half_a_place():
    covariance = keyframe_covariance(None, CONFIG)
    assert covariance[0, 0] == pytest.approx((CONFIG.distinct_radius_m / 2) ** 2)
