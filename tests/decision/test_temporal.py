# SPDX-License-Identifier: MIT
"""Belief over places: agreement in time localises, a single look-alike does not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import RecognizerConfig, TemporalConfig
from selavpr_model.decision.belief import Belief, Moment, TemporalBelief
from selavpr_model.decision.evidence import by_confidence, by_matches
from selavpr_model.decision.follow import follow
from selavpr_model.decision.judge import judge
from selavpr_model.decision.modes import Mode
from selavpr_model.decision.ranking import Ranked
from selavpr_model.decision.thresholds import Thresholds
from selavpr_model.records import Candidate, Place, Reject, State, Status

SECOND = 1_000_000_000
BACKGROUND = 60  # matches of a wrong place; about its square root is noise


def at(x: float, y: float = 0.0) -> np.ndarray:
    """A camera at (x, y) that looks along x: optical axis z forward."""
    T = np.eye(4)
    T[:3, :3] = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T[:3, 3] = (x, y, 0.0)
    return T


STREET = [Place(i, i, pose=at(2.0 * i)) for i in range(60)]


def belief(config: TemporalConfig | None = None, places: list[Place] = STREET) -> TemporalBelief:
    poses = np.array([place.pose for place in places])
    return TemporalBelief(poses, config or TemporalConfig(), 5.0, 60.0)


def view(shown: dict[int, int], seed: int, places: list[Place] = STREET) -> list[Candidate]:
    """All places as candidates; those of `shown` have that many matches, the rest are noise."""
    noise = np.random.default_rng(seed).normal(BACKGROUND, 5.0, len(places))
    counts = [shown.get(p.id, int(n)) for p, n in zip(places, noise, strict=True)]
    found = [
        Candidate(p, i, 0.9, i, n) for i, (p, n) in enumerate(zip(places, counts, strict=True))
    ]
    return sorted(found, key=lambda c: -c.mutual_matches)


def matched(counts: list[int]) -> list[Candidate]:
    """A candidate for each count of matches."""
    return [Candidate(STREET[0], i, 0.9, i, n) for i, n in enumerate(counts)]


def scene(number: int) -> np.ndarray:
    """(32, 8) local features of a view; other numbers share nothing."""
    cells = np.random.default_rng(number).standard_normal((32, 8)).astype(np.float32)
    return cells / np.linalg.norm(cells, axis=1, keepdims=True)


def drive(
    filter_: TemporalBelief, shown: list[dict[int, int]], step_m: float = 2.0
) -> list[Belief]:
    """Frames half a second and `step_m` apart, with exact odometry."""
    return [
        filter_.update(Moment(i * SECOND // 2, at(step_m * i), scene(i)), view(places, i))
        for i, places in enumerate(shown)
    ]


def test_frames_that_agree_with_the_motion_become_certain():
    beliefs = drive(belief(), [{10 + i: 90} for i in range(8)])
    assert beliefs[-1].mass > 0.99 and 17 in beliefs[-1].rows
    assert beliefs[0].mass < 0.95  # one frame is not enough


def test_the_belief_grows_towards_the_truth_from_frame_to_frame():
    masses = [b.mass for b in drive(belief(), [{10 + i: 90} for i in range(6)])]
    assert masses == sorted(masses)


def test_strong_matches_that_jump_about_convince_nobody():
    places = [3, 40, 17, 55, 25, 8, 48, 30, 12, 50]
    assert max(b.mass for b in drive(belief(), [{p: 95} for p in places])) < 0.95


def test_a_look_alike_seen_again_and_again_while_the_robot_moves_on_convinces_nobody():
    assert max(b.mass for b in drive(belief(), [{20: 90}] * 10, step_m=4.0)[2:]) < 0.95


def test_noise_alone_is_off_the_map():
    last = drive(belief(), [{} for _ in range(20)])[-1]
    assert last.on_map < 0.5


def test_a_robot_carried_elsewhere_is_found_there_within_ten_frames():
    shown = [{5 + i: 90} for i in range(8)] + [{40 + i: 90} for i in range(10)]
    beliefs = drive(belief(), shown)
    assert 12 in beliefs[7].rows and beliefs[7].mass > 0.95
    assert beliefs[8].evidence <= 0 or beliefs[8].mass < 0.95  # at once no longer trusted
    assert 49 in beliefs[-1].rows and beliefs[-1].mass > 0.95


def test_leaving_the_map_at_its_end_is_noticed():
    shown = [{52 + i: 90} for i in range(8)] + [{} for _ in range(4)]
    beliefs = drive(belief(), shown)
    assert beliefs[7].mass > 0.95 and beliefs[-1].on_map < 0.5


def test_the_same_view_again_and_again_is_one_piece_of_evidence():
    masses = [b.mass for b in drive(belief(), [{10: 90}] * 15, step_m=0.0)]
    assert masses == [masses[0]] * 15  # half a second apart, for 7.5 s


def test_a_robot_that_turns_gathers_evidence_without_moving():
    filter_ = belief()
    first = filter_.update(Moment(0, at(20.0), scene(0)), view({10: 90}, 0))
    for i in range(1, 8):
        turn = np.radians(25.0 * (i % 2))
        T = np.eye(4)
        T[0, 0] = T[2, 2] = np.cos(turn)
        T[0, 2], T[2, 0] = np.sin(turn), -np.sin(turn)
        last = filter_.update(Moment(i * SECOND // 10, at(20.0) @ T, scene(0)), view({10: 90}, i))
    assert last.mass > first.mass


def test_without_odometry_a_view_that_stays_the_same_never_convinces():
    filter_ = belief()
    first = filter_.update(Moment(0, None, scene(0)), view({10: 95}, 0))
    for i in range(1, 200):
        last = filter_.update(Moment(i * SECOND, None, scene(0)), view({10: 95}, i))
    assert last.mass == first.mass < 0.95


def test_slow_motion_adds_up():
    """Steps far below the spacing of the places still carry the belief along."""
    filter_ = belief()
    for i in range(160):
        x = 20.0 + 0.1 * i
        last = filter_.update(
            Moment(i * SECOND // 10, at(x), scene(0)), view({round(x / 2): 90}, i)
        )
    assert last.mass > 0.95 and round(x / 2) in last.rows


def test_it_works_without_odometry():
    config = TemporalConfig(neutral_deviations=1.5, speed_mps=4.0)
    filter_ = belief(config)
    for i in range(10):
        last = filter_.update(Moment(i * SECOND // 2, None, scene(i)), view({10 + i: 95}, i))
    assert last.mass > 0.95 and 19 in last.rows


def test_reset_forgets_everything():
    filter_ = belief()
    drive(filter_, [{10 + i: 90} for i in range(8)])
    filter_.reset()
    first = filter_.update(Moment(0, None, scene(0)), view({30: 90}, 0))
    fresh = belief().update(Moment(0, None, scene(0)), view({30: 90}, 0))
    assert (first.rows, first.mass) == (fresh.rows, fresh.mass)


def test_after_a_long_gap_without_odometry_it_can_be_anywhere():
    filter_ = belief()
    drive(filter_, [{10 + i: 90} for i in range(8)])
    last = filter_.update(Moment(3600 * SECOND, None, scene(99)), view({}, 0))
    assert last.mass < 0.5


def test_on_a_large_map_no_belief_is_lost_for_places_far_down_the_list():
    """2,000 places, all equally likely at first: those at the end keep their share."""
    large = [Place(i, i, pose=at(2.0 * i)) for i in range(2000)]
    filter_ = belief(places=large)
    for i in range(3):
        filter_.update(Moment(i * SECOND, at(2.0 * i), scene(i)), [])
    assert filter_._belief[1500:].sum() > 0.1


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 200)), min_size=1, max_size=12),
    st.floats(0, 30),
    st.booleans(),
)
def test_probabilities_stay_probabilities(shown, step_m, with_odometry):
    filter_ = belief()
    for i, (place, matches) in enumerate(shown):
        odom = at(step_m * i) if with_odometry else None
        b = filter_.update(Moment(i * SECOND, odom, scene(i)), view({place: matches}, i))
        assert 0.0 <= b.mass <= 1.0 + 1e-9 and 0.0 <= b.on_map <= 1.0
        assert filter_._belief.sum() + filter_._off == pytest.approx(1.0)
        assert b.rows and all(0 <= row < 60 for row in b.rows)


@given(st.lists(st.integers(0, 256), min_size=1, max_size=100))
def test_evidence_is_bounded_and_rises_with_the_matches(counts):
    config = TemporalConfig()
    evidence = by_matches(matched(counts), config)
    assert np.abs(evidence).max() <= config.max_evidence
    order = np.argsort(counts, kind='stable')
    assert (np.diff(evidence[order]) >= 0).all()


@given(st.lists(st.floats(0.0, 1.0) | st.none(), min_size=1, max_size=60))
def test_confidence_speaks_before_matches_do(known):
    """Each that has one gets its log odds; nothing else is believed more than these."""
    config, shown = TemporalConfig(), view({10: 200}, 0)
    known = [0.5, *known]  # the best has one
    candidates = [replace(c, confidence=p) for c, p in zip(shown, known, strict=False)]
    evidence = by_confidence(candidates, config)
    assert np.abs(evidence).max() <= config.max_evidence
    least = min(e for p, e in zip(known, evidence, strict=False) if p is not None)
    for p, e in zip(known, evidence, strict=False):
        if p is None:
            assert e <= least
        elif abs(p - config.neutral_confidence) > 1e-6:
            assert e <= 0 or p > config.neutral_confidence  # far behind the best it may be less


def test_where_no_place_has_a_confidence_matches_speak():
    shown = view({10: 200}, 0)
    pair = [speaks(shown, TemporalConfig()) for speaks in (by_confidence, by_matches)]
    np.testing.assert_array_equal(*pair)


def test_by_matches_no_confidence_is_heard():
    shown = view({10: 200}, 0)
    confident = [replace(c, confidence=0.01) for c in shown]
    pair = [by_matches(candidates, TemporalConfig()) for candidates in (shown, confident)]
    np.testing.assert_array_equal(*pair)


def test_evidence_does_not_depend_on_how_well_everything_matches():
    """At night all counts fall; what counts is how the place stands out."""
    day = by_matches(matched([60, 62, 58, 61, 59, 100]), TemporalConfig())
    assert day.argmax() == 5 and day[5] > 0 and (day[:5] < 0).all()
    night = by_matches(matched([30, 31, 29, 30, 30, 65]), TemporalConfig())
    assert night.argmax() == 5 and night[5] > 0 and (night[:5] < 0).all()


def believed(mass: float, on_map: float, evidence: float, *rows: int) -> Belief:
    """With one mode."""
    mode = Mode(dict.fromkeys(rows, mass / len(rows)), mass)
    return Belief(frozenset(rows), mass, on_map, evidence, mode)


def decided(b: Belief, frame: dict[int, int] | None = None):
    ranked = Ranked.of(view(frame or {10: 90}, 0), RecognizerConfig())
    judged = judge(ranked, Thresholds(0.0, 200, 1.0)).ranked
    return follow(judged, judged, b, None, 0.97)


def test_of_the_keyframes_of_a_place_the_most_probable_one_gives_the_pose():
    shown = {20: 90, 21: 80, 22: 70}
    sure = Belief(frozenset(shown), 0.99, 0.99, 1.0, Mode({20: 0.1, 21: 0.6, 22: 0.29}, 0.99))
    assert decided(sure, shown)[0][0].row == 21


def test_the_believed_place_comes_first_and_is_accepted_whatever_one_frame_lacks():
    candidates, state, reason = decided(believed(0.98, 0.99, 1.0, 20, 21))
    assert state is State.LOCALIZED and 'probability 0.980' in reason
    assert candidates[0].row in (20, 21)
    assert (candidates[0].status, candidates[0].reject) == (Status.ACCEPTED, Reject.NONE)
    far = next(c for c in candidates if c.row == 50)
    assert far.reject & Reject.TEMPORAL and far.status is Status.REJECTED
    assert len({c.row for c in candidates}) == 60


@pytest.mark.parametrize(
    ('b', 'state', 'word'),
    [
        (believed(0.90, 0.99, 1.0, 20), State.AMBIGUOUS, '0.900'),
        (believed(0.99, 0.99, -0.1, 20), State.AMBIGUOUS, '0.000'),
        (believed(0.99, 0.99, 1.0, 99), State.AMBIGUOUS, 'does not show'),
        (believed(0.30, 0.40, 1.0, 20), State.LOST, 'being in the map'),
    ],
)
def test_without_enough_belief_or_support_there_is_no_place(b, state, word):
    candidates, got, reason = decided(b)
    assert got is state and word in reason
    assert candidates[0].row == 10  # the order of the matches stays
    assert candidates[0].reject & Reject.TEMPORAL
    assert candidates[0].status is Status.REJECTED


def test_a_match_or_two_in_a_frame_without_any_speak_for_nothing():
    counts = [0] * 99
    found = [by_matches(matched([*counts, n]), TemporalConfig())[-1] for n in (1, 2, 20)]
    assert found[0] < 0.0 and found[1] < 0.5 and found[2] == TemporalConfig().max_evidence
