# SPDX-License-Identifier: MIT
"""7-Scenes: frame-000000.color.png beside frame-000000.pose.txt, four rows, camera-to-world."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.listing import find_images, left_out
from selavpr_model.data.pose_files import matrix_or_lost, PoseRow
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import SourceError

NAME = '7-Scenes: frame-000000.color.png beside frame-000000.pose.txt'


def fits(path: Path) -> bool:
    return path.is_dir() and any(any(p.glob('*.pose.txt')) for p in (path, path / 'images'))


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    """One sequence; an image without a file of its pose has none."""
    files = find_images(path)
    rows = [_row(file, base_camera) for file in files]
    if not any(row is not None for row in rows):
        names = sorted(p.name for p in files[0].parent.glob('*.pose.txt'))
        raise SourceError(
            f'{files[0].parent}: expected a .pose.txt named as its image, got {len(names)} such '
            f'as {(names or ["none"])[0]!r} for {files[0].name!r}; take --poses none to go without'
        )
    filled = [row or PoseRow(file.name) for row, file in zip(rows, files, strict=True)]
    out = left_out([files[0].parent])
    return ImageSequence(files, filled, '.pose.txt files', left_out=out)


def _row(file: Path, base_camera: np.ndarray | None) -> PoseRow | None:
    stems = dict.fromkeys((file.stem, file.stem.removesuffix('.color'), file.name.split('.')[0]))
    places = (file.with_name(f'{stem}.pose.txt') for stem in stems)
    matrix = next((place for place in places if place.is_file()), None)
    if matrix is None:
        return None
    pose = matrix_or_lost(matrix, base_camera)
    return PoseRow(file.name, None, pose, lost=pose is None)
