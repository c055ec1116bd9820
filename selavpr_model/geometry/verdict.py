# SPDX-License-Identifier: MIT
"""What geometry makes of a recognition: a refined pose, or a place that is taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.decision.ranking import Ranked
from selavpr_model.geometry.map_geometry import MapGeometry, MetricPose, TwoView
from selavpr_model.records import Camera, Candidate, Recognition, Reject, State, Status


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A frame that geometry can look at. ranked: its candidates; local: (h, w, C); camera: its."""

    geometry: MapGeometry
    ranked: Ranked
    local: np.ndarray
    camera: Camera

    def at(self, best: Candidate) -> tuple[TwoView, MetricPose] | None:
        """The place, its neighbours among the candidates, and its best rival elsewhere."""
        others = sorted(self.ranked.candidates, key=lambda c: -c.mutual_matches)
        rivals = {c.row for c in self.ranked.rivals(best.row)}
        near = [c.row for c in others if c.row not in rivals and c.row != best.row]
        rival = next((c.row for c in others if c.row in rivals), None)
        return self.geometry.locate(self.local, self.camera, [best.row, *near], rival)


def verified(
    answer: Recognition, look: Look, config: RecognizerConfig
) -> tuple[Recognition, TwoView | None]:
    """A LOCALIZED answer with inliers, and a refined pose where one follows; and the two views.

    A place whose matches fit no motion, or fit one hardly better than those of a place elsewhere,
    is rejected: then the frame says AMBIGUOUS.
    """
    best = answer.candidates[0]
    located = look.at(best)
    if located is None:
        return answer, None
    view, pose = located
    best = replace(best, inliers=view.inliers)
    if not view.agrees:
        return withheld(_with(answer, best), f'geometry: {view.reason}', True), view
    if pose.pose is None or _is_elsewhere(best, pose.pose, config):
        why = f'{answer.reason}; {view.reason}; keyframe pose: {pose.reason}'
        return replace(_with(answer, best), reason=why), view
    best = replace(best, pose=pose.pose, covariance=pose.covariance)
    why = f'{answer.reason}; {pose.reason}'
    refined = replace(_with(answer, best), reason=why, pose=pose.pose, covariance=pose.covariance)
    return refined, view


def verified_alone(answer: Recognition, look: Look, config: RecognizerConfig) -> Recognition:
    """The answer with geometry's verdict on what the frame says by itself.

    For a sequence that says something else.
    """
    best = min(answer.candidates, key=lambda c: c.rank)
    located = look.at(best)
    if located is None:
        return answer
    view, pose = located
    checked = replace(best, inliers=view.inliers)
    if not view.agrees:
        checked = replace(checked, reject=checked.reject | Reject.GEOMETRY)
        answer = replace(answer, alone=State.AMBIGUOUS)
    elif pose.pose is not None and not _is_elsewhere(best, pose.pose, config):
        checked = replace(checked, pose=pose.pose, covariance=pose.covariance)
    return replace(
        answer, candidates=tuple(checked if c is best else c for c in answer.candidates)
    )


def withheld(answer: Recognition, why: str, rejected: bool) -> Recognition:
    """AMBIGUOUS, and the place rejected where geometry has spoken against it."""
    best = answer.candidates[0]
    if rejected:
        best = replace(best, status=Status.REJECTED, reject=best.reject | Reject.GEOMETRY)
    else:
        best = replace(best, status=Status.CANDIDATE)
    return replace(
        _with(answer, best), state=State.AMBIGUOUS, alone=min(answer.alone, State.AMBIGUOUS),
        reason=why, pose=None, covariance=None,
    )  # fmt: skip


def _with(answer: Recognition, best: Candidate) -> Recognition:
    return replace(answer, candidates=(best, *answer.candidates[1:]))


def _is_elsewhere(best: Candidate, pose: np.ndarray, config: RecognizerConfig) -> bool:
    """A pose that is not at the place it was computed from is no better than none."""
    return are_distinct(best.place, replace(best.place, pose=pose), config)
