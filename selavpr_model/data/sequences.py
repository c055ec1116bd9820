# SPDX-License-Identifier: MIT
"""A path as a recording, whatever its layout.

A new layout is a module in layouts/sequences with NAME, `fits(path)` and `load(path,
base_camera)`, and its name in LAYOUTS.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np

from selavpr_model.data.layouts.sequences import (
    colmap_model,
    euroc,
    geotagged,
    hloc,
    kapture,
    kitti,
    nclt,
    nerfstudio,
    opensfm,
    robotcar,
    rtabmap,
    scannet,
    sevenscenes,
    tum_rgbd,
)
from selavpr_model.data.sequence import ImageSequence

LAYOUTS: tuple[ModuleType, ...] = (
    rtabmap, tum_rgbd, euroc, kapture, robotcar, nclt, scannet, kitti, sevenscenes, nerfstudio,
    opensfm, colmap_model, hloc,
)  # fmt: skip
"""What is asked of a user's path, in this order."""
LAST = geotagged
"""Asked after the tables of poses beside the images, which are more exact than a phone's GPS."""


def layout_of(path: Path) -> ModuleType | None:
    """The layout that a path has; None for none."""
    return next((layout for layout in LAYOUTS if layout.fits(path)), None)


def open_sequence(path: Path, base_camera: np.ndarray | None) -> ImageSequence | None:
    """Its images and poses; None where it has no layout. SourceError where it is damaged."""
    layout = layout_of(path)
    return None if layout is None else layout.load(path, base_camera)
