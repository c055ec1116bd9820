# SPDX-License-Identifier: MIT
"""What geometry makes of a recognition: a refined pose, or a place that is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.geometry.map_geometry import MapGeometry, MetricPose, TwoView
from selavpr_model.records import Camera, Candidate, Recognition, Reject, State, Status


def verified(
    answer: Recognition,
    geometry: MapGeometry,
    local: np.ndarray,
    camera: Camera,
    config: RecognizerConfig,
) -> tuple[Recognition, TwoView | None]:
    """A LOCALIZED answer with inliers, and a refined pose where one follows; and the look itself.

    local: (h, w, C) of the frame. A place whose matches fit no motion, or fit one hardly better
    than those of a place elsewhere, is rejected: then the frame says AMBIGUOUS.
    """
    best = answer.candidates[0]
    found = look(best, answer.candidates, geometry, local, camera, config)
    if found is None:
        return answer, None
    view, pose = found
    best = replace(best, inliers=view.inliers)
    if not view.agrees:
        return withheld(_with(answer, best), f'geometry: {view.reason}', True), view
    if pose.pose is None or _is_elsewhere(best, pose.pose, config):
        why = f'{answer.reason}; {view.reason}; keyframe pose: {pose.reason}'
        return replace(_with(answer, best), reason=why), view
    best = replace(best, pose=pose.pose, covariance=pose.covariance)
    why = f'{answer.reason}; {pose.reason}'
    made = replace(_with(answer, best), reason=why, pose=pose.pose, covariance=pose.covariance)
    return made, view


def verified_alone(
    answer: Recognition,
    geometry: MapGeometry,
    local: np.ndarray,
    camera: Camera,
    config: RecognizerConfig,
) -> Recognition:
    """The same for what the frame says by itself, where the sequence says something else."""
    best = max(answer.candidates, key=lambda c: (c.mutual_matches, -c.global_rank))
    found = look(best, answer.candidates, geometry, local, camera, config)
    if found is None:
        return answer
    view, pose = found
    made = replace(best, inliers=view.inliers)
    if not view.agrees:
        made = replace(made, reject=made.reject | Reject.GEOMETRY)
        answer = replace(answer, alone=State.AMBIGUOUS)
    elif pose.pose is not None and not _is_elsewhere(best, pose.pose, config):
        made = replace(made, pose=pose.pose, covariance=pose.covariance)
    return replace(answer, candidates=tuple(made if c is best else c for c in answer.candidates))


def look(
    best: Candidate,
    candidates: Sequence[Candidate],
    geometry: MapGeometry,
    local: np.ndarray,
    camera: Camera,
    config: RecognizerConfig,
) -> tuple[TwoView, MetricPose] | None:
    """At the place, its neighbours among the candidates, and its best rival elsewhere."""
    others = sorted((c for c in candidates if c is not best), key=lambda c: -c.mutual_matches)
    elsewhere = [are_distinct(best.place, c.place, config) for c in others]
    near = [c.row for c, far in zip(others, elsewhere, strict=True) if not far]
    rivals = [c.row for c, far in zip(others, elsewhere, strict=True) if far]
    return geometry.locate(local, camera, [best.row, *near], rivals[0] if rivals else None)


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
