# SPDX-License-Identifier: MIT
"""kapture: sensors/{records_camera,trajectories,rigs,sensors}.txt and sensors/records_data/.

Its poses are world-to-device; those of a rig are carried to its cameras.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.formats.colmap import world_to_camera
from selavpr_model.data.pose_files import is_number, PoseRow, read_text, stamp_ns
from selavpr_model.data.sequence import ImageSequence, present
from selavpr_model.errors import SourceError

NAME = 'kapture: sensors/records_camera.txt and sensors/trajectories.txt'


def fits(path: Path) -> bool:
    return (_root(path) / 'records_camera.txt').is_file()


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    root = _root(path)
    records = [cells for _, cells in _table(root / 'records_camera.txt', 3)]
    there, missing = present(root / 'records_data', [r[2] for r in records])
    if not there:
        raise SourceError(f'{root}/records_data: expected the images of records_camera.txt')
    poses = _trajectories(root)
    rigs = _rigs(root)
    rows = [_row(records[i], poses, rigs, base_camera) for i in there]
    files = [root / 'records_data' / records[i][2] for i in there]
    words = 'trajectories.txt (kapture, world-to-device)' if poses else 'none'
    return ImageSequence(files, rows, words, left_out=missing)


def _root(path: Path) -> Path:
    return path / 'sensors' if (path / 'sensors').is_dir() else path


def _table(path: Path, least: int) -> list[tuple[str, list[str]]]:
    """(where, cells) of each line with content; no lines where there is no file."""
    lines = read_text(path).splitlines() if path.is_file() else []
    rows = []
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split(',')]
        if not line.strip() or line.startswith('#'):
            continue
        if len(cells) < least:
            raise SourceError(f'{path}:{number}: expected {least} cells, got {line!r}')
        rows.append((f'{path}:{number}', cells))
    return rows


Poses = dict[tuple[str, str], np.ndarray]


def _trajectories(root: Path) -> Poses:
    """(time, device) -> (4, 4) T_world_device; a pose without all numbers is left out."""
    poses: Poses = {}
    for where, cells in _table(root / 'trajectories.txt', 9):
        pose = _pose(cells[2:9], where)
        if (cells[0], cells[1]) in poses:
            raise SourceError(f'{where}: expected each time once a device, got {cells[0]} twice')
        if pose is not None:
            poses[cells[0], cells[1]] = pose
    return poses


def _rigs(root: Path) -> Poses:
    """(rig, sensor) -> (4, 4) T_rig_sensor."""
    rigs = ((cells, _pose(cells[2:9], where)) for where, cells in _table(root / 'rigs.txt', 9))
    return {(cells[0], cells[1]): pose for cells, pose in rigs if pose is not None}


def _pose(cells: list[str], where: str) -> np.ndarray | None:
    if not all(map(is_number, cells)):
        if not any(cells):
            return None
        raise SourceError(f'{where}: expected qw, qx, qy, qz, tx, ty, tz; got {cells}')
    w, x, y, z, *t = map(float, cells)
    finite = bool(np.isfinite([w, x, y, z, *t]).all())
    return world_to_camera((w, x, y, z), tuple(t), where) if finite else None


def _pose_of(
    stamp: str, device: str, poses: Poses, rigs: Poses, above: tuple[str, ...] = ()
) -> np.ndarray | None:
    """T_world_device: its own, or that of a rig which holds it, or which holds that rig."""
    own = poses.get((stamp, device))
    if own is not None:
        return own
    for (rig, sensor), offset in rigs.items():
        if sensor == device and rig not in above:  # else they hold each other
            of_rig = _pose_of(stamp, rig, poses, rigs, (*above, device))
            if of_rig is not None:
                return of_rig @ offset
    return None


def _row(record: list[str], poses: Poses, rigs: Poses, base: np.ndarray | None) -> PoseRow:
    stamp, device, name = record[:3]
    pose = _pose_of(stamp, device, poses, rigs)
    if pose is not None and base is not None:
        pose = pose @ base
    large = stamp.isdecimal() and len(stamp) >= 9  # else it counts frames
    return PoseRow(name, stamp_ns(stamp) if large else None, pose)
