# SPDX-License-Identifier: MIT
"""When matched cells agree on one camera motion, and what pose follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class GeometryConfig(Config):
    """When matched cells agree on one camera motion, and what pose follows from them."""

    enabled: bool = option(
        False, 'check and refine an accepted place, where frame and map have a calibrated camera'
    )
    verifications_per_s: float = option(
        0.5, 'places looked at, by the stamps of the images', unit='1/s', low=0.0
    )
    noise_px: float = option(
        2.5, 'standard deviation of a match, in pixels of the network input', unit='px', low=0.01
    )
    parallax_deg: float = option(
        2.0, 'expected parallax between two views of one place', unit='deg', low=0.01
    )
    min_inliers: int = option(45, 'least matches that agree on one motion', low=8)
    min_inlier_share: float = option(0.5, 'least share of all matches', low=0.0, high=1.0)
    min_inlier_ratio: float = option(
        1.5, 'least inliers over those with the best place elsewhere', low=0.0
    )
    min_spread: float = option(
        0.1, 'least share of the blocks (8 x 8) of the image with inliers', low=0.0, high=1.0
    )
    min_parallax: float = option(
        1.0, 'least median parallax for a direction, over the noise of a match', low=0.0
    )
    min_in_front: float = option(
        0.8, 'least share of the inliers in front of both cameras for a direction', high=1.0
    )
    max_direction_deg: float = option(
        20.0, 'a direction less certain than this is not told', unit='deg', low=0.0, high=180.0
    )
    covariance_scale: float = option(
        10.0, 'on every covariance, for errors that all matches share', low=0.01
    )
    shared_px: float = option(
        4.0, 'error that all matches share, in pixels of the network input', unit='px', low=0.0
    )
    keyframes: int = option(5, 'keyframes that a metric pose is computed from', low=1, high=50)
    min_baseline_deg: float = option(
        1.0, 'least median angle at the points between two keyframes', unit='deg', low=0.0
    )
    max_position_m: float = option(
        1.0, 'a metric position less certain than this is refused', unit='m', low=0.0
    )
