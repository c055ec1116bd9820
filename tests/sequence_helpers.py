# SPDX-License-Identifier: MIT
"""Files of other programs, written byte by byte: photographs with EXIF, models of COLMAP."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
import struct
import zlib

import cv2
from folder_helpers import image
import numpy as np

from selavpr_model.poses import inverse, position_quaternion


def exif_jpeg(
    path: Path,
    place: tuple[float, float, float] | None,
    direction: float | None = None,
    orientation: int = 1,
) -> None:
    """A jpg, png or webp with EXIF; place: latitude, longitude, altitude."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(path.suffix, image()[..., ::-1])[1].tobytes()
    block = _tiff(place, direction, orientation)
    if path.suffix == '.png':
        chunk = b'eXIf' + block
        made = struct.pack('>I', len(block)) + chunk + struct.pack('>I', zlib.crc32(chunk))
        data = data[:33] + made + data[33:]  # after the header
    elif path.suffix == '.webp':
        block += b'\0' * (len(block) % 2)
        data += b'EXIF' + struct.pack('<I', len(block)) + block
        data = data[:4] + struct.pack('<I', len(data) - 8) + data[8:]
    else:
        data = (
            data[:2]
            + b'\xff\xe1'
            + struct.pack('>H', len(block) + 8)
            + b'Exif\0\0'
            + block
            + data[2:]
        )
    path.write_bytes(data)


def _tiff(place: tuple[float, float, float] | None, direction: float | None, turned: int) -> bytes:
    """Little-endian: an IFD with the orientation, and that of GPS after it."""
    gps = [] if place is None else _gps(*place, direction)
    main = [(0x0112, 3, 1, struct.pack('<HH', turned, 0))]
    start = 8 + 2 + 12 * (2 if gps else 1) + 4
    if gps:
        main.append((0x8825, 4, 1, struct.pack('<I', start)))
    out = b'II*\0' + struct.pack('<I', 8) + struct.pack('<H', len(main))
    for tag, kind, count, value in main:
        out += struct.pack('<HHI', tag, kind, count) + value
    out += struct.pack('<I', 0)
    if not gps:
        return out
    behind = start + 2 + 12 * len(gps) + 4
    body, extra = struct.pack('<H', len(gps)), b''
    for tag, kind, count, value in gps:
        body += struct.pack('<HHI', tag, kind, count)
        if len(value) > 4:
            body += struct.pack('<I', behind + len(extra))
            extra += value
        else:
            body += value.ljust(4, b'\0')
    return out + body + struct.pack('<I', 0) + extra


def _gps(latitude: float, longitude: float, altitude: float, direction: float | None) -> list:
    entries = [
        (1, 2, 2, b'S\0' if latitude < 0 else b'N\0'),
        (2, 5, 3, _degrees(latitude)),
        (3, 2, 2, b'W\0' if longitude < 0 else b'E\0'),
        (4, 5, 3, _degrees(longitude)),
        (5, 1, 1, b'\1' if altitude < 0 else b'\0'),
        (6, 5, 1, _rational(abs(altitude))),
    ]
    if direction is not None:
        entries.append((17, 5, 1, _rational(direction)))
    return entries


def _rational(value: float) -> bytes:
    part = Fraction(value).limit_denominator(10**6)
    return struct.pack('<II', part.numerator, part.denominator)


def _degrees(value: float) -> bytes:
    whole, rest = divmod(abs(value), 1.0)
    minutes, rest = divmod(rest * 60.0, 1.0)
    return _rational(whole) + _rational(minutes) + _rational(rest * 60.0)


def binary_model(
    path: Path,
    names: Sequence[str],
    poses: Sequence[np.ndarray],
    size: tuple[int, int],
    parameters: Sequence[float],
) -> None:
    """images.bin and cameras.bin of one SIMPLE_RADIAL camera; each image has one point."""
    path.mkdir(parents=True, exist_ok=True)
    data = struct.pack('<Q', len(names))
    for k, (name, pose) in enumerate(zip(names, poses, strict=True)):
        x, y, z, qx, qy, qz, qw = position_quaternion(inverse(pose))
        data += struct.pack('<I7dI', k + 1, qw, qx, qy, qz, x, y, z, 1) + name.encode() + b'\0'
        data += struct.pack('<Q', 1) + struct.pack('<ddq', 1.0, 2.0, -1)
    (path / 'images.bin').write_bytes(data)
    camera = struct.pack('<QIiQQ', 1, 1, 2, *size) + struct.pack('<4d', *parameters)
    (path / 'cameras.bin').write_bytes(camera)
