# SPDX-License-Identifier: MIT
"""What a sequence of frames says, given what is believed after the last one.

One number decides: the calibrated probability that the answer is right, from the frame and the
sequence together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selavpr_model.decision.belief import Belief
from selavpr_model.decision.confidence import Confidence
from selavpr_model.decision.ranking import Ranked
from selavpr_model.records import Candidate, Reject, State, Status

OTHER = 'this frame does not show the place where the last ones were'


def follow(
    ranked: Ranked, alone: Ranked, belief: Belief, model: Confidence | None, needed: float
) -> tuple[tuple[Candidate, ...], State, str]:
    """The candidates (the believed place first), the state and the reason.

    ranked: with the confidences over time; alone: with those of the frame alone; model: of the
    confidence, None where nothing measures it; needed: least probability of being right that makes
    the robot LOCALIZED.
    """
    candidates, believed = ranked.candidates, _believed(ranked.candidates, belief)
    if believed is None:
        return _undecided(candidates, belief, OTHER)
    p = probability(alone, believed.row, belief, model)
    if p < needed:
        text = f'probability {p:.3f} of place {believed.place.id}, {needed:g} needed'
        return _undecided(candidates, belief, text)
    rivals = {c.row for c in ranked.rivals(believed.row)} - set(belief.mode.share)
    sure = None if model is None else p
    accepted = replace(believed, status=Status.ACCEPTED, reject=Reject.NONE, confidence=sure)
    others = tuple(_other(c, c.row in rivals) for c in candidates if c is not believed)
    reason = f'probability {p:.3f} of place {believed.place.id}'
    return (accepted, *others), State.LOCALIZED, reason


def _believed(candidates: Sequence[Candidate], belief: Belief) -> Candidate | None:
    """Of the keyframes of the mode the one where motion and views agree best.

    It is not the one that matches best now: a changed view matches a neighbour better too often.
    """
    share = belief.mode.share
    at_place = [c for c in candidates if c.row in share]
    return max(at_place, key=lambda c: share[c.row], default=None)


def probability(alone: Ranked, row: int, belief: Belief, model: Confidence | None) -> float:
    """Of the mode being right about the place of a row of the map, one of its candidates.

    By the best keyframe of that place in this frame alone, and by the sequence. The rest of a long
    mode does not count: the frame may show that the robot is at its other end. Without a model it
    is the belief in the mode. A frame that speaks against the mode makes it 0: nobody is LOCALIZED
    on memory alone, as the robot may have been carried away just now.
    """
    if belief.evidence <= 0:
        return 0.0
    if model is None:
        return belief.mode.mass
    elsewhere = {c.row for c in alone.rivals(row)}
    known = [(c.row not in elsewhere, c.confidence) for c in alone.candidates]
    here = [p for mine, p in known if mine and p is not None]
    every = [p for _, p in known if p is not None]
    return model.over_time(max(here, default=min(every, default=0.0)), belief.mode.mass)


def _undecided(
    candidates: Sequence[Candidate], belief: Belief, why: str
) -> tuple[tuple[Candidate, ...], State, str]:
    reject = candidates[0].reject | Reject.TEMPORAL
    best = replace(candidates[0], status=Status.REJECTED, reject=reject)
    if belief.on_map < 0.5:
        why = f'probability {belief.on_map:.3f} of being in the map, 0.5 needed'
        return (best, *candidates[1:]), State.LOST, why
    return (best, *candidates[1:]), State.AMBIGUOUS, why


def _other(candidate: Candidate, is_rival: bool) -> Candidate:
    if not is_rival:
        return replace(candidate, status=Status.CANDIDATE, reject=Reject.NONE)
    reject = candidate.reject | Reject.TEMPORAL
    return replace(candidate, status=Status.REJECTED, reject=reject)
