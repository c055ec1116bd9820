# SPDX-License-Identifier: MIT
"""Bytes of an image file as RGB: turned as EXIF says, more than 8 bits stretched to 8."""

from __future__ import annotations

from pathlib import Path
import re

import cv2
import numpy as np

from selavpr_model.data.formats.exif import parse_exif
from selavpr_model.errors import InputError
from selavpr_model.runtime.image_size import is_decodable

STRETCH = (1.0, 99.0)
"""Percentiles of an image of more than 8 bits that become black and white."""
BAND, SAMPLE = 1 << 20, 1 << 24  # values that are scaled at once, and that say how
OTHERS = {
    rb'....ftyp(hei|hev|mif|msf)': 'a HEIC image (of a phone)',
    rb'....ftypavi[fs]': 'an AVIF image',
    rb'....ftyp': 'a video (MP4)',
    rb'GIF8': 'a GIF image',
    rb'%PDF': 'a PDF',
    rb'<\?xml|<svg': 'an SVG image or other XML',
    rb'\xff\x0a|....JXL ': 'a JPEG XL image',
    rb'....jP  ': 'a JPEG 2000 image',
}
FORMATS = 'jpg, png, webp, tiff, bmp, pgm or ppm'


def read_rgb(path: Path, as_stored: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a file; as_stored: EXIF's orientation is left out.

    InputError where there is no whole image.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    return decode_rgb(data, str(path), as_stored)


def decode_rgb(data: np.ndarray, name: str, as_stored: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 RGB of (N,) uint8; `name` is said in errors.

    The size is looked at before anything is decoded: a small file may claim a billion pixels.
    """
    # OpenCV's versions differ in whose orientation they obey: here it is the same for all
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    is_tiff = data[:4].tobytes() in (b'II*\0', b'MM\0*')  # whose grey floats are no colours
    try:
        image = decoded(data, cv2.IMREAD_UNCHANGED if is_tiff else flags)
    except InputError as error:
        raise InputError(f'{name}: {error}') from error
    if image is None:
        raise InputError(f'{name}: expected a whole {FORMATS}; {_what(data)}')
    image = to_8_bit(_three_channels(image))
    rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), dtype=np.uint8)
    # the decoder of TIFF turns images itself
    return rgb if as_stored or is_tiff else turned(rgb, parse_exif(data.tobytes()).orientation)


def decoded(data: np.ndarray, flags: int) -> np.ndarray | None:
    """What OpenCV makes of (N,) uint8; None for what is damaged or of a format that is not read.

    InputError for an image that is too large, before anything of it is decoded. Nothing else in
    selavpr_model decodes files.
    """
    try:
        return cv2.imdecode(data, flags) if is_decodable(data.data) else None
    except (cv2.error, MemoryError):
        return None


def _three_channels(image: np.ndarray) -> np.ndarray:
    """(H, W[, C]) of any depth -> (H, W, 3): grey three times, transparency left out."""
    if image.ndim == 3 and image.shape[2] >= 3:
        return np.ascontiguousarray(image[..., :3])
    grey = image if image.ndim == 2 else image[..., 0]
    return np.dstack([grey] * 3)


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, 3) as EXIF's orientation (1 to 8) wants it shown."""
    if orientation >= 5:
        image = cv2.transpose(image)
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    if across or down:
        image = cv2.flip(image, -1 if across and down else 1 if across else 0)
    return np.asarray(image)


def _what(data: np.ndarray) -> str:
    start = data[:40].tobytes()
    if start.startswith(b'version https://git-lfs'):
        return 'got a pointer of git LFS; run git lfs pull'
    if start.lstrip().lower().startswith((b'<!doctype', b'<html')):
        return 'got a web page; download the image itself'
    for begin, name in OTHERS.items():
        if re.match(begin, start, re.DOTALL):
            return f'got {name} under that name; convert it to jpg or png'
    return f'got {len(data)} bytes that are not'


def to_8_bit(image: np.ndarray) -> np.ndarray:
    """(H, W[, C]) of any depth -> uint8: its 1st percentile becomes black, its 99th white."""
    if image.dtype == np.uint8:
        return image
    low, high = _black_and_white(image)
    if image.dtype == np.uint16:
        return _scaled(np.arange(1 << 16), low, high)[image]
    out = np.empty(image.shape, np.uint8)
    band = max(1, BAND // max(1, image[:1].size))
    for row in range(0, len(image), band):
        out[row : row + band] = _scaled(image[row : row + band], low, high)
    return out


def _black_and_white(image: np.ndarray) -> tuple[float, float]:
    """The values that become 0 and 255; of a huge image, by a sample of it."""
    values = image.ravel()[:: max(1, image.size // SAMPLE)].astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, STRETCH)
    return (low, high) if high > low else (finite.min(), finite.max())


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 of any numbers."""
    known = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    scaled = (known - low) / ((high - low) or 1.0)
    return np.asarray(np.rint(np.clip(scaled, 0.0, 1.0) * 255.0), np.uint8)


def bits(path: Path) -> int:
    """Bits of a channel, 8 where not known: told by decoding."""
    try:
        image = decoded(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, InputError):
        return 8
    return 8 if image is None else 8 * image.dtype.itemsize
