# SPDX-License-Identifier: MIT
"""How far odometry and closures are trusted, and when two runs get one frame."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class GraphConfig(Config):
    """How a pose graph is optimised, and when a session is aligned; see selavpr_model.graph."""

    enabled: bool = option(
        True, 'whether SLAM optimises the pose graph and aligns its session while the robot drives'
    )
    odometry_m: float = option(
        0.03,
        'standard deviation of the position by odometry after one metre, in m; it grows with the '
        'square root of the distance driven',
        low=1e-4,
    )
    odometry_deg: float = option(
        0.3,
        'standard deviation of the heading by odometry after one metre, in degrees; it grows with '
        'the square root of the distance driven',
        low=1e-4,
    )
    place_deg: float = option(
        10.0,
        'standard deviation of the rotation between two keyframes that show one place, where '
        'geometry has not measured it',
        unit='deg',
        low=0.1,
    )
    min_link_m: float = option(
        0.5,
        'least standard deviation of the position between two keyframes that show one place, '
        'where geometry has not measured it; otherwise the distance of neighbouring keyframes',
        unit='m',
        low=0.01,
    )
    min_metric: int = option(
        3, 'least number of agreeing metric closures that align a session with the map', low=3
    )
    min_span_m: float = option(
        5.0,
        'least distance between the keyframes of the metric closures that align a session',
        unit='m',
        low=0.0,
    )
    max_aligned_m: float = option(
        1.0,
        'largest standard deviation of the position of an aligned session',
        unit='m',
        low=0.0,
    )
    max_aligned_deg: float = option(
        2.0,
        'largest standard deviation of the rotation of an aligned session',
        unit='deg',
        low=0.0,
    )
    wait_keyframes: int = option(
        10,
        'number of keyframes between starting an optimisation while driving and applying its '
        'result; fixed, so that a replay repeats what a robot did',
        low=1,
    )
