# SPDX-License-Identifier: MIT
"""When a loop closure is verified."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class SlamConfig(Config):
    """A map that grows while driving, and when a closure is verified; see selavpr_model.slam."""

    session: str = option('', 'id of this run in the map; empty: from the first stamp')
    novelty: float = option(
        0.2, 'share of the view that a new keyframe must add to the last one', low=0.0, high=1.0
    )
    exclude_m: float = option(
        20.0, 'keyframes are not searched until this far behind', unit='m', low=0.0
    )
    exclude_s: float = option(10.0, 'and this long ago', unit='s', low=0.0)
    min_places: int = option(10, 'nothing is concluded from fewer searchable places', low=2)
    min_belief: float = option(
        0.95, 'least probability of a place for a verified closure', low=0.5, high=1.0
    )
    min_evidence: float = option(
        0.5,
        'least that a keyframe says by itself for the place it closes with',
        unit='nat',
        low=0.0,
    )
    min_support: int = option(
        6, 'keyframes that must agree with each other and with the motion', low=1, high=100
    )
    min_strength: float = option(
        1.0,
        'least matches of these with their places over those of consecutive keyframes, mean',
        low=0.0,
    )
    least_strength: float = option(0.8, 'the same for each of them', low=0.0)
    left_keyframes: int = option(
        5, 'so many keyframes in between do not see the place, or it was never left', low=0
    )
    left_ratio: float = option(
        0.8, 'not to see it: fewer matches than this share of those of the closure', low=0.0
    )
    pending: int = option(
        10, 'a candidate not confirmed within this many keyframes is rejected', low=1, high=1000
    )
    agree_m: float = option(
        3.0, 'closures agree if their motions differ by less', unit='m', low=0.0
    )
    agree_ratio: float = option(0.1, 'more, over the travelled distance', low=0.0)
    agree_blind_ratio: float = option(0.3, 'the same, without odometry', low=0.0)
    max_speed_mps: float = option(
        40.0, 'odometry that is faster has jumped and starts anew', unit='m/s', low=0.1
    )
    verify: str = option(
        'auto',
        'geometry: auto where the camera is calibrated, always (else stays a candidate), never',
        choices=('auto', 'always', 'never'),
    )
    verifications_per_s: float = option(
        0.5,
        'closures that geometry looks at, on average, by the stamps of the images; of ten seconds '
        'they are saved up',
        unit='1/s',
        low=0.0,
    )
    save_at_end: bool = option(True, 'save the map when the node stops or leaves SLAM')
