# SPDX-License-Identifier: MIT
"""COLMAP: sparse/0/images.bin (or .txt) and cameras, photographs below images/."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.formats.colmap import read_cameras, read_images
from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import PoseRow
from selavpr_model.data.sequence import ImageSequence, present
from selavpr_model.errors import SourceError

NAME = 'COLMAP: sparse/0/images.{bin,txt} and images/'
MODELS = ('sparse/0', 'sparse', 'colmap/sparse/0', 'dense/sparse', '')
PHOTOGRAPHS = ('images', 'dense/images', 'rgb', '')


def fits(path: Path) -> bool:
    return path.is_dir() and _model(path) is not None


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    model = _model(path)
    assert model is not None
    return of_model(model, [path / name for name in PHOTOGRAPHS], base_camera)


def of_model(model: Path, places: list[Path], base_camera: np.ndarray | None) -> ImageSequence:
    """The images of images.bin or images.txt, below the place that has most of them."""
    images = sorted(read_images(model, base_camera), key=lambda i: i.name)
    names = [image.name for image in images]
    root = max(places, key=lambda place: len(present(place, names)[0]))
    there, missing = present(root, names)
    if not there:
        raise SourceError(
            f'{model}: expected its images ({names[0]!r} and {len(names) - 1} more) in '
            f'{" or ".join(str(p) for p in places)}, got none; give the folder of the images with '
            f'--poses {model}'
        )
    files = [root / names[i] for i in there]
    rows = [images[i].row for i in there]
    used = set(files)
    others = [file for file in list_images(root, recursive=True) if file not in used]
    below = [f for f in others if model.parent not in f.parents]
    files += below
    rows += [PoseRow(file.name) for file in below]
    cameras = read_cameras(model.parent)
    ids = {images[i].camera_id for i in there}
    shared = cameras.get(ids.pop()) if len(ids) == 1 else None
    notes = () if shared else ('several cameras, or of a model that is not read: no camera kept',)
    words = f'{model.name} (COLMAP, world-to-camera)'
    each = [shared] * len(files) if shared else None
    return ImageSequence(files, rows, words, notes, missing, each)


def _model(path: Path) -> Path | None:
    places = (path / m / f'images.{kind}' for m in MODELS for kind in ('bin', 'txt'))
    return next((place for place in places if place.is_file()), None)
