# SPDX-License-Identifier: MIT
"""Every encoding a camera may send, padded or not, damaged or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from sensor_msgs.msg import Image

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


def message(encoding: str, height: int, width: int, data: Any, step: int, big: int = 0) -> Image:
    made = Image(height=height, width=width, encoding=encoding, step=step, is_bigendian=big)
    made.data = bytes(data)
    return made


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth colours, so that chroma subsampling and demosaicing lose little."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = x * 255 // (width - 1), y * 255 // (height - 1)
    return np.stack([red, green, 255 - red], 2).astype(np.uint8)


def encode(rgb: np.ndarray, encoding: str, big: bool = False) -> np.ndarray:
    """(rows, row bytes) of an RGB image in an encoding, written independently of the decoder."""
    if encoding in ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21'):
        return _encode_yuv(rgb, encoding)
    if encoding.startswith('bayer'):
        return _depth(_mosaic(rgb, encoding[6:10]), encoding, big)
    channels = {'rgb8': [0, 1, 2], 'bgr8': [2, 1, 0], 'mono8': [1], 'mono16': [1], '16UC1': [1]}
    if encoding in channels:
        return _depth(rgb[:, :, channels[encoding]].reshape(len(rgb), -1), encoding, big)
    order = [0, 1, 2] if encoding == 'rgba8' else [2, 1, 0]
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    return np.concatenate([rgb[:, :, order], alpha], 2).reshape(len(rgb), -1)


def _depth(rows: np.ndarray, encoding: str, big: bool) -> np.ndarray:
    if not encoding.endswith('16') and encoding != '16UC1':
        return np.ascontiguousarray(rows)
    wide = (rows.astype(np.uint16) << 8) | 0x5A
    return np.ascontiguousarray(wide.astype('>u2' if big else '<u2')).view(np.uint8)


def _mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    channel = np.array(['rgb'.index(c) for c in pattern]).reshape(2, 2)
    tiled = np.tile(channel, (rgb.shape[0] // 2, rgb.shape[1] // 2))
    return np.take_along_axis(rgb, tiled[..., None], 2)[..., 0]


def _encode_yuv(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """ITU-R BT.601, studio range."""
    r, g, b = (rgb[..., i].astype(float) for i in range(3))
    y = 16 + (65.738 * r + 129.057 * g + 25.064 * b) / 256
    u = 128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256
    v = 128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256
    y, u, v = (np.clip(np.round(p), 0, 255).astype(np.uint8) for p in (y, u, v))
    if encoding.startswith('nv'):
        pair = [u, v] if encoding == 'nv12' else [v, u]
        chroma = np.stack([p[::2, ::2] for p in pair], 2).reshape(len(rgb) // 2, -1)
        return np.concatenate([y, chroma])
    chroma = np.where(
        np.arange(y.shape[1]) % 2 == 0, np.repeat(u[:, ::2], 2, 1), np.repeat(v[:, ::2], 2, 1)
    )
    pair = [chroma, y] if encoding in ('yuv422', 'uyvy') else [y, chroma]
    return np.stack(pair, 2).reshape(len(rgb), -1)
