# SPDX-License-Identifier: MIT
"""A calibrated camera in the manifest of a map."""

from __future__ import annotations

from typing import Any

import numpy as np

from selavpr_model.records import Camera
from selavpr_model.runtime.shown import shown


def camera_entry(camera: Camera) -> dict[str, Any]:
    """A camera as JSON values."""
    return {
        'model': camera.model,
        'K': np.asarray(camera.K, float).tolist(),
        'distortion': np.asarray(camera.distortion, float).tolist(),
        'size': [int(n) for n in camera.size],
    }


def camera_of(entry: dict[str, Any]) -> Camera:
    """What `camera_entry` made; KeyError, TypeError, ValueError or OverflowError if it is none."""
    K, distortion = np.array(entry['K'], float), np.array(entry['distortion'], float)
    width, height = (int(n) for n in entry['size'])
    if K.shape != (3, 3):
        raise ValueError(f'K: expected finite (3, 3), got {shown(entry["K"])}')
    camera = Camera(K, distortion, (width, height), str(entry['model']))
    if (trouble := camera.trouble()) or not 0 <= min(width, height) <= max(width, height) < 2**31:
        raise ValueError(trouble or f'size {width}x{height}')
    return camera
