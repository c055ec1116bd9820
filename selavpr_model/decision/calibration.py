# SPDX-License-Identifier: MIT
"""What a map has measured on its own keyframes: thresholds, pose errors, confidence."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass
import math
from typing import Any

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.confidence import Confidence

METHOD = 'keyframes asked with their surroundings hidden'


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured thresholds and pose errors; see RecognizerConfig for what the thresholds mean.

    position_sigma_m, rotation_sigma_rad: root mean square, a axis, between a keyframe and the
    keyframe that answers for it; 0 where no keyframe has a neighbour with a pose. confidence: of
    answers from this map.
    """

    min_similarity: float
    min_matches: int
    min_match_ratio: float
    position_sigma_m: float
    rotation_sigma_rad: float
    samples: int
    confidence: Confidence
    method: str = METHOD

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), 'confidence': self.confidence.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Raises KeyError, TypeError or ValueError when `values` is not what to_dict gives."""
        return cls(
            min_similarity=float(values['min_similarity']),
            min_matches=int(values['min_matches']),
            min_match_ratio=float(values['min_match_ratio']),
            position_sigma_m=float(values['position_sigma_m']),
            rotation_sigma_rad=float(values['rotation_sigma_rad']),
            samples=int(values['samples']),
            confidence=Confidence.from_dict(values['confidence']),
            method=str(values['method']),
        )


# of a mode's mean, as shares of the distance between a keyframe and the one that answers for it:
# sideways and up nothing tells where the robot drives beside the way that was mapped
BESIDE, ABOVE, ALONG = 0.5, 0.1, 0.25


def mode_covariance(calibration: Calibration | None, config: RecognizerConfig) -> np.ndarray:
    """(6, 6) of what the mean over a mode cannot know, along the axes of the camera (x right, y
    down, z ahead): m^2 and rad^2, never zero."""
    keyframe = keyframe_covariance(calibration, config)
    axes = np.array([BESIDE, ABOVE, ALONG, 1.0, 1.0, 1.0])
    return np.asarray(axes[:, None] * keyframe * axes)


def keyframe_covariance(calibration: Calibration | None, config: RecognizerConfig) -> np.ndarray:
    """(6, 6) of a keyframe's pose taken for the robot's: m^2 and rad^2, never zero.

    A map that measured nothing gets half of what would be another place.
    """
    position, rotation = config.distinct_radius_m / 2, math.radians(config.distinct_angle_deg) / 2
    if calibration is not None:
        position = calibration.position_sigma_m or position
        rotation = calibration.rotation_sigma_rad or rotation
    position, rotation = max(position, 0.1), max(rotation, math.radians(1.0))
    return np.diag([position**2] * 3 + [rotation**2] * 3)
