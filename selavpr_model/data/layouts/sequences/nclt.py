# SPDX-License-Identifier: MIT
"""NCLT: lb3/Cam5/<us>.tiff and groundtruth_<date>.csv (north, east, down, angles).

Map: x east, y north, z up. The camera is put along the robot unless T_base_camera is given;
images are as stored, on their side.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from selavpr_model.data.associate import match_rows
from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import euler_pose, PoseRow, read_text, stamp_ns
from selavpr_model.data.pose_tables import By, PoseTable
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import SourceError

NAME = 'NCLT: lb3/Cam5 and groundtruth_*.csv'


def fits(path: Path) -> bool:
    return bool(_images(path)) and _truth(path) is not None


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    files, truth = _images(path), _truth(path)
    assert truth is not None
    table = PoseTable(truth, 'NCLT', By.STAMP, _rows(truth, base_camera))
    notes: tuple[str, ...] = ('poses from north, east, down to x east, y north, z up',)
    if base_camera is None:
        notes += ('the camera is put along the robot',)
    return ImageSequence(files, match_rows(files, table, path), f'{truth.name} (NCLT)', notes)


def _images(path: Path) -> list[Path]:
    """Those of the camera that looks ahead (Cam5), or of `path` itself."""
    places = [path / 'lb3' / 'Cam5', path / 'Cam5', *sorted(path.glob('lb3/Cam*')), path]
    return next((f for p in places if p.is_dir() and (f := list_images(p))), [])


def _truth(path: Path) -> Path | None:
    places = (path, path.parent, path.parent.parent)
    found = (p for place in places for p in sorted(place.glob('groundtruth_20*.csv')))
    return next(found, None)


def _rows(path: Path, base_camera: np.ndarray | None) -> list[PoseRow]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split(',')
        if not line.strip() or line.startswith('#'):
            continue
        try:
            north, east, down, roll, pitch, yaw = map(float, cells[1:])
        except ValueError as error:
            raise SourceError(
                f'{path}:{number}: expected utime and x, y, z, roll, pitch, yaw; {error}'
            ) from error
        xyz, angles = (east, north, -down), (roll, -pitch, math.pi / 2 - yaw)
        good = bool(np.isfinite([*xyz, *angles]).all())
        pose = euler_pose(xyz, angles, base_camera) if good else None
        rows.append(PoseRow('', stamp_ns(cells[0]), pose, lost=pose is None))
    return rows
