# SPDX-License-Identifier: MIT
"""Thumbnails of places: small JPEGs, (n,) uint8 each."""

from __future__ import annotations

import cv2
import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import require_rgb
from selavpr_model.runtime.image_size import is_decodable

QUALITY = 80
MOST_PIXELS = 1 << 22  # of one that is read: they are at most 1024 wide
MOST_BYTES = 1 << 23


def encode(image: np.ndarray | None, width_px: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> JPEG, (n,) uint8, at most `width_px` wide; empty for no image."""
    if image is None or width_px == 0:
        return np.empty(0, np.uint8)
    require_rgb(image)
    height, width = image.shape[:2]
    scale = min(1.0, width_px / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].reshape(-1)


def decode(jpeg: np.ndarray) -> np.ndarray | None:
    """(n,) uint8 -> (h, w, 3) uint8 RGB; None for an empty array."""
    if jpeg.size == 0:
        return None
    raw = np.array(jpeg)
    try:
        known = is_decodable(raw.data, MOST_PIXELS)
        image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if known else None
    except (InputError, cv2.error) as error:
        raise InputError(f'thumbnail: {error}; build the map again') from error
    if image is None:
        raise InputError('thumbnail: expected a JPEG image; build the map again')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
