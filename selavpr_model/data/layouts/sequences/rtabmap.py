# SPDX-License-Identifier: MIT
"""RTAB-Map's database (.db): the image of each node, and its pose after optimisation.

Poses are those of base_link; the calibration in the database carries them to the camera. Where
the optimised ones are not kept, those of odometry are taken, and that is said. Of several cameras
the first is taken: their images lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import sqlite3
import zlib

import numpy as np

from selavpr_model.data.decode import decode_rgb
from selavpr_model.data.formats.rtabmap import cameras_of, Mounted
from selavpr_model.data.formats.sqlite_tables import MOST_BYTES, require_tables
from selavpr_model.data.pose_files import PoseRow, rigid_pose
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import InputError, SourceError
from selavpr_model.records import SECOND

NAME = "RTAB-Map's database .db"
SQLITE = b'SQLite format 3\0'
OLDEST = (0, 10)
"""Versions before kept images in a table of their own."""
NODES = (
    'SELECT Node.id, Node.stamp, Node.pose, Data.calibration FROM Node JOIN Data '
    'ON Node.id = Data.id WHERE Data.image IS NOT NULL AND length(Data.image) > 4 '
    'ORDER BY Node.stamp, Node.id'
)
NO_CALIBRATION = Mounted(None, None)


def fits(path: Path) -> bool:
    if path.suffix.lower() != '.db' or not path.is_file():
        return False
    with path.open('rb') as file:
        return file.read(len(SQLITE)) == SQLITE


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    """SourceError where it is no whole database, or does not say where its camera is mounted."""
    try:
        version = _version(path)
        nodes = _query(path, NODES)
        optimised = _optimised(path)
    except sqlite3.Error as error:
        raise SourceError(
            f'{path}: expected a whole database of RTAB-Map (tables Node, Data and Admin), got: '
            f'{error}; try rtabmap-recovery, or export the images'
        ) from error
    if not nodes:
        raise SourceError(f'{path}: expected nodes with images, got none; was it kept without?')
    rows, cameras, counts = [], [], []
    for node, stamp, odometry, calibration in nodes:
        mounted = _cameras(path, node, calibration, version)
        pose = optimised.get(node) if optimised else _transform(odometry, f'{path}: node {node}')
        base = mounted[0].T_base_camera if base_camera is None else base_camera
        rows.append(_row(path, node, stamp, pose, base))
        cameras.append(mounted[0].camera)
        counts.append(len(mounted))
    words = 'optimised poses' if optimised else 'odometry, as no optimised poses are kept'
    files = [Path(f'node-{node[0]:06d}.jpg') for node in nodes]
    ids = [int(node[0]) for node in nodes]

    def read(row: int) -> np.ndarray:
        image = _image(path, ids[row])
        return np.ascontiguousarray(image[:, : image.shape[1] // counts[row]])

    each = cameras if all(camera is not None for camera in cameras) else None
    most = max(counts)
    notes = (f'the first of {most} cameras is taken',) if most > 1 else ()
    return ImageSequence(files, rows, f'{path.name} ({words})', notes, cameras=each, read=read)


def _query(path: Path, text: str, values: Sequence[int] = ()) -> list[tuple]:
    connection = sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro', uri=True)
    try:
        require_tables(connection, ('Node', 'Data', 'Admin'))
        return connection.execute(text, tuple(values)).fetchall()
    finally:
        connection.close()


def _version(path: Path) -> tuple[int, ...]:
    rows = _query(path, 'SELECT version FROM Admin')
    text = str(rows[0][0]) if rows else ''
    parts = text.split('.')
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        raise SourceError(f'{path}: expected the version of RTAB-Map in Admin, got {text!r:.40}')
    version = tuple(map(int, parts))
    if version < OLDEST:
        raise SourceError(
            f'{path}: expected a database of RTAB-Map 0.10 or later, got {text}; open it once in '
            'a newer RTAB-Map'
        )
    return version


def _cameras(
    path: Path, node: int, calibration: object, version: tuple[int, ...]
) -> list[Mounted]:
    """At least one; without a calibration nothing is known of it."""
    data = calibration if isinstance(calibration, bytes) else b''
    try:
        return cameras_of(data, version) or [NO_CALIBRATION]
    except InputError as error:
        raise SourceError(
            f'{path}: node {node}: {error}; try rtabmap-recovery, or export the images'
        ) from error


def _image(path: Path, node: int) -> np.ndarray:
    try:
        ((data,),) = _query(path, 'SELECT image FROM Data WHERE id = ?', (node,))
    except (sqlite3.Error, ValueError) as error:
        raise InputError(f'{path}: image of node {node} cannot be read: {error}') from error
    return decode_rgb(np.frombuffer(data, np.uint8), f'{path}: image of node {node}')


def _row(
    path: Path, node: int, stamp: float, pose: np.ndarray | None, base: np.ndarray | None
) -> PoseRow:
    if pose is not None and base is None:
        raise SourceError(
            f'{path}: node {node} has a pose of base_link, but no calibration that says where its '
            'camera is; give --base-camera x,y,z,qx,qy,qz,qw, or --poses none'
        )
    ns = int(float(stamp or 0.0) * SECOND)
    own = None if pose is None or base is None else pose @ base
    return PoseRow(f'node-{node:06d}.jpg', ns or None, own, lost=pose is None)


def _transform(data: object, where: str) -> np.ndarray | None:
    """(4, 4) of twelve float32; None for none."""
    if not isinstance(data, bytes) or len(data) != 48:
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
    ids, poses = (_unpacked(path, data) for data in rows[0])
    if len(ids) % 4 or len(poses) != 12 * len(ids):
        raise SourceError(
            f'{path}: expected 12 numbers for each of {len(ids) // 4} optimised poses, got '
            f'{len(poses) // 4}'
        )
    numbers = np.frombuffer(ids, np.int32).tolist()
    matrices = np.frombuffer(poses, np.float32).astype(np.float64).reshape(-1, 3, 4)
    found = {i: rigid_pose(m, f'{path}: node {i}') for i, m in zip(numbers, matrices, strict=True)}
    return {i: pose for i, pose in found.items() if pose is not None}


def _unpacked(path: Path, data: bytes) -> bytes:
    """zlib, with rows, columns and type of a matrix behind it."""
    try:
        machine = zlib.decompressobj()
        found = machine.decompress(data[:-12], MOST_BYTES)
        if not machine.eof:
            raise zlib.error(f'it does not end within {MOST_BYTES} bytes')
        return found
    except (zlib.error, TypeError) as error:
        raise SourceError(f'{path}: its optimised poses cannot be unpacked: {error}') from error
