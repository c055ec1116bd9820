# SPDX-License-Identifier: MIT
"""The one chain of decisions: what a frame says alone, and what its sequence makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from selavpr_model.config import RecognizerConfig, TemporalConfig
from selavpr_model.decision.belief import Moment, TemporalBelief
from selavpr_model.decision.confidence_fit import adapted, shipped
from selavpr_model.decision.decide import Decider
from selavpr_model.decision.evidence import by_confidence, by_matches
from selavpr_model.decision.ranking import Ranked
from selavpr_model.decision.thresholds import Thresholds
from selavpr_model.records import Candidate, Place, State, Status

MODEL, WHY = adapted(shipped()), 'nothing decides here'
NEEDED = Thresholds(0.0, 0, 0.0, 0.9)


def pose(x: float) -> np.ndarray:
    T = np.eye(4)
    T[2, 3] = x
    return T


PLACES = [Place(i, i * 10**9, pose=pose(10.0 * i)) for i in range(30)]


def ranked(best: int | None, matches: int = 400) -> Ranked:
    """All places with 50 matches, one of them with more; None: nothing was found."""
    rows = [] if best is None else [best, *(i for i in range(30) if i != best)]
    found = [Candidate(PLACES[r], r, 0.5, i, 50) for i, r in enumerate(rows[1:], 1)]
    first = [] if best is None else [Candidate(PLACES[best], best, 0.9, 0, matches)]
    return Ranked.of([*first, *found], RecognizerConfig())


def moment(number: int) -> Moment:
    cells = np.random.default_rng(number).standard_normal((32, 8)).astype(np.float32)
    view = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    return Moment(number * 10**9, pose(10.0 * number), view)


def decider(evidence=None) -> Decider:
    """evidence: of a sequence; None: each frame alone."""
    if evidence is None:
        return Decider(None, 0.97)
    poses = np.array([place.pose for place in PLACES])
    return Decider(TemporalBelief(poses, TemporalConfig(), 5.0, 60.0, evidence=evidence), 0.97)


def test_a_frame_alone_is_decided_by_its_confidence():
    clear, close = (
        decider().decide(moment(0), ranked(3, n), MODEL, NEEDED, WHY).answer for n in (400, 51)
    )
    assert clear.state is clear.alone is State.LOCALIZED
    assert close.state is close.alone is State.AMBIGUOUS
    assert clear.alone_confidence > 0.9 > close.alone_confidence


@pytest.mark.parametrize('evidence', [by_confidence, by_matches])
def test_frames_that_agree_with_the_motion_are_localized_where_one_alone_is_not(evidence):
    """By either kind of evidence; the answer still tells what the frame says alone."""
    chain, strict = decider(evidence), Thresholds(0.0, 10**6, 0.0)
    answers = [
        chain.decide(moment(i), ranked(3 + i, 100), MODEL, strict, WHY).answer for i in range(6)
    ]
    assert answers[0].state is not State.LOCALIZED
    assert answers[-1].state is State.LOCALIZED and answers[-1].alone is State.LOST
    assert answers[-1].candidates[0].status is Status.ACCEPTED
    assert answers[-1].candidates[0].row == 8
    assert answers[-1].candidates[0].confidence != answers[-1].alone_confidence


def test_without_thresholds_a_frame_alone_decides_nothing_but_a_sequence_does():
    alone = decider().decide(moment(0), ranked(3), None, None, WHY)
    assert (alone.answer.state, alone.answer.reason) == (State.LOST, WHY)
    assert alone.belief is None and alone.answer.alone_confidence is None
    chain = decider(by_matches)
    answers = [chain.decide(moment(i), ranked(3 + i), None, None, WHY).answer for i in range(6)]
    assert answers[-1].state is State.LOCALIZED and answers[-1].alone is State.LOST


def test_a_frame_without_candidates_is_lost_and_moves_no_belief():
    chain = decider(by_matches)
    before = [chain.decide(moment(i), ranked(3 + i), None, None, WHY) for i in range(6)]
    nothing = chain.decide(moment(6), ranked(None), None, NEEDED, WHY)
    assert (nothing.answer.state, nothing.answer.reason) == (State.LOST, WHY)
    assert nothing.belief is None and nothing.answer.candidates == ()
    assert chain.belief.mass_of(8) == pytest.approx(before[-1].belief.mass)


def test_the_ranked_candidates_keep_their_order_and_get_the_confidence_of_the_sequence():
    chain = decider(by_confidence)
    decision = chain.decide(moment(0), ranked(3), MODEL, NEEDED, WHY)
    assert [c.row for c in decision.ranked.candidates] == [c.row for c in ranked(3).candidates]
    expected = MODEL.over_time(decision.answer.alone_confidence, chain.belief.mass_of(3))
    assert decision.ranked.candidates[0].confidence == expected
