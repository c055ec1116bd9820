# SPDX-License-Identifier: MIT
"""What a sequence of frames says, given what is believed after the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selavpr_model.decision.belief import Belief
from selavpr_model.decision.ranking import Ranked
from selavpr_model.records import Candidate, Reject, State, Status


def follow(
    ranked: Ranked, belief: Belief, min_belief: float
) -> tuple[tuple[Candidate, ...], State, str]:
    """The candidates (the believed place first), the state and the reason.

    The frame itself must speak for the place, too: nobody is LOCALIZED on memory alone.
    """
    candidates, believed = ranked.candidates, _believed(ranked.candidates, belief)
    if believed is None or not accepts(candidates, belief, min_belief):
        reject = candidates[0].reject | Reject.TEMPORAL
        best = replace(candidates[0], status=Status.REJECTED, reject=reject)
        return (best, *candidates[1:]), *_undecided(believed, belief, min_belief)
    rivals = {c.row for c in ranked.rivals(believed.row)}
    accepted = replace(believed, status=Status.ACCEPTED, reject=Reject.NONE)
    others = tuple(_other(c, c.row in rivals) for c in candidates if c is not believed)
    reason = f'probability {belief.mass:.3f} at place {believed.place.id}'
    return (accepted, *others), State.LOCALIZED, reason


def _believed(candidates: Sequence[Candidate], belief: Belief) -> Candidate | None:
    """Of the keyframes that show the place the one where motion and views agree best.

    It is not the one that matches best now: a changed view matches a neighbour better too often.
    """
    at_place = [c for c in candidates if c.row in belief.rows]
    return max(at_place, key=lambda c: belief.share.get(c.row, 0.0), default=None)


def accepts(candidates: Sequence[Candidate], belief: Belief, min_belief: float) -> bool:
    """Whether a sequence is certain of a place that its last frame speaks for and shows."""
    is_shown = any(c.row in belief.rows for c in candidates)
    return is_shown and belief.mass >= min_belief and belief.evidence > 0


def _undecided(believed: Candidate | None, belief: Belief, needed: float) -> tuple[State, str]:
    if belief.on_map < 0.5:
        return State.LOST, f'probability {belief.on_map:.3f} of being in the map, 0.5 needed'
    if believed is None or belief.mass >= needed:
        return State.AMBIGUOUS, 'this frame does not show the place where the last ones were'
    text = f'probability {belief.mass:.3f} at place {believed.place.id}, {needed} needed'
    return State.AMBIGUOUS, text


def _other(candidate: Candidate, is_rival: bool) -> Candidate:
    if not is_rival:
        return replace(candidate, status=Status.CANDIDATE, reject=Reject.NONE)
    reject = candidate.reject | Reject.TEMPORAL
    return replace(candidate, status=Status.REJECTED, reject=reject)
