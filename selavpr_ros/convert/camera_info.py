# SPDX-License-Identifier: MIT
"""sensor_msgs/CameraInfo -> the camera that took an image, or the reason why it says nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import Camera, DISTORTIONS, FISHEYE, FISHEYE_DISTORTIONS
from selavpr_model.runtime.shown import shown

PINHOLE = {'plumb_bob': 5, 'rational_polynomial': 8}  # with the usual number of coefficients
COUNTS = {**dict.fromkeys(PINHOLE, DISTORTIONS), **dict.fromkeys(FISHEYE, FISHEYE_DISTORTIONS)}
RECTIFIED = frozenset({'rect', 'rectified', 'rectify', 'undistorted', 'undist'})
CALIBRATE = 'calibrate the camera, or correct what its driver publishes'


def is_rectified(setting: str, image_topic: str) -> bool:
    """Whether the images are without distortion; setting: yes, no, or auto by the topic's name.

    image_rect, image_rect_color and rgb/rect/image are rectified, image_raw is not.
    """
    words = set(re.split(r'[/_]', image_topic.lower()))
    return setting == 'yes' or (setting == 'auto' and bool(words & RECTIFIED))


def camera(
    message: Any, rectified: bool = False, image_size: tuple[int, int] | None = None
) -> Camera:
    """InputError where it cannot be used. rectified: P holds and nothing is distorted, else K
    and D; image_size: (width, height), tells an image of the region of interest from a whole one.
    Images of any other size of this shape are taken for scaled ones.
    """
    size = int(message.width), int(message.height)
    if min(size) < 1:
        raise InputError(f'camera_info: expected the size of the image, got {size[0]}x{size[1]}; '
                         f'{CALIBRATE}')  # fmt: skip
    K = _projection(message) if rectified else _matrix(message.k, 3, 'K')
    _check(K, size)
    distortion, model = np.zeros(0), 'plumb_bob'
    if not rectified:
        distortion, model = _distortion(message)
    corner, region = _region(message, size, image_size)
    shifted = K.copy()
    shifted[:2, 2] -= corner
    made = Camera(shifted, distortion, region, model)
    if trouble := made.trouble():
        raise InputError(f'camera_info: {trouble}; {CALIBRATE}')
    return made


def _matrix(values: Any, columns: int, name: str) -> np.ndarray:
    matrix = np.asarray(values, float).reshape(3, columns)
    if not np.isfinite(matrix).all():
        raise InputError(f'camera_info: {name} is not finite, {matrix.tolist()}; {CALIBRATE}')
    return matrix


def _projection(message: Any) -> np.ndarray:
    """(3, 3) of rectified images: P; without one K, where the lens does not distort anyway."""
    P = _matrix(message.p, 4, 'P')[:, :3]
    if P[0, 0] > 0.0:
        return P
    if np.any(np.asarray(message.d, float)):
        raise InputError(
            'camera_info: the images are rectified, and P, which holds for them, is not set; '
            'calibrate the camera, or set rectified:=no where they are not'
        )
    return _matrix(message.k, 3, 'K')


def _check(K: np.ndarray, size: tuple[int, int]) -> None:
    if min(K[0, 0], K[1, 1]) <= 0.0:
        raise InputError(
            f'camera_info: expected a focal length above 0, got {K[0, 0]:g} and {K[1, 1]:g}; '
            'calibrate the camera'
        )
    if not (0.0 < K[0, 2] < size[0] and 0.0 < K[1, 2] < size[1]):
        raise InputError(
            f'camera_info: the principal point {K[0, 2]:g}, {K[1, 2]:g} is outside of an image of '
            f'{size[0]}x{size[1]}, so it is of another resolution; {CALIBRATE}'
        )


def _distortion(message: Any) -> tuple[np.ndarray, str]:
    """Coefficients and model of raw images."""
    D, model = np.asarray(message.d, float).ravel(), str(message.distortion_model)
    if not np.isfinite(D).all():
        raise InputError(f'camera_info: D is not finite, {D.tolist()}; {CALIBRATE}')
    if not model and not D.any():
        return np.zeros(0), 'plumb_bob'
    if model not in COUNTS:
        raise InputError(
            f'camera_info: distortion_model {shown(model)} is not known; expected one of '
            f'{", ".join(COUNTS)}; use the rectified images of this camera (image_rect) instead'
        )
    if len(D) not in COUNTS[model]:
        expected = ' or '.join(map(str, COUNTS[model]))
        raise InputError(
            f'camera_info: {model} has {expected} coefficients, got {len(D)}; {CALIBRATE}'
        )
    return D, model


def _region(
    message: Any, size: tuple[int, int], image_size: tuple[int, int] | None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Corner and size of what the image shows of the whole, in pixels of the whole."""
    roi = message.roi
    corner = np.array([roi.x_offset, roi.y_offset], float)
    region = int(roi.width), int(roi.height)
    if min(region) < 1 or region == size:
        return np.zeros(2), size
    if corner[0] + region[0] > size[0] or corner[1] + region[1] > size[1]:
        raise InputError(
            f'camera_info: the region of interest, {region[0]}x{region[1]} at {corner[0]:g}, '
            f'{corner[1]:g}, is not within {size[0]}x{size[1]}; correct the driver'
        )
    binning = max(1, int(message.binning_x)), max(1, int(message.binning_y))
    whole = size[0] // binning[0], size[1] // binning[1]
    if image_size in (size, whole):
        return np.zeros(2), size
    return corner, region
