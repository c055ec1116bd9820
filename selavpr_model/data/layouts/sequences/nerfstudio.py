# SPDX-License-Identifier: MIT
"""nerfstudio, Instant NGP and Blender: transforms.json with camera-to-world matrices.

Their camera looks along -z with y up; here z is forward and y down.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.data.listing import SUFFIXES
from selavpr_model.data.pose_files import PoseRow, read_text, rigid_pose
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import SourceError
from selavpr_model.records import Camera

NAME = 'nerfstudio: transforms.json'
FILES = ('transforms.json', 'transforms_train.json')
GL_OPTICAL = np.diag([1.0, -1.0, -1.0, 1.0])


def fits(path: Path) -> bool:
    return any((path / name).is_file() for name in FILES)


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    table = next(path / name for name in FILES if (path / name).is_file())
    values = read_json(table, dict)
    files: list[Path] = []
    rows: list[PoseRow] = []
    frames = values.get('frames')
    if not isinstance(frames, list):
        raise SourceError(f'{table}: expected frames with file_path and transform_matrix')
    scale, notes = _applied(table, values)
    for k, frame in enumerate(frames):
        file, pose = _frame(path, table, k, frame)
        if pose is not None:
            pose[:3, 3] *= scale
        if file is not None:
            files.append(file)
            own = pose if pose is None or base_camera is None else pose @ base_camera
            rows.append(PoseRow(file.name, None, own, lost=pose is None))
    if not files:
        raise SourceError(f'{table}: expected the images that it names, got none of them')
    missing = len(frames) - len(files)
    out = {'named, but not there': missing} if missing else {}
    camera = _camera(values)
    each = None if camera is None else [camera] * len(files)
    return ImageSequence(files, rows, f'{table.name} (OpenGL axes)', notes, out, each)


def _applied(table: Path, values: dict[str, Any]) -> tuple[float, tuple[str, ...]]:
    """(metres a unit, what is said): nerfstudio may have scaled and turned the poses."""
    given = values.get('applied_scale', 1.0)
    if not isinstance(given, int | float) or not 0.0 < given < math.inf:
        raise SourceError(f'{table}: applied_scale: expected a number above 0, got {given!r}')
    notes: tuple[str, ...] = ()
    if given != 1.0:
        notes += (f'applied_scale {given:g} of nerfstudio is taken back',)
    if 'applied_transform' in values:
        notes += ('axes as nerfstudio turned them (applied_transform)',)
    return 1.0 / given, notes


def read_json(path: Path, kind: type) -> Any:
    """The content, a `kind`; SourceError with what is wrong."""
    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SourceError(f'{path}: expected JSON; {error}') from error
    if not isinstance(values, kind):
        raise SourceError(f'{path}: expected a {kind.__name__}, got a {type(values).__name__}')
    return values


def _frame(path: Path, table: Path, k: int, frame: Any) -> tuple[Path | None, np.ndarray | None]:
    """The image, None where it is not there, and T_map_camera."""
    try:
        name = str(frame['file_path'])
        matrix = np.array(frame['transform_matrix'], np.float64)
        if matrix.shape not in ((3, 4), (4, 4)):
            raise ValueError(f'a matrix of shape {matrix.shape}')
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f'{table}: frame {k}: expected file_path and transform_matrix; {error!r}'
        ) from error
    pose = rigid_pose(matrix, f'{table}: frame {k}')
    places = [path / name, *(path / f'{name}{suffix}' for suffix in SUFFIXES)]
    file = next((place for place in places if place.is_file()), None)
    return file, None if pose is None else pose @ GL_OPTICAL


def _camera(values: dict[str, Any]) -> Camera | None:
    """The camera of all frames; None where each has its own or it is not said."""
    try:
        fx, cx, cy, width, height = (values[n] for n in ('fl_x', 'cx', 'cy', 'w', 'h'))
        fy = values.get('fl_y', fx)
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], np.float64)
        distortion = np.array([values.get(n, 0.0) for n in ('k1', 'k2', 'p1', 'p2')], np.float64)
        size = int(width), int(height)
    except (KeyError, TypeError, ValueError):
        return None
    pinhole = values.get('camera_model', 'OPENCV') in ('OPENCV', 'PINHOLE', 'SIMPLE_PINHOLE')
    good = pinhole and bool(np.isfinite(K).all()) and min(size) > 0
    return Camera(K, distortion, size) if good else None
