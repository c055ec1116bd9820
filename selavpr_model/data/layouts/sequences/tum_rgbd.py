# SPDX-License-Identifier: MIT
"""TUM RGB-D: rgb.txt lists times and images, groundtruth.txt is a TUM trajectory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.associate import match_stamps
from selavpr_model.data.listing import list_images
from selavpr_model.data.pose_files import PoseRow, read_text, stamp_ns
from selavpr_model.data.pose_tables import read_table
from selavpr_model.data.sequence import ImageSequence, present, words_of
from selavpr_model.errors import SourceError

NAME = 'TUM RGB-D: rgb.txt, rgb/ and groundtruth.txt'


def fits(path: Path) -> bool:
    return (path / 'rgb.txt').is_file() and (path / 'groundtruth.txt').is_file()


def load(path: Path, base_camera: np.ndarray | None) -> ImageSequence:
    listed = _listed(path / 'rgb.txt')
    there, missing = present(path, [name for _, name in listed])
    files = [path / listed[i][1] for i in there]
    if not files:
        raise SourceError(f'{path}: expected the images that rgb.txt names, got none of them')
    stamps = [listed[i][0] for i in there]
    table = read_table(path / 'groundtruth.txt', base_camera)
    rows = match_stamps(stamps, table)
    spare = sum(len(list_images(folder)) for folder in {f.parent for f in files}) - len(files)
    left_out = missing | ({'not in rgb.txt': spare} if spare > 0 else {})
    filled = [row or PoseRow(stamp_ns=s) for row, s in zip(rows, stamps, strict=True)]
    return ImageSequence(files, filled, words_of(table), left_out=left_out)


def _listed(path: Path) -> list[tuple[int, str]]:
    """(time in ns, name below the folder) of each line."""
    listed = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split('#')[0].split()
        if not cells:
            continue
        if len(cells) != 2:
            raise SourceError(f'{path}:{number}: expected a time and a file, got {line!r}')
        listed.append((stamp_ns(cells[0]), cells[1].replace('\\', '/')))  # of Windows
    return listed
