# SPDX-License-Identifier: MIT
"""What a session is configured by, what it says of a frame, and how a closure is written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from selavpr_model.config import (
    GeometryConfig,
    GraphConfig,
    KeyframeConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
)
from selavpr_model.decision.ranking import Ranked
from selavpr_model.geometry.records import Geometry
from selavpr_model.records import Candidate, ClosureKind, LoopClosure, Place, Recognition, Reject
from selavpr_model.slam.odometry_track import TrackPoint


@dataclass(frozen=True, slots=True)
class SlamConfigs:
    """Everything a session is configured by."""

    slam: SlamConfig = field(default_factory=SlamConfig)
    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    recognizer: RecognizerConfig = field(default_factory=RecognizerConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)


@dataclass(frozen=True, slots=True, eq=False)
class SlamStep:
    """What one frame gave. place: the keyframe it became, or None.

    The recognition has no pose: places of a growing map lie where drifting odometry put them.
    Places have their pose where it is in the frame of the map. A run in a map of earlier runs has
    an odometry frame of its own, so its places have none until it is aligned.
    """

    recognition: Recognition
    closures: tuple[LoopClosure, ...] = ()
    place: Place | None = None


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A keyframe and its candidates. best: those that stand out, best first."""

    place: Place
    row: int
    point: TrackPoint
    ranked: Ranked
    best: tuple[Candidate, ...] = ()


def closure(
    kind: ClosureKind, before: Candidate, after: Place, why: str, reject: Reject = Reject.NONE
) -> LoopClosure:
    return LoopClosure(
        kind, before.place, after, before.global_similarity, before.mutual_matches, why, reject,
        confidence=before.confidence,
    )  # fmt: skip


def with_geometry(closed: LoopClosure, geometry: Geometry) -> LoopClosure:
    return replace(
        closed, inliers=geometry.inliers, pose_kind=geometry.pose_kind, pose=geometry.pose,
        covariance=geometry.covariance, reason=f'{closed.reason}, {geometry.reason}',
    )  # fmt: skip
