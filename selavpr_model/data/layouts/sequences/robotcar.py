# SPDX-License-Identifier: MIT
"""Oxford RobotCar: stereo/centre/<us>.png (Bayer), gps/ins.csv or rtk.csv (north, east, down).

Map: x east, y north, z up, from the first pose. The camera is put along the vehicle, level with
it, unless T_base_camera is given.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import cv2
import numpy as np

from selavpr_model.data.associate import match_rows
from selavpr_model.data.decode import decoded, read_rgb
from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import euler_pose, PoseRow, read_text, stamp_ns
from selavpr_model.data.pose_tables import By, PoseTable
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import InputError, SourceError

NAME = 'Oxford RobotCar: stereo/centre or mono_* with gps/ins.csv or rtk.csv'
FOLDERS = ('stereo/centre', 'stereo/left', 'mono_rear', 'mono_left', 'mono_right')
TABLES = ('rtk.csv', 'gps/rtk.csv', 'gps/ins.csv', 'ins.csv')
COLUMNS = ('timestamp', 'northing', 'easting', 'down', 'roll', 'pitch', 'yaw')


def fits(path: Path) -> bool:
    return _first(path, FOLDERS) is not None and _first(path, TABLES) is not None


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    folder, poses = _first(path, FOLDERS), _first(path, TABLES)
    assert folder is not None and poses is not None
    files = list_images(folder)
    if not files:
        raise SourceError(f'{folder}: expected images, got none')
    table = PoseTable(poses, 'RobotCar', By.STAMP, _rows(poses, base_camera))
    rows = match_rows(files, table, path)
    notes: tuple[str, ...] = ('poses from north, east, down to x east, y north, z up',)
    if base_camera is None:
        notes += ('the camera is put along the vehicle',)

    def read(row: int) -> np.ndarray:
        return demosaiced(files[row], stereo=folder.parent.name == 'stereo')

    return ImageSequence(files, rows, f'{poses.name} (RobotCar)', notes, read=read)


def demosaiced(file: Path, stereo: bool) -> np.ndarray:
    """(H, W, 3) uint8 RGB: images of one channel are Bayer, GBRG of stereo cameras, else RGGB."""
    try:
        data = np.fromfile(file, np.uint8)
        raw = decoded(data, cv2.IMREAD_UNCHANGED)
    except (OSError, InputError):  # said by who reads it next
        raw = None
    if raw is None or raw.ndim == 3 or raw.dtype != np.uint8:
        return read_rgb(file)
    # OpenCV names a pattern after its second row: GBRG is its GR, RGGB its BG
    code = cv2.COLOR_BayerGR2RGB if stereo else cv2.COLOR_BayerBG2RGB
    return np.asarray(cv2.cvtColor(raw, code), np.uint8)


def _first(path: Path, names: tuple[str, ...]) -> Path | None:
    return next((path / name for name in names if (path / name).exists()), None)


def _rows(path: Path, base_camera: np.ndarray | None) -> list[PoseRow]:
    reader = csv.DictReader(read_text(path).splitlines())
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise SourceError(
            f'{path}: expected columns {", ".join(COLUMNS)}, got none of {missing}; '
            'is it ins.csv or rtk.csv?'
        )
    rows: list[PoseRow] = []
    first: np.ndarray | None = None
    for row in reader:
        where = f'{path}:{reader.line_num}'
        try:
            north, east, down, roll, pitch, yaw = (float(row[name]) for name in COLUMNS[1:])
        except (TypeError, ValueError) as error:
            raise SourceError(f'{where}: expected numbers; {error}') from error
        xyz = np.array([east, north, -down])
        angles = roll, -pitch, math.pi / 2 - yaw
        good = bool(np.isfinite([*xyz, *angles]).all())
        first = xyz if first is None and good else first
        pose = euler_pose(xyz - first, angles, base_camera) if good and first is not None else None
        rows.append(PoseRow('', stamp_ns(row['timestamp']), pose, lost=pose is None))
    return rows
