# SPDX-License-Identifier: MIT
"""From candidates to LOST, AMBIGUOUS or LOCALIZED, with a reason for every rejection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.belief import Belief
from selavpr_model.decision.calibration import Calibration
from selavpr_model.decision.distinct import are_distinct, distinct_from
from selavpr_model.decision.ranking import best_rival, match_ratio
from selavpr_model.records import Candidate, Reject, State, Status


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an accepted place needs; see Calibration for how a map measures them.

    confidence: least probability of being right; NaN in maps that give none, where the others
    decide. With it they only explain, except those set by the user: bits of `firm`.
    """

    similarity: float
    matches: int
    ratio: float
    confidence: float = math.nan
    firm: Reject = Reject.LOW_GLOBAL | Reject.LOW_LOCAL | Reject.AMBIGUOUS


BITS = (Reject.LOW_GLOBAL, Reject.LOW_LOCAL, Reject.AMBIGUOUS)


def thresholds(config: RecognizerConfig, calibration: Calibration | None) -> Thresholds | None:
    """The configured values, and the map's own where they are not set; None if neither is."""
    chosen = (config.min_similarity, config.min_matches, config.min_match_ratio)
    if calibration is None:
        similarity, matches, ratio = chosen
        if similarity is None or matches is None or ratio is None:
            return None
        return Thresholds(similarity, matches, ratio)
    measured = (calibration.min_similarity, calibration.min_matches, calibration.min_match_ratio)
    similarity, matches, ratio = (
        m if c is None else c for c, m in zip(chosen, measured, strict=True)
    )
    if calibration.confidence is None or None not in chosen:
        return Thresholds(similarity, int(matches), ratio)
    firm = Reject(sum(bit for bit, c in zip(BITS, chosen, strict=True) if c is not None))
    return Thresholds(similarity, int(matches), ratio, config.min_precision, firm)


def judge(
    candidates: Sequence[Candidate], needed: Thresholds, config: RecognizerConfig
) -> tuple[Candidate, ...]:
    """Each candidate with its status and every reason to reject it."""
    ambiguous = match_ratio(candidates, config) < needed.ratio
    apart = distinct_from(candidates[0].place, [c.place for c in candidates], config)
    judged = []
    for i, candidate in enumerate(candidates):
        reject = Reject.NONE
        if candidate.global_similarity < needed.similarity:
            reject |= Reject.LOW_GLOBAL
        if candidate.mutual_matches < needed.matches:
            reject |= Reject.LOW_LOCAL
        if ambiguous and (i == 0 or apart[i]):
            reject |= Reject.AMBIGUOUS
        if i == 0:
            reject = _weighed(reject, candidate, needed)
        accepted = Status.ACCEPTED if i == 0 else Status.CANDIDATE
        judged.append(
            replace(candidate, reject=reject, status=Status.REJECTED if reject else accepted)
        )
    return tuple(judged)


def _weighed(reject: Reject, best: Candidate, needed: Thresholds) -> Reject:
    """The reasons that hold, given how probable it is that the best candidate is right."""
    if math.isnan(needed.confidence):
        return reject
    if best.confidence >= needed.confidence:
        return reject & needed.firm
    return reject or Reject.AMBIGUOUS


def conclude(
    judged: tuple[Candidate, ...], needed: Thresholds, config: RecognizerConfig
) -> tuple[State, str]:
    """The state the best candidate allows and one line that says why."""
    best = judged[0]
    sure = ''
    if best.confidence < needed.confidence:
        sure = f'confidence {best.confidence:.3f}, {needed.confidence:g} needed; '
    if best.reject & Reject.LOW_LOCAL:
        return State.LOST, f'{sure}{best.mutual_matches} matches, {needed.matches} needed'
    if best.reject & Reject.LOW_GLOBAL:
        text = f'similarity {best.global_similarity:.3f}, {needed.similarity:.3f} needed'
        return State.LOST, sure + text
    if best.reject & Reject.AMBIGUOUS:
        rival = best_rival(judged, config)
        name = '' if rival is None else f' of place {rival.place.id}'
        ratio = f'{match_ratio(judged, config):.2f} times the matches{name}'
        return State.AMBIGUOUS, f'{sure}{ratio}' + ('' if sure else f', {needed.ratio:.2f} needed')
    return State.LOCALIZED, f'{best.mutual_matches} matches with place {best.place.id}'


def follow(
    judged: Sequence[Candidate], belief: Belief, min_belief: float, config: RecognizerConfig
) -> tuple[tuple[Candidate, ...], State, str]:
    """The decision of a sequence: candidates (the believed place first), state and reason.

    The frame itself must speak for the place, too: nobody is LOCALIZED on memory alone.
    """
    shown = [c for c in judged if c.row in belief.rows]
    # of the keyframes that show the place the one where motion and views agree best, not the one
    # that matches best now: a changed view matches a neighbour better too often
    believed = max(shown, key=lambda c: belief.share.get(c.row, 0.0), default=None)
    if believed is None or not accepts(judged, belief, min_belief):
        best = replace(
            judged[0], status=Status.REJECTED, reject=judged[0].reject | Reject.TEMPORAL
        )
        return (best, *judged[1:]), *_undecided(believed, belief, min_belief)
    others = tuple(_other(c, believed, config) for c in judged if c is not believed)
    accepted = replace(believed, status=Status.ACCEPTED, reject=Reject.NONE)
    reason = f'probability {belief.mass:.3f} at place {believed.place.id}'
    return (accepted, *others), State.LOCALIZED, reason


def accepts(candidates: Sequence[Candidate], belief: Belief, min_belief: float) -> bool:
    """Whether a sequence is sure of a place that its last frame speaks for and shows."""
    shown = any(c.row in belief.rows for c in candidates)
    return shown and belief.mass >= min_belief and belief.evidence > 0


def _undecided(believed: Candidate | None, belief: Belief, needed: float) -> tuple[State, str]:
    if belief.on_map < 0.5:
        return State.LOST, f'probability {belief.on_map:.3f} of being in the map, 0.5 needed'
    if believed is None or belief.mass >= needed:
        return State.AMBIGUOUS, 'this frame does not show the place where the last ones were'
    text = f'probability {belief.mass:.3f} at place {believed.place.id}, {needed} needed'
    return State.AMBIGUOUS, text


def _other(candidate: Candidate, believed: Candidate, config: RecognizerConfig) -> Candidate:
    if not are_distinct(believed.place, candidate.place, config):
        return replace(candidate, status=Status.CANDIDATE, reject=Reject.NONE)
    reject = candidate.reject | Reject.TEMPORAL
    return replace(candidate, status=Status.REJECTED, reject=reject)
