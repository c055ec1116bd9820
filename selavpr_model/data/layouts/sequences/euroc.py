# SPDX-License-Identifier: MIT
"""EuRoC MAV (and TUM VI): mav0/cam0/data/*.png, state_groundtruth_estimate0/data.csv.

The poses are those of the IMU; T_BS of cam0/sensor.yaml carries them to the camera.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from selavpr_model.data.associate import image_stamps, match_rows
from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import PoseRow, read_text, rigid_pose
from selavpr_model.data.pose_tables import read_table
from selavpr_model.data.sequence import ImageSequence, words_of
from selavpr_model.errors import SourceError
from selavpr_model.records import Camera

NAME = 'EuRoC: mav0/cam0/data, cam0/sensor.yaml, state_groundtruth_estimate0/data.csv'
TRUTHS = ('state_groundtruth_estimate0', 'mocap0')
MODELS = {'radial-tangential': 'plumb_bob', 'equidistant': 'equidistant'}


def fits(path: Path) -> bool:
    return (_root(path) / 'cam0' / 'data').is_dir()


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    """base_camera: T_body_camera, instead of that of sensor.yaml."""
    root = _root(path)
    files = list_images(root / 'cam0' / 'data')
    if not files:
        raise SourceError(f'{root}/cam0/data: expected images, got none')
    offset, camera = _sensor(root / 'cam0' / 'sensor.yaml')
    cameras = None if camera is None else [camera] * len(files)
    truth = next(
        (root / t / 'data.csv' for t in TRUTHS if (root / t / 'data.csv').is_file()), None
    )
    if truth is None:
        stamps, _ = image_stamps(files, root)
        rows = [PoseRow(stamp_ns=stamp) for stamp in stamps]
        note = f'no {" or ".join(TRUTHS)} beside cam0'
        return ImageSequence(files, rows, 'none', (note,), cameras=cameras)
    table = read_table(truth, offset if base_camera is None else base_camera)
    rows = match_rows(files, table, root)
    return ImageSequence(files, rows, f'{truth.parent.name}/{words_of(table)}', cameras=cameras)


def _root(path: Path) -> Path:
    return path / 'mav0' if (path / 'mav0').is_dir() else path


def _sensor(path: Path) -> tuple[np.ndarray | None, Camera | None]:
    """T_body_camera (4, 4) and the camera; None for what the file does not say."""
    if not path.is_file():
        return None, None
    try:
        values = yaml.safe_load(read_text(path).removeprefix('%YAML:1.0'))
        offset = np.array(values['T_BS']['data'], np.float64).reshape(4, 4)
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise SourceError(f'{path}: expected T_BS with 16 numbers; {error!r}') from error
    return rigid_pose(offset, str(path)), _camera(values)


def _camera(values: dict[str, Any]) -> Camera | None:
    try:
        fx, fy, cx, cy = map(float, values['intrinsics'])
        width, height = map(int, values['resolution'])
        distortion = np.array(values.get('distortion_coefficients', []), np.float64)
        model = MODELS[str(values.get('distortion_model', 'radial-tangential'))]
    except (KeyError, TypeError, ValueError):
        return None
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return Camera(K, distortion, (width, height), model)
