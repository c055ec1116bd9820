# SPDX-License-Identifier: MIT
"""Databases of RTAB-Map, made after the schema and the serialisation of its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import sqlite3
import struct
import zlib

import cv2
from folder_helpers import image
import numpy as np

from selavpr_model.poses import pose_matrix

POSES = [pose_matrix((k, 2 * k, -k), (0.1 * k, -0.2, 0.3, 0.9)) for k in range(3)]
OFFSET = pose_matrix((0.1, 0.2, 0.3), (0.5, -0.5, 0.5, 0.5))
"""Of a camera in its body."""

K = np.array([30.0, 0, 16, 0, 31, 12, 0, 0, 1])
D = np.array([0.1, -0.02, 0.001, 0.002, 0.3])
LOCAL = OFFSET[:3].astype(np.float32).tobytes()
TABLES = (
    'CREATE TABLE Node (id INTEGER NOT NULL, map_id INTEGER NOT NULL, weight INTEGER, '
    'stamp FLOAT, pose BLOB, ground_truth_pose BLOB, velocity BLOB, label TEXT, gps BLOB, '
    'env_sensors BLOB, time_enter DATE, PRIMARY KEY (id))',
    'CREATE TABLE Data (id INTEGER NOT NULL, image BLOB, depth BLOB, depth_confidence BLOB, '
    'calibration BLOB, scan BLOB, scan_info BLOB, user_data BLOB, time_enter DATE, '
    'PRIMARY KEY (id))',
    'CREATE TABLE Link (from_id INTEGER NOT NULL, to_id INTEGER NOT NULL, type INTEGER NOT NULL, '
    'information_matrix BLOB NOT NULL, transform BLOB, user_data BLOB)',
    'CREATE TABLE Admin (version TEXT, preview_image BLOB, opt_cloud BLOB, opt_ids BLOB, '
    'opt_poses BLOB, opt_last_localization BLOB, time_enter DATE)',
)


def mono(
    K: Sequence[float] = K,
    D: Sequence[float] = D,
    extra: Sequence[float] = (),
    local: bytes = LOCAL,
) -> bytes:
    """As CameraModel::serialize: a head of 11 int32, K, D, R, P in doubles, the mounting."""
    matrices = [np.asarray(m, np.float64).ravel() for m in (K, D, extra, ())]
    head = struct.pack('<11i', 0, 21, 4, 0, 32, 24, *map(len, matrices), len(local) // 4)
    return head + b''.join(m.tobytes() for m in matrices) + local


def stereo() -> bytes:
    """As StereoCameraModel::serialize: a head of 10 int32, R, T, E, F, both cameras."""
    left, right = mono(extra=np.eye(3)), mono(local=b'')
    head = struct.pack('<10i', 0, 21, 4, 1, 9, 3, 0, 0, len(left), len(right))
    return head + np.ones(12).tobytes() + left + right


def floats(*values: float) -> bytes:
    return np.array(values, np.float32).tobytes() + LOCAL


def packed(values: np.ndarray) -> bytes:
    """As compressData2: zlib, then rows, columns and type."""
    return zlib.compress(values.tobytes()) + struct.pack('<3i', 1, values.size, 5)


def database(
    path: Path,
    calibration: bytes | None,
    version: str = '0.21.4',
    optimised: bool = True,
    cameras: int = 1,
    poses: Sequence[np.ndarray] = POSES,
) -> Path:
    """A node for each pose, one between without an image; optimised: odometry is 5 m off."""
    connection = sqlite3.connect(path)
    for table in TABLES:
        connection.execute(table)
    for k, pose in enumerate(poses):
        drift = pose.copy()
        drift[0, 3] += 5 * optimised
        wide = np.hstack([image(k + 10 * c) for c in range(cameras)])
        png = cv2.imencode('.png', wide[..., ::-1])[1].tobytes()
        kept = drift[:3].astype(np.float32).tobytes()
        _node(connection, k + 1, kept, png, calibration)
    _node(connection, 9, poses[0][:3].astype(np.float32).tobytes(), None, b'')  # in between
    saved: tuple[bytes | None, bytes | None] = (None, None)
    if optimised:  # a landmark has a negative id
        kept_ids = np.array([*range(1, 1 + len(poses)), -7], np.int32)
        saved = packed(kept_ids), packed(np.array([p[:3] for p in (*poses, poses[0])], np.float32))
    connection.execute(
        'INSERT INTO Admin (version, opt_ids, opt_poses) VALUES (?, ?, ?)', (version, *saved)
    )
    connection.commit()
    connection.close()
    return path


def _node(
    connection: sqlite3.Connection,
    number: int,
    pose: bytes,
    picture: bytes | None,
    calibration: bytes | None,
) -> None:
    stamp = 1700000000.5 + number
    connection.execute(
        'INSERT INTO Node (id, map_id, weight, stamp, pose) VALUES (?, 0, 0, ?, ?)',
        (number, stamp, pose),
    )
    connection.execute(
        'INSERT INTO Data (id, image, calibration) VALUES (?, ?, ?)',
        (number, picture, calibration),
    )
