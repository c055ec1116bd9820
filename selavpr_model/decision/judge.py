# SPDX-License-Identifier: MIT
"""What one frame says by itself: LOST, AMBIGUOUS or LOCALIZED, with a reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

from selavpr_model.decision.ranking import best_rival, match_ratio, Ranked
from selavpr_model.decision.thresholds import Thresholds
from selavpr_model.records import Candidate, Reject, State, Status


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """ranked: each candidate with its status and every reason to reject it; reason: one line."""

    ranked: Ranked
    state: State
    reason: str


def judge(ranked: Ranked, needed: Thresholds) -> Verdict:
    """The verdict on the candidates of one frame, of which there is at least one."""
    ratio = match_ratio(ranked)
    rejects = [_shortcomings(c, needed) for c in ranked.candidates]
    if ratio < needed.ratio:
        rivals = ranked.distinct[0]
        rejects = [
            reject | Reject.AMBIGUOUS if i == 0 or rivals[i] else reject
            for i, reject in enumerate(rejects)
        ]
    rejects[0] = _decided(rejects[0], ranked.candidates[0], needed)
    candidates = [
        replace(c, reject=reject, status=_status(i, reject))
        for i, (c, reject) in enumerate(zip(ranked.candidates, rejects, strict=True))
    ]
    judged = replace(ranked, candidates=tuple(candidates))
    return Verdict(judged, *_conclude(judged, ratio, needed))


def _shortcomings(candidate: Candidate, needed: Thresholds) -> Reject:
    reject = Reject.NONE
    if candidate.global_similarity < needed.similarity:
        reject |= Reject.LOW_GLOBAL
    if candidate.mutual_matches < needed.matches:
        reject |= Reject.LOW_LOCAL
    return reject


def _decided(reject: Reject, best: Candidate, needed: Thresholds) -> Reject:
    """The reasons that hold against the best: its confidence decides, where one is needed; then
    what the user requires is a filter."""
    if needed.confidence is None:
        return reject
    if _is_confident(best, needed):
        return reject & needed.required
    return reject or Reject.AMBIGUOUS


def _is_confident(best: Candidate, needed: Thresholds) -> bool:
    least = needed.confidence
    return least is None or (best.confidence is not None and best.confidence >= least)


def _status(index: int, reject: Reject) -> Status:
    if reject:
        return Status.REJECTED
    return Status.ACCEPTED if index == 0 else Status.CANDIDATE


def _conclude(judged: Ranked, ratio: float, needed: Thresholds) -> tuple[State, str]:
    """The state that the best candidate allows and one line that says why."""
    best = judged.candidates[0]
    confidence = _lacking_confidence(best, needed)
    if best.reject & Reject.LOW_LOCAL:
        return State.LOST, f'{confidence}{best.mutual_matches} matches, {needed.matches} needed'
    if best.reject & Reject.LOW_GLOBAL:
        text = f'similarity {best.global_similarity:.3f}, {needed.similarity:.3f} needed'
        return State.LOST, confidence + text
    if best.reject & Reject.AMBIGUOUS:
        rival = best_rival(judged)
        name = '' if rival is None else f' of place {rival.place.id}'
        least = '' if confidence else f', {needed.ratio:.2f} needed'
        return State.AMBIGUOUS, f'{confidence}{ratio:.2f} times the matches{name}{least}'
    return State.LOCALIZED, f'{best.mutual_matches} matches with place {best.place.id}'


def _lacking_confidence(best: Candidate, needed: Thresholds) -> str:
    """The start of a reason; empty where the confidence suffices."""
    if _is_confident(best, needed) or best.confidence is None:
        return ''
    return f'confidence {best.confidence:.3f}, {needed.confidence:g} needed; '
