# SPDX-License-Identifier: MIT
"""RTAB-Map's database (.db): the image of each node, and its pose after optimisation.

Poses are those of base_link; the calibration in the database carries them to the camera. Where
the optimised ones are not kept, those of odometry are taken, and that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import sqlite3
import struct
import zlib

import numpy as np

from selavpr_model.data.decode import decode_rgb
from selavpr_model.data.formats.sqlite_tables import MOST_BYTES, require_tables
from selavpr_model.data.pose_files import PoseRow, rigid_pose
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import InputError, SourceError
from selavpr_model.records import Camera, SECOND

NAME = "RTAB-Map's database .db"
SQLITE = b'SQLite format 3\0'
MONO, STEREO = 0, 1


def fits(path: Path) -> bool:
    if path.suffix.lower() != '.db' or not path.is_file():
        return False
    with path.open('rb') as file:
        return file.read(len(SQLITE)) == SQLITE


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    try:
        nodes = _query(
            path,
            'SELECT Node.id, Node.stamp, Node.pose, Data.calibration FROM Node JOIN Data '
            'ON Node.id = Data.id WHERE Data.image IS NOT NULL AND length(Data.image) > 0 '
            'ORDER BY Node.stamp, Node.id',
        )
        optimised = _optimised(path)
    except sqlite3.Error as error:
        raise SourceError(
            f'{path}: expected a whole database of RTAB-Map (tables Node and Data), got: {error}; '
            'try rtabmap-recovery, or export the images'
        ) from error
    if not nodes:
        raise SourceError(f'{path}: expected nodes with images, got none; was it kept without?')
    rows, cameras = [], []
    for node, stamp, pose, calibration in nodes:
        T_base_camera, camera = _calibration(calibration or b'')
        odometry = _transform(pose or b'', f'{path}: node {node}')
        where = optimised.get(node) if optimised else odometry
        rows.append(
            _row(node, stamp, where, T_base_camera if base_camera is None else base_camera)
        )
        cameras.append(camera)
    words = 'optimised poses' if optimised else 'odometry, as no optimised poses are kept'
    files = [Path(f'node-{node[0]:06d}.jpg') for node in nodes]
    ids = [int(node[0]) for node in nodes]

    def read(row: int) -> np.ndarray:
        return _image(path, ids[row])

    each = cameras if all(camera is not None for camera in cameras) else None
    return ImageSequence(files, rows, f'{path.name} ({words})', cameras=each, read=read)


def _query(path: Path, text: str, values: Sequence[int] = ()) -> list[tuple]:
    connection = sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro', uri=True)
    try:
        require_tables(connection, ('Node', 'Data', 'Admin'))
        return connection.execute(text, tuple(values)).fetchall()
    finally:
        connection.close()


def _image(path: Path, node: int) -> np.ndarray:
    try:
        ((data,),) = _query(path, 'SELECT image FROM Data WHERE id = ?', (node,))
    except (sqlite3.Error, ValueError) as error:
        raise InputError(f'{path}: image of node {node} cannot be read: {error}') from error
    return decode_rgb(np.frombuffer(data, np.uint8), f'{path}: image of node {node}')


def _row(node: int, stamp: float, pose: np.ndarray | None, base: np.ndarray | None) -> PoseRow:
    ns = int(float(stamp or 0.0) * SECOND)
    own = pose if pose is None or base is None else pose @ base
    return PoseRow(f'node-{node:06d}.jpg', ns or None, own, lost=pose is None)


def _transform(data: bytes, where: str) -> np.ndarray | None:
    """(4, 4) of twelve float32; None for none."""
    if len(data) != 48:
        return None
    return rigid_pose(np.frombuffer(data, np.float32).astype(np.float64).reshape(3, 4), where)


def _optimised(path: Path) -> dict[int, np.ndarray]:
    """id -> T_map_base that RTAB-Map kept when it closed; {} where it did not."""
    try:
        rows = _query(path, 'SELECT opt_ids, opt_poses FROM Admin')
    except sqlite3.OperationalError:  # of before 0.17
        return {}
    if not rows or not rows[0][0] or not rows[0][1]:
        return {}
    ids = np.frombuffer(_unpacked(path, rows[0][0]), np.int32)
    poses = np.frombuffer(_unpacked(path, rows[0][1]), np.float32)
    if len(poses) != 12 * len(ids):
        raise SourceError(f'{path}: expected 12 numbers for each of {len(ids)} optimised poses')
    matrices = poses.astype(np.float64).reshape(-1, 3, 4)
    found = {
        int(i): rigid_pose(m, f'{path}: node {i}') for i, m in zip(ids, matrices, strict=True)
    }
    return {i: pose for i, pose in found.items() if pose is not None}


def _unpacked(path: Path, data: bytes) -> bytes:
    """zlib, with rows, columns and type of a matrix behind it."""
    try:
        machine = zlib.decompressobj()
        found = machine.decompress(data[:-12], MOST_BYTES)
        if not machine.eof:
            raise zlib.error(f'it does not end within {MOST_BYTES} bytes')
        return found
    except zlib.error as error:
        raise SourceError(f'{path}: its optimised poses cannot be unpacked: {error}') from error


def _calibration(data: bytes) -> tuple[np.ndarray | None, Camera | None]:
    """T_base_camera and the (left) camera of a calibration; None where it does not say."""
    try:
        kind = struct.unpack_from('<4i', data)[3]
        at = 0
        if kind == STEREO:
            totals = struct.unpack_from('<4i', data, 16)
            at = 40 + 8 * sum(totals)
        header = struct.unpack_from('<11i', data, at)
        width, height, of_K, of_D, of_R, of_P, of_local = header[4:11]
        values = struct.unpack_from(f'<{of_K + of_D + of_R + of_P}d', data, at + 44)
        local = struct.unpack_from(f'<{of_local}f', data, at + 44 + 8 * len(values))
    except struct.error:
        return None, None
    if of_K != 9 or of_local not in (0, 12) or kind not in (MONO, STEREO):
        return None, None
    T = np.eye(4)
    T[:3] = np.array(local).reshape(3, 4) if of_local else np.eye(4)[:3]
    K, D = np.array(values[:9]).reshape(3, 3), np.array(values[9 : 9 + of_D])
    return (T if of_local else None), Camera(K, D if of_D else np.zeros(5), (width, height))
