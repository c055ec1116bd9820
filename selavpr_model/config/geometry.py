# SPDX-License-Identifier: MIT
"""When matched cells agree on one camera motion, and what pose follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class GeometryConfig(Config):
    """When matched cells agree on one camera motion, and what pose follows from them."""

    enabled: bool = option(
        False,
        'whether geometry checks and refines an accepted place; it needs a calibrated camera in '
        'frame and map',
    )
    verifications_per_s: float = option(
        0.5, 'average rate at which geometry checks accepted places', unit='1/s', low=0.0
    )
    noise_px: float = option(
        2.5,
        'standard deviation of the position of a matched cell, in pixels of the network input',
        unit='px',
        low=0.01,
    )
    parallax_deg: float = option(
        2.0, 'expected parallax between two views of one place', unit='deg', low=0.01
    )
    min_inliers: int = option(
        45, 'least number of matches that agree on one motion of the camera', low=8
    )
    min_inlier_share: float = option(
        0.5,
        'least share of the matches that agree on one motion of the camera',
        low=0.0,
        high=1.0,
    )
    min_inlier_ratio: float = option(
        1.5, 'least ratio of the inliers to those of the best place elsewhere', low=0.0
    )
    min_spread: float = option(
        0.1,
        'least share of the 8 x 8 blocks of the image that hold inliers',
        low=0.0,
        high=1.0,
    )
    min_parallax: float = option(
        1.0,
        'least median parallax that gives a direction of motion, as a multiple of the noise of a '
        'match',
        low=0.0,
    )
    min_in_front: float = option(
        0.8,
        'least share of the inliers in front of both cameras that gives a direction of motion',
        high=1.0,
    )
    max_direction_deg: float = option(
        20.0,
        'largest standard deviation at which a direction of motion is published',
        unit='deg',
        low=0.0,
        high=180.0,
    )
    covariance_scale: float = option(
        10.0,
        'factor on every covariance of geometry, for errors that all matches share',
        low=0.01,
    )
    shared_px: float = option(
        4.0, 'error that all matches share, in pixels of the network input', unit='px', low=0.0
    )
    keyframes: int = option(
        5, 'largest number of keyframes from which a metric pose is computed', low=1, high=50
    )
    min_baseline_deg: float = option(
        1.0,
        'least median triangulation angle between the two keyframes of a metric pose',
        unit='deg',
        low=0.0,
    )
    max_position_m: float = option(
        1.0,
        'largest standard deviation at which a metric position is published',
        unit='m',
        low=0.0,
    )
