# SPDX-License-Identifier: MIT
"""KITTI odometry: sequences/00/image_2/000000.png, times.txt, calib.txt; poses/00.txt.

Poses are those of camera 0 (x right, y down, z forward); calib.txt says where the others are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.associate import match_rows
from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import is_number, read_text
from selavpr_model.data.pose_tables import read_table
from selavpr_model.data.sequence import ImageSequence, words_of
from selavpr_model.records import Camera

NAME = 'KITTI odometry: sequences/00/image_0 with poses/00.txt'
FOLDERS = ('image_2', 'image_0', 'image_3', 'image_1')


def fits(path: Path) -> bool:
    return _images(path) is not None and _poses(path) is not None


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    folder, poses = _images(path), _poses(path)
    assert folder is not None and poses is not None
    files = list_images(folder)
    number = int(folder.name.removeprefix('image_'))
    K, offset = _calibration(folder.parent / 'calib.txt', number)
    notes = (f'{poses.name} has the poses of camera 0',) if number and offset is None else ()
    own = base_camera if base_camera is not None else offset
    table = read_table(poses, own)
    rows = match_rows(files, table, folder)
    cameras = [None if K is None else Camera(K, np.zeros(5), (0, 0))] * len(files)
    return ImageSequence(
        files, rows, words_of(table), notes, cameras=None if K is None else cameras
    )


def _images(path: Path) -> Path | None:
    folders = [path] if path.name in FOLDERS else [path / name for name in FOLDERS]
    return next((f for f in folders if f.is_dir() and list_images(f)), None)


def _poses(path: Path) -> Path | None:
    sequence = path.parent if path.name in FOLDERS else path
    places = (
        sequence.parent.parent / 'poses' / f'{sequence.name}.txt',
        sequence / 'poses.txt',
        sequence / f'{sequence.name}.txt',
    )
    return next((place for place in places if place.is_file()), None)


def _calibration(path: Path, number: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(K (3, 3), T_camera0_camera (4, 4)) of a camera; None where calib.txt does not say."""
    for line in read_text(path).splitlines() if path.is_file() else []:
        name, _, rest = line.partition(':')
        cells = rest.split()
        if name.strip() == f'P{number}' and len(cells) == 12 and all(map(is_number, cells)):
            P = np.array(cells, np.float64).reshape(3, 4)
            offset = np.eye(4)
            if not np.isfinite(P).all() or abs(np.linalg.det(P[:, :3])) < 1e-9:
                return None, None
            offset[:3, 3] = -np.linalg.solve(P[:, :3], P[:, 3])
            return P[:, :3], offset
    return None, None
