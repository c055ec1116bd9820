# SPDX-License-Identifier: MIT
"""Raw and compressed camera images -> RGB. Knows bytes and encodings, but no messages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
import importlib
import logging
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from selavpr_model.data.decode import to_8_bit
from selavpr_model.errors import InputError
from selavpr_model.runtime.image_size import is_decodable, MAX_PIXELS, require_size
from selavpr_model.runtime.shown import shown

OTHER_TRANSPORTS = ('zstd', 'theora', 'ffmpeg', 'foxglove', 'avif')
"""Of image_transport, by the name of their topic; only their plugins decode them."""

log = logging.getLogger(__name__)
_failed: set[str] = set()  # encodings that cv_bridge failed on, each said once
_told: set[str] = set()  # encodings whose meaning is assumed, each said once


@dataclass(frozen=True, slots=True)
class Layout:
    """How one encoding lies in memory.

    code: cv2.cvtColor's number to RGB; channels: samples a pixel; semi_planar: half the height of
    interleaved chroma rows follows (NV12); even: the sides that must be even ('', 'w' or 'hw');
    bridged: cv_bridge gets it right.
    """

    code: int | None
    channels: int = 1
    dtype: str = 'u1'
    semi_planar: bool = False
    even: str = ''
    bridged: bool = False


# OpenCV names a Bayer pattern by its second row's second and third pixel, ROS by its first two
# rows: rggb is BayerBG.
BAYER = {
    'rggb': cv2.COLOR_BayerBG2RGB,
    'bggr': cv2.COLOR_BayerRG2RGB,
    'gbrg': cv2.COLOR_BayerGR2RGB,
    'grbg': cv2.COLOR_BayerGB2RGB,
}

LAYOUTS: dict[str, Layout] = {
    'rgb8': Layout(None, 3, bridged=True),
    'bgr8': Layout(cv2.COLOR_BGR2RGB, 3, bridged=True),
    'rgba8': Layout(cv2.COLOR_RGBA2RGB, 4, bridged=True),
    'bgra8': Layout(cv2.COLOR_BGRA2RGB, 4, bridged=True),
    'mono8': Layout(cv2.COLOR_GRAY2RGB, bridged=True),
    'mono16': Layout(cv2.COLOR_GRAY2RGB, dtype='u2'),
    '16UC1': Layout(cv2.COLOR_GRAY2RGB, dtype='u2'),
    'yuv422': Layout(cv2.COLOR_YUV2RGB_UYVY, 2, even='w'),
    'uyvy': Layout(cv2.COLOR_YUV2RGB_UYVY, 2, even='w'),
    'yuv422_yuy2': Layout(cv2.COLOR_YUV2RGB_YUY2, 2, even='w'),
    'yuyv': Layout(cv2.COLOR_YUV2RGB_YUY2, 2, even='w'),
    'nv12': Layout(cv2.COLOR_YUV2RGB_NV12, semi_planar=True, even='hw'),
    'nv21': Layout(cv2.COLOR_YUV2RGB_NV21, semi_planar=True, even='hw'),
    **{f'bayer_{k}8': Layout(code) for k, code in BAYER.items()},
    **{f'bayer_{k}16': Layout(code, dtype='u2') for k, code in BAYER.items()},
}

UNNAMED = '16UC1'
"""Of depth cameras, and of thermal ones whose driver does not say mono16."""
HOLES = 0.001  # share of pixels of value 0, no depth, that a thermal image never has
HINTS = {
    UNNAMED: 'this is a depth image; subscribe to the colour or grey image',
    '32FC1': 'this is a depth image; subscribe to the colour or grey image',
    '8UC1': 'its meaning is not given; set the driver to mono8',
    '8UC3': 'its channel order is not given; set the driver to rgb8 or bgr8',
}


def decode_raw(
    data: Any, height: int, width: int, step: int, encoding: str, is_bigendian: bool,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:  # fmt: skip
    """Bytes of a sensor_msgs/Image -> (H, W, 3) uint8 RGB that owns its memory.

    16-bit samples are stretched from their 1st to their 99th percentile. Raises InputError for an
    unknown encoding, depth or wrong sizes.
    """
    layout = _layout(encoding)
    if min(height, width) > 0:  # else _rows says what the encoding needs
        require_size(width, height, max_pixels)
    rows = _rows(data, height, width, step, encoding, layout)
    if layout.dtype == 'u2':
        deep = rows.view('>u2' if is_bigendian else '<u2').astype(np.uint16, copy=False)
        rows = _stretched(deep, encoding)
    if layout.bridged and (image := _convert(rows, height, width, encoding)) is not None:
        return image
    samples = rows if layout.channels == 1 else rows.reshape(height, width, layout.channels)
    return to_rgb(samples, layout.code, encoding)


def _stretched(samples: np.ndarray, encoding: str) -> np.ndarray:
    """(N, M) uint16 -> uint8; InputError where they are depths."""
    if encoding == UNNAMED:
        if np.count_nonzero(samples == 0) > HOLES * samples.size or samples.min() == samples.max():
            raise InputError(f'image: encoding {encoding}: {HINTS[UNNAMED]}')
        if UNNAMED not in _told:
            _told.add(UNNAMED)
            log.warning(
                'images of encoding 16UC1 have no holes and are taken for grey ones, as of a '
                'thermal camera; if they are depths, subscribe to the colour or grey image'
            )
    return to_8_bit(samples)


def to_rgb(samples: np.ndarray, code: int | None, encoding: str) -> np.ndarray:
    """cv2.cvtColor with OpenCV's complaint as InputError; code None copies."""
    try:
        return samples.copy() if code is None else cv2.cvtColor(samples, code)
    except cv2.error as error:
        shape = 'x'.join(map(str, samples.shape))
        raise InputError(f'image: OpenCV cannot convert {shape} {encoding}: {error}') from error


