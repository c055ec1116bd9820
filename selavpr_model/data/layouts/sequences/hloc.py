# SPDX-License-Identifier: MIT
"""hloc's outputs: sfm*/ with a COLMAP model, pairs-*.txt, beside or above the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.layouts.sequences.colmap_model import of_model
from selavpr_model.data.sequence import ImageSequence

NAME = "hloc's outputs: sfm*/images.bin, with the images in it or beside"


def fits(path: Path) -> bool:
    return path.is_dir() and _model(path) is not None


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    model = _model(path)
    assert model is not None
    beside = [path / 'images', path, path.parent / 'images', path.parent]
    return of_model(model, beside, base_camera)


def _model(path: Path) -> Path | None:
    """The first of the models, the one of most bytes first."""
    found = [p for kind in ('bin', 'txt') for p in path.glob(f'sfm*/images.{kind}')]
    return max(found, key=lambda p: (p.stat().st_size, p.name), default=None)
