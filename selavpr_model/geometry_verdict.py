# SPDX-License-Identifier: MIT
"""What geometry makes of a recognition: a refined pose, or a place that is taken back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.geometry import MapGeometry
from selavpr_model.places import are_distinct
from selavpr_model.records import Camera, Candidate, Recognition, Reject, State, Status


def verified(
    answer: Recognition,
    geometry: MapGeometry,
    local: np.ndarray,
    camera: Camera,
    config: RecognizerConfig,
) -> Recognition:
    """`answer` with inliers, and a refined pose where one follows; local: (h, w, C) of the frame.

    A place whose matches fit no motion is rejected: then the frame says AMBIGUOUS. Answers that
    are not LOCALIZED, and maps without cameras, stay as they are.
    """
    if answer.state is not State.LOCALIZED:
        return answer
    best, *others = answer.candidates
    near = [c for c in others if not are_distinct(best.place, c.place, config)]
    near.sort(key=lambda c: -c.mutual_matches)
    found = geometry.locate(local, camera, [c.row for c in (best, *near)])
    if found is None:
        return answer
    view, pose = found
    best = replace(best, inliers=view.inliers)
    if not view.agrees:
        return _taken_back(answer, best, view.reason)
    if pose.pose is None or _is_elsewhere(best, pose.pose, config):
        why = f'{answer.reason}; {view.reason}; keyframe pose: {pose.reason}'
        return replace(answer, candidates=(best, *answer.candidates[1:]), reason=why)
    best = replace(best, pose=pose.pose, covariance=pose.covariance)
    return replace(
        answer,
        candidates=(best, *answer.candidates[1:]),
        reason=f'{answer.reason}; {pose.reason}',
        pose=pose.pose,
        covariance=pose.covariance,
    )


def _taken_back(answer: Recognition, best: Candidate, why: str) -> Recognition:
    best = replace(best, status=Status.REJECTED, reject=best.reject | Reject.GEOMETRY)
    return replace(
        answer,
        state=State.AMBIGUOUS,
        alone=min(answer.alone, State.AMBIGUOUS),
        candidates=(best, *answer.candidates[1:]),
        reason=f'geometry: {why}',
        pose=None,
        covariance=None,
    )


def _is_elsewhere(best: Candidate, pose: np.ndarray, config: RecognizerConfig) -> bool:
    """A pose that is not at the place it was computed from is no better than none."""
    return are_distinct(best.place, replace(best.place, pose=pose), config)
