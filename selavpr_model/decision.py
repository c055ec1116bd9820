# SPDX-License-Identifier: MIT
"""From candidates to LOST, AMBIGUOUS or LOCALIZED, with a reason for every rejection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from selavpr_model.calibration import Calibration
from selavpr_model.config import RecognizerConfig
from selavpr_model.places import are_distinct
from selavpr_model.ranking import best_rival, match_ratio
from selavpr_model.records import Candidate, Reject, State, Status


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an accepted place needs; see Calibration for how a map measures them."""

    similarity: float
    matches: int
    ratio: float


def thresholds(config: RecognizerConfig, calibration: Calibration | None) -> Thresholds | None:
    """The configured values, and the map's own where they are -1; None if neither is there."""
    chosen = (config.min_similarity, config.min_matches, config.min_match_ratio)
    if calibration is None:
        return None if -1 in chosen else Thresholds(*chosen)
    measured = (calibration.min_similarity, calibration.min_matches, calibration.min_match_ratio)
    similarity, matches, ratio = (
        m if c == -1 else c for c, m in zip(chosen, measured, strict=True)
    )
    return Thresholds(similarity, int(matches), ratio)


def judge(
    candidates: Sequence[Candidate], needed: Thresholds, config: RecognizerConfig
) -> tuple[Candidate, ...]:
    """Each candidate with its status and every reason to reject it."""
    ambiguous = match_ratio(candidates, config) < needed.ratio
    judged = []
    for i, candidate in enumerate(candidates):
        reject = Reject.NONE
        if candidate.global_similarity < needed.similarity:
            reject |= Reject.LOW_GLOBAL
        if candidate.mutual_matches < needed.matches:
            reject |= Reject.LOW_LOCAL
        if ambiguous and (i == 0 or are_distinct(candidates[0].place, candidate.place, config)):
            reject |= Reject.AMBIGUOUS
        accepted = Status.ACCEPTED if i == 0 else Status.CANDIDATE
        judged.append(
            replace(candidate, reject=reject, status=Status.REJECTED if reject else accepted)
        )
    return tuple(judged)


def conclude(
    judged: tuple[Candidate, ...], needed: Thresholds, config: RecognizerConfig
) -> tuple[State, str]:
    """The state the best candidate allows and one line that says why."""
    best = judged[0]
    if best.reject & Reject.LOW_LOCAL:
        return State.LOST, f'{best.mutual_matches} mutual matches, {needed.matches} needed'
    if best.reject & Reject.LOW_GLOBAL:
        text = f'similarity {best.global_similarity:.3f}, {needed.similarity:.3f} needed'
        return State.LOST, text
    if best.reject & Reject.AMBIGUOUS:
        rival = best_rival(judged, config)
        name = '' if rival is None else f' of place {rival.place.id}'
        ratio = f'{match_ratio(judged, config):.2f} times the matches{name}'
        return State.AMBIGUOUS, f'{ratio}, {needed.ratio:.2f} needed'
    return State.LOCALIZED, f'{best.mutual_matches} mutual matches with place {best.place.id}'
