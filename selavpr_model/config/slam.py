# SPDX-License-Identifier: MIT
"""When a loop closure is verified."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class SlamConfig(Config):
    """A map that grows while driving, and when a closure is verified; see selavpr_model.slam."""

    session: str = option('', 'name of this run in the map; empty: made from its first stamp')
    novelty: float = option(
        0.2,
        'least share of the view of a new keyframe that the keyframe before does not show',
        low=0.0,
        high=1.0,
    )
    exclude_m: float = option(
        20.0,
        'least travelled distance between a keyframe and the earlier keyframes that are searched '
        'for a loop closure',
        unit='m',
        low=0.0,
    )
    exclude_s: float = option(
        10.0,
        'least time between a keyframe and the earlier keyframes that are searched for a loop '
        'closure',
        unit='s',
        low=0.0,
    )
    min_places: int = option(
        10, 'number of searchable places below which no loop closure is looked for', low=2
    )
    min_belief: float = option(
        0.95,
        'least probability of the place that a verified closure leads to',
        low=0.5,
        high=1.0,
    )
    min_evidence: float = option(
        0.5,
        'least log-likelihood that a keyframe gives by itself for the place it closes with',
        unit='nat',
        low=0.0,
    )
    min_support: int = option(
        6,
        'least number of keyframes that agree with each other and with the motion, for a verified '
        'closure',
        low=1,
        high=100,
    )
    min_strength: float = option(
        1.0,
        'least mean strength of the keyframes that agree on a closure; strength: ratio of the '
        'matches with the place to those of consecutive keyframes',
        low=0.0,
    )
    least_strength: float = option(
        0.8,
        'least strength of each keyframe that agrees on a closure; strength: ratio of the '
        'matches with the place to those of consecutive keyframes',
        low=0.0,
    )
    left_keyframes: int = option(
        5,
        'least number of consecutive keyframes that do not see a place before the robot comes '
        'back to it',
        low=0,
    )
    left_ratio: float = option(
        0.8,
        'share of the matches of a closure below which a keyframe does not see the place',
        low=0.0,
    )
    pending: int = option(
        10,
        'number of keyframes within which a candidate is confirmed, or else rejected',
        low=1,
        high=1000,
    )
    agree_m: float = option(
        3.0,
        'largest difference between the motions of two closures that agree',
        unit='m',
        low=0.0,
    )
    agree_ratio: float = option(
        0.1,
        'amount that each travelled metre adds to slam.agree_m with odometry, in m',
        low=0.0,
    )
    agree_blind_ratio: float = option(
        0.3,
        'amount that each travelled metre adds to slam.agree_m without odometry, in m',
        low=0.0,
    )
    max_speed_mps: float = option(
        40.0,
        'largest plausible speed of the odometry; above it the odometry counts as broken, and '
        'poses before and after the break are not compared',
        unit='m/s',
        low=0.1,
    )
    verify: str = option(
        'auto',
        'when geometry checks closures: auto where the camera is calibrated, never, or always (a '
        'closure that cannot be checked then stays a candidate)',
        choices=('auto', 'always', 'never'),
    )
    verifications_per_s: float = option(
        0.5,
        'average rate at which geometry checks closures; unused checks of up to ten seconds are '
        'saved up',
        unit='1/s',
        low=0.0,
    )
    save_at_end: bool = option(True, 'whether the map is saved when the node stops or leaves SLAM')