def _layout(encoding: str) -> Layout:
    if encoding in LAYOUTS:
        return LAYOUTS[encoding]
    cure = HINTS.get(encoding, f'use one of {", ".join(LAYOUTS)}')
    raise InputError(f'image: encoding {shown(encoding)} is not supported; {cure}')


def _rows(
    data: Any, height: int, width: int, step: int, encoding: str, layout: Layout
) -> np.ndarray:
    """Cut the padding off: (rows, row bytes) uint8, contiguous."""
    sides = {'h': height, 'w': width}
    if min(height, width) < 1 or any(sides[side] % 2 for side in layout.even):
        need = 'even sides' if layout.even else 'at least one pixel'
        raise InputError(f'image: {encoding} needs {need}, got {width}x{height}')
    row_bytes = width * layout.channels * int(layout.dtype[1])
    rows = height * 3 // 2 if layout.semi_planar else height
    expected = step * (rows - 1) + row_bytes
    if step < row_bytes or len(data) < expected:
        raise InputError(
            f'image: {encoding} {width}x{height} with step {step} needs a step of at least '
            f'{row_bytes} and {expected} bytes, got {len(data)} bytes; check the camera driver'
        )
    flat = np.frombuffer(data, np.uint8, expected)
    view = np.lib.stride_tricks.as_strided(flat, (rows, row_bytes), (step, 1), writeable=False)
    return np.ascontiguousarray(view)


@cache
def _cv_bridge() -> Any | None:
    """cv_bridge's converter; None on a machine without ROS (where bags are read with rosbags),
    and where it is broken, as apt's is beside a NumPy that it was not built for.
    """
    try:
        return importlib.import_module('cv_bridge').CvBridge()
    except Exception as error:  # what a broken extension raises is not to be foreseen
        if not isinstance(error, ModuleNotFoundError) or error.name != 'cv_bridge':
            _warn_of_bridge(error)
        return None


@cache
def _bridge_works() -> bool:
    """Asked once: it converts a picture that we know, as we do."""
    bridge, rows = _cv_bridge(), np.array([[1, 2, 3, 4, 5, 6]], np.uint8)
    if bridge is None:
        return False
    try:
        image = _bridged(bridge, rows, 1, 2, 'bgr8')
        if np.array_equal(image, [[[3, 2, 1], [6, 5, 4]]]):
            return True
        raise ValueError(f'it made {image!r} of {rows.tolist()}')
    except Exception as error:
        _warn_of_bridge(error)
        return False


def _warn_of_bridge(error: Exception) -> None:
    log.warning(
        'cv_bridge is broken (%s: %s), so images are converted without it; it was built for '
        "another NumPy: python3 -m pip install 'numpy<2', or update ros-$ROS_DISTRO-cv-bridge",
        type(error).__name__, str(error).partition('\n')[0],
    )  # fmt: skip


def _convert(rows: np.ndarray, height: int, width: int, encoding: str) -> np.ndarray | None:
    """What cv_bridge makes of packed rows; None where it is not there, broken or fails."""
    if not _bridge_works():
        return None
    try:
        return _bridged(_cv_bridge(), rows, height, width, encoding)
    except Exception as error:
        if encoding not in _failed:
            _failed.add(encoding)
            _warn_of_bridge(error)
        return None


def _bridged(bridge: Any, rows: np.ndarray, height: int, width: int, encoding: str) -> np.ndarray:
    # cv_bridge ignores `step`, hence the packed rows, and fails on 8-bit data that is called
    # big-endian, which means nothing.
    packed = SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=0, data=rows.data
    )
    image = bridge.imgmsg_to_cv2(packed, desired_encoding='rgb8')
    return image.copy() if encoding == 'rgb8' else image


def decode_compressed(data: Any, form: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Bytes of a sensor_msgs/CompressedImage (jpeg, png) -> (H, W, 3) uint8 RGB.

    `form` is the message's `format`, such as 'jpeg' or 'bgr8; jpeg compressed bgr8'.
    """
    source = form.split(';')[0].strip()
    if source == '32FC1' or 'compressedDepth' in form:
        raise InputError(f'image: format {shown(form)}: {HINTS["32FC1"]}')
    image = _imdecode(np.frombuffer(data, np.uint8), form, max_pixels)
    if image.dtype == np.uint16:
        grey = source in (UNNAMED, 'mono16')
        image = (
            to_rgb(_stretched(image[..., 0], source), cv2.COLOR_GRAY2BGR, source)
            if grey
            else (to_8_bit(image))
        )
    # Old image_transport encodes rgb8 without swapping; then decoding already gives RGB.
    swapped = form.rstrip().endswith('compressed rgb8')
    return image if swapped else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _imdecode(data: np.ndarray, form: str, max_pixels: int) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(data, flags) if is_decodable(data.data, max_pixels) else None
    except (cv2.error, MemoryError):  # such as a header that contradicts what follows
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f'image: {data.size} bytes of format {shown(form)} cannot be decoded as jpeg or png; '
            'they are damaged or of another format'
        )
    return image
