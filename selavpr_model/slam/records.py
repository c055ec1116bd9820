# SPDX-License-Identifier: MIT
"""What closing loops looks at, and how its verdicts are written down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from selavpr_model.records import Candidate, ClosureKind, LoopClosure, Place, PoseKind, Reject
from selavpr_model.slam.trail import Spot


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A keyframe and its candidates, re-ranked, best first."""

    place: Place
    row: int
    spot: Spot
    candidates: tuple[Candidate, ...]
    best: tuple[Candidate, ...] = ()  # those that stand out


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """What two views of one place say about the motion between them; see LoopClosure."""

    agrees: bool
    inliers: int
    reason: str
    pose_kind: PoseKind = PoseKind.NONE
    pose: np.ndarray | None = None
    covariance: np.ndarray | None = None


class Verifier(Protocol):
    """Checks by geometry that two rows of the map show one place; None: cannot be checked.

    rival: a row that `after` matches best of those that are sure to show another place.
    """

    def __call__(self, before: int, after: int, rival: int | None) -> Geometry | None: ...


def closure(
    kind: ClosureKind, found: Candidate, after: Place, why: str, reject: Reject = Reject.NONE
) -> LoopClosure:
    return LoopClosure(
        kind, found.place, after, found.global_similarity, found.mutual_matches, why, reject,
        confidence=found.confidence,
    )  # fmt: skip


def with_geometry(made: LoopClosure, geometry: Geometry) -> LoopClosure:
    return replace(
        made, inliers=geometry.inliers, pose_kind=geometry.pose_kind, pose=geometry.pose,
        covariance=geometry.covariance, reason=f'{made.reason}, {geometry.reason}',
    )  # fmt: skip
