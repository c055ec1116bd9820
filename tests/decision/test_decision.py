# SPDX-License-Identifier: MIT
"""Order, rivals and the decision on made-up candidates."""

from __future__ import annotations

from dataclasses import replace
import itertools
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.calibration import Calibration, keyframe_covariance
from selavpr_model.decision.confidence_fit import adapted, shipped
from selavpr_model.decision.distinct import are_distinct, Viewpoints
from selavpr_model.decision.judge import judge
from selavpr_model.decision.ranking import (
    best_rival,
    is_decided,
    match_ratio,
    official_order,
    ordered,
    Ranked,
    root,
    variation,
    with_matches,
)
from selavpr_model.decision.thresholds import Thresholds, thresholds
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


def ranked(*candidates: Candidate) -> Ranked:
    return Ranked.of(candidates, CONFIG)


def state_of(*candidates: Candidate) -> tuple[State, Reject]:
    verdict = judge(ranked(*candidates), NEEDED)
    return verdict.state, verdict.ranked.candidates[0].reject


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
    verdict = judge(ranked(candidate(0, 0, 40, 0.1), candidate(1, 50, 40)), NEEDED)
    judged = verdict.ranked.candidates
    assert judged[0].reject == Reject.LOW_GLOBAL | Reject.LOW_LOCAL | Reject.AMBIGUOUS
    assert all((c.status is Status.REJECTED) == bool(c.reject) for c in judged)


def test_reasons_name_the_number_and_what_was_needed():
    lost = judge(ranked(candidate(0, 0, 49)), NEEDED).reason
    assert lost == '49 matches, 50 needed'
    ambiguous = judge(ranked(candidate(0, 0, 100), candidate(7, 50, 90)), NEEDED).reason
    assert ambiguous == '1.11 times the matches of place 7, 1.20 needed'


def test_without_any_rival_the_ratio_is_infinite():
    assert match_ratio(ranked(candidate(0, 0, 10), candidate(1, 1, 10))) == math.inf
    assert best_rival(ranked(candidate(0, 0, 10))) is None


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_the_best_is_localized_exactly_when_nothing_speaks_against_it(counts):
    counts = sorted(counts, reverse=True)
    candidates = [candidate(i, 20.0 * i, n) for i, n in enumerate(counts)]
    enough = counts[0] >= 50
    clear = len(counts) == 1 or counts[1] == 0 or counts[0] / counts[1] >= 1.2
    state = judge(ranked(*candidates), NEEDED).state
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
    here = Viewpoints.of([place(0, 0.0)], ['drive/0'])
    others = Viewpoints.of([place(1, 0.0)] * 3, ['', 'drive/1', 'drive/0'])
    assert others.from_one(here, CONFIG).tolist() == [True, True, False]


def test_configured_thresholds_replace_the_maps_own_one_by_one():
    measured = Calibration(0.4, 60, 1.3, 1.0, 0.1, 20, adapted(shipped()))
    assert thresholds(CONFIG, measured) == Thresholds(0.4, 60, 1.3, 0.99, Reject.NONE)
    changed = thresholds(RecognizerConfig(min_matches=5), measured)
    assert changed == Thresholds(0.4, 5, 1.3, 0.99, Reject.LOW_LOCAL)
    assert thresholds(RecognizerConfig(min_matches=5), None) is None
    three = RecognizerConfig(min_similarity=0.5, min_matches=0, min_match_ratio=1.0)
    for calibration in (None, measured):  # all three set: they decide
        assert thresholds(three, calibration) == Thresholds(0.5, 0, 1.0)


