# SPDX-License-Identifier: MIT
"""ScanNet as exported: color/0.jpg, pose/0.txt (camera-to-world, -inf where lost), intrinsic/."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import matrix_or_lost, PoseRow
from selavpr_model.data.sequence import ImageSequence

NAME = 'ScanNet: color/0.jpg and pose/0.txt'


def fits(path: Path) -> bool:
    return (path / 'color').is_dir() and (path / 'pose').is_dir()


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    files = list_images(path / 'color')
    rows = []
    for file in files:
        matrix = path / 'pose' / f'{file.stem}.txt'
        pose = matrix_or_lost(matrix, base_camera) if matrix.is_file() else None
        rows.append(PoseRow(file.name, None, pose, lost=pose is None and matrix.is_file()))
    return ImageSequence(files, rows, 'pose/ (ScanNet)')
