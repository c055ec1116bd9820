# SPDX-License-Identifier: MIT
"""What a SLAM session is configured by, and what it says of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from selavpr_model.config import (
    GeometryConfig,
    KeyframeConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
)
from selavpr_model.records import LoopClosure, Place, Recognition


@dataclass(frozen=True, slots=True)
class SlamConfigs:
    """Everything a session is configured by."""

    slam: SlamConfig = field(default_factory=SlamConfig)
    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    recognizer: RecognizerConfig = field(default_factory=RecognizerConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    geometry: GeometryConfig = field(default_factory=GeometryConfig)


@dataclass(frozen=True, slots=True, eq=False)
class SlamStep:
    """What one frame gave. place: the keyframe it became, or None. The recognition has no pose:
    places of a growing map lie where drifting odometry put them. No place has a pose in another
    frame than the map's, which the odometry of a run in a map that was there is not.
    """

    recognition: Recognition
    closures: tuple[LoopClosure, ...] = ()
    place: Place | None = None