@pytest.mark.parametrize(
    ('confidence', 'required', 'state', 'reject'),
    [
        (0.995, Reject.NONE, State.LOCALIZED, Reject.NONE),
        (0.995, Reject.LOW_LOCAL, State.LOST, Reject.LOW_LOCAL),
        (0.98, Reject.NONE, State.LOST, Reject.LOW_LOCAL | Reject.LOW_GLOBAL),
        (None, Reject.NONE, State.LOST, Reject.LOW_LOCAL | Reject.LOW_GLOBAL),
    ],
)
def test_the_confidence_decides_and_what_the_user_requires_is_a_filter(
    confidence, required, state, reject
):
    few = replace(candidate(0, 0, 49, 0.5), confidence=confidence)
    needed = Thresholds(0.6, 50, 1.2, 0.99, required)
    verdict = judge(ranked(few, candidate(1, 50, 10)), needed)
    assert (verdict.state, verdict.ranked.candidates[0].reject) == (state, reject)
    assert ('confidence 0.980, 0.99 needed' in verdict.reason) == (confidence == 0.98)


PAPER, BOTH = RecognizerConfig(), RecognizerConfig(similarity_weight=1.25)


def test_reranking_by_matches_keeps_the_global_order_on_ties():
    query = np.eye(4, dtype=np.float32)
    local = np.stack([np.eye(4)] * 3).astype(np.float32)
    local[1, 2:] = local[1, :2]  # two cells twice: fewer mutual matches
    candidates = [candidate(i, 0, 0) for i in range(3)]
    matched = with_matches(query, local, candidates, Matcher((2, 2), score='mutual'))
    order = ordered(matched, 0.1, PAPER)
    assert [c.global_rank for c in order] == [0, 2, 1]
    assert [c.mutual_matches for c in order] == [4, 4, 2]
    assert [c.rank for c in order] == [0, 1, 2]


def test_the_official_order_reverses_ties_and_ignores_a_single_match():
    assert official_order(np.array([5, 5, 1, 0])).tolist() == [1, 0, 3, 2]
    official = replace(PAPER, ties='official')
    order = ordered([candidate(i, 0, 4) for i in range(3)], 0.1, official)
    assert [c.global_rank for c in order] == [2, 1, 0]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 900)), min_size=1, max_size=30),
    st.floats(0.01, 0.5),
)
def test_a_place_that_is_better_in_both_is_never_behind(drawn, spread):
    found = [candidate(i, 20.0 * i, m, c) for i, (c, m) in enumerate(drawn)]
    order = ordered(found, spread, BOTH)
    assert sorted(c.row for c in order) == list(range(len(found)))
    assert [c.rank for c in order] == list(range(len(found)))
    for before, after in itertools.pairwise(order):
        ahead = after.global_similarity > before.global_similarity + 1e-9
        assert not (ahead and after.mutual_matches >= before.mutual_matches)


def test_similarity_and_matches_both_count_in_what_they_vary_by():
    """Where cosines vary more, the same lead of one is worth less."""
    found = [candidate(0, 0, 100, 0.5), candidate(1, 50, 130, 0.3), candidate(2, 90, 90, 0.1)]
    assert [ordered(found, spread, BOTH)[0].row for spread in (0.02, 0.5)] == [0, 1]


@given(
    st.lists(st.tuples(st.integers(0, 400), st.floats(0.0, 0.9)), min_size=2, max_size=20),
    st.lists(st.integers(0, 400), max_size=80),
)
def test_what_few_have_decided_holds_whatever_the_others_vary_by(drawn, more):
    """As long as none of them has more matches than are likely."""
    falling = sorted((c for _, c in drawn), reverse=True)
    few = [candidate(i, 0, m, c) for i, ((m, _), c) in enumerate(zip(drawn, falling, strict=True))]
    if not is_decided(few, falling[-1], 0.1, BOTH):
        return
    half = root([c.mutual_matches for c in few[len(few) // 2 :]])
    likely = int((half.mean() + 4.0 * max(half.std(), 0.5)) ** 2 - 3 / 8)
    others = [candidate(99 + i, 0, min(m, likely), falling[-1]) for i, m in enumerate(more)]
    few_vary, all_vary = (variation(root([c.mutual_matches for c in part]))
                          for part in (few, [*few, *others]))  # fmt: skip
    if few_vary / 2 <= all_vary <= few_vary * 2:
        order = ordered([*few, *others], 0.1, BOTH)
        assert order[0].row == ordered(few, 0.1, BOTH)[0].row


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
