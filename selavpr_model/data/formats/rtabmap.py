# SPDX-License-Identifier: MIT
"""What RTAB-Map writes into the calibration of a node: its cameras and where they are mounted.

After CameraModel::serialize, StereoCameraModel::serialize (from 0.18 on) and the rows of floats of
the versions before (DBDriverSqlite3).
"""

from __future__ import annotations

from dataclasses import dataclass
import struct

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import Camera

MONO, STEREO = 0, 1
MONO_HEAD, STEREO_HEAD = 11, 10  # int32 before the matrices
LOCAL = 12  # float32 of a mounting, three rows of four
FISHEYE_TERMS = 6  # k1, k2, 0, 0, k3, k4
MOST = 64  # cameras of a node


@dataclass(frozen=True, slots=True, eq=False)
class Mounted:
    """T_base_camera (4, 4) and the camera; None for what is not said."""

    T_base_camera: np.ndarray | None
    camera: Camera | None


def cameras_of(data: bytes, version: tuple[int, ...]) -> list[Mounted]:
    """The cameras of a node, the left one of a stereo pair; [] where it has no calibration.

    version: of the database, such as (0, 21, 4). InputError where the bytes are no calibration.
    """
    if not data:
        return []
    try:
        found = _serialized(data) if version >= (0, 18) else _floats(data, version)
    except (struct.error, ValueError) as error:
        raise InputError(f'calibration of {len(data)} bytes cannot be read: {error}') from error
    return found


def _serialized(data: bytes) -> list[Mounted]:
    found: list[Mounted] = []
    at = 0
    while at < len(data) and len(found) < MOST:
        kind = struct.unpack_from('<4i', data, at)[3]
        if kind == STEREO:
            totals = struct.unpack_from(f'<{STEREO_HEAD}i', data, at)[4:]
            left = at + 4 * STEREO_HEAD + 8 * _sum(totals[:4])
            found.append(_mono(data, left)[0])
            at = left + _sum(totals[4:])
        elif kind == MONO:
            one, at = _mono(data, at)
            found.append(one)
        else:
            raise ValueError(f'expected a camera (0) or a pair (1), got kind {kind}')
    if at != len(data):
        raise ValueError(f'expected its cameras to end with it, got them to end at {at}')
    return found


def _sum(counts: tuple[int, ...]) -> int:
    if min(counts) < 0:
        raise ValueError(f'expected counts, got {counts}')
    return sum(counts)


def _mono(data: bytes, at: int) -> tuple[Mounted, int]:
    """A camera, and where it ends."""
    head = struct.unpack_from(f'<{MONO_HEAD}i', data, at)
    (width, height), counts, of_local = head[4:6], head[6:10], head[10]
    _sum((*counts, of_local))
    at += 4 * MONO_HEAD
    values = struct.unpack_from(f'<{sum(counts)}d', data, at)
    at += 8 * sum(counts)
    local = struct.unpack_from(f'<{of_local}f', data, at)
    K, D = values[: counts[0]], values[counts[0] : counts[0] + counts[1]]
    return Mounted(_mounting(local), _camera(K, D, (width, height))), at + 4 * of_local


def _mounting(local: tuple[float, ...]) -> np.ndarray | None:
    if len(local) != LOCAL or not np.isfinite(local).all() or not any(local):
        return None
    T = np.eye(4)
    T[:3] = np.array(local, np.float64).reshape(3, 4)
    return T


def _camera(K: tuple[float, ...], D: tuple[float, ...], size: tuple[int, int]) -> Camera | None:
    if len(K) != 9 or not K[0] > 0:
        return None
    matrix, distortion = np.array(K, np.float64).reshape(3, 3), np.array(D, np.float64)
    if len(D) == FISHEYE_TERMS:
        return Camera(matrix, distortion[[0, 1, 4, 5]], size, 'equidistant')
    return Camera(matrix, distortion if len(D) else np.zeros(5), size)


def _floats(data: bytes, version: tuple[int, ...]) -> list[Mounted]:
    """fx, fy, cx, cy[, baseline][, width, height] and the mounting, camera after camera."""
    values = np.frombuffer(data, np.float32).astype(np.float64)
    sized = version >= (0, 11, 2)
    of_one = 4 + 2 * sized + LOCAL
    pair = {5 + LOCAL: 0, 7 + LOCAL: 2}.get(len(values))  # numbers after the baseline
    if pair is not None and len(values) % of_one:
        rows, behind = values[None], 5
        sized = pair == 2
    elif len(values) % of_one == 0 and len(values):
        rows, behind = values.reshape(-1, of_one), 4
    else:
        raise ValueError(f'expected {of_one} numbers a camera, got {len(values)}')
    return [_of_row(row, behind, sized) for row in rows[:MOST]]


def _of_row(row: np.ndarray, behind: int, sized: bool) -> Mounted:
    fx, fy, cx, cy = (float(v) for v in row[:4])
    size = (int(row[behind]), int(row[behind + 1])) if sized else (0, 0)
    K = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
    return Mounted(_mounting(tuple(float(v) for v in row[-LOCAL:])), _camera(K, (), size))
