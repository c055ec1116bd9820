# SPDX-License-Identifier: MIT
"""Photographs with EXIF GPS: metres east, north and up of the first, view as GPSImgDirection."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from selavpr_model.data.formats.exif import Exif, read_exif
from selavpr_model.data.formats.geo import on_earth, Origin
from selavpr_model.data.listing import find_images, left_out
from selavpr_model.data.pose_files import level_pose, PoseRow
from selavpr_model.data.sequence import ImageSequence
from selavpr_model.errors import SourceError

NAME = 'photographs with EXIF GPS'
LOOKED_AT = 5


def fits(path: Path) -> bool:
    """Whether one of the first images says where it was taken."""
    try:
        files = find_images(path)
    except SourceError:
        return False
    spread = files[:: max(1, len(files) // LOOKED_AT)]
    return any(_placed(read_exif(file)) for file in spread)


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    files = find_images(path)
    tags = [read_exif(file) for file in files]
    first = next(tag for tag in tags if _placed(tag))
    origin = Origin(first.latitude or 0.0, first.longitude or 0.0, first.altitude or 0.0)
    rows = [_row(file, tag, origin, base_camera) for file, tag in zip(files, tags, strict=True)]
    notes = (f'metres east, north, up of {origin.to_dict()}',)
    out = left_out([files[0].parent])
    return ImageSequence(files, rows, 'EXIF GPS', notes, out, origin=origin)


def _placed(tag: Exif) -> bool:
    return (
        tag.latitude is not None
        and tag.longitude is not None
        and on_earth(tag.latitude, tag.longitude)
    )


def _row(file: Path, tag: Exif, origin: Origin, base_camera: np.ndarray | None) -> PoseRow:
    if not _placed(tag) or tag.latitude is None or tag.longitude is None:
        return PoseRow(file.name)
    height = origin.altitude if tag.altitude is None else tag.altitude
    x, y, z = origin.enu(tag.latitude, tag.longitude, height)
    known = tag.direction is not None
    yaw = math.radians(90.0 - (tag.direction or 0.0)) if known else 0.0
    return PoseRow(file.name, None, level_pose(x, y, z, yaw, base_camera), known)
