# SPDX-License-Identifier: MIT
"""What a layout of a recording comes down to: images in order, and the pose of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from selavpr_model.data.formats.geo import Origin
from selavpr_model.data.pose_files import PoseRow
from selavpr_model.data.pose_tables import PoseTable
from selavpr_model.records import Camera


@dataclass(frozen=True, slots=True, eq=False)
class ImageSequence:
    """Images of a recording with a row for each.

    words: where the poses are from, 'none' without. left_out: reason -> images that are not used.
    cameras: the calibrated one of each image. read: image of a row, (H, W, 3) uint8 RGB, where
    it is not just the file.
    """

    files: list[Path]
    rows: list[PoseRow]
    words: str
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    cameras: Sequence[Camera | None] | None = None
    origin: Origin | None = None
    read: Callable[[int], np.ndarray] | None = None


def words_of(table: PoseTable) -> str:
    """`00.txt (KITTI ...)`."""
    return f'{table.path.name} ({table.words})'


def present(root: Path, names: Sequence[str]) -> tuple[list[int], dict[str, int]]:
    """(rows whose file is there, what is missing): a model may name more images than are held."""
    there = [i for i, name in enumerate(names) if (root / name).is_file()]
    missing = len(names) - len(there)
    return there, {'named, but not there': missing} if missing else {}
