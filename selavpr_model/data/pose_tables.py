# SPDX-License-Identifier: MIT
"""Tables of poses, whoever wrote them: rows of names, times or numbers, and T_map_camera.

Read are CSV with or without a header, TUM, KITTI (12 numbers a line), 16 numbers a line, COLMAP's
images.txt and images.bin, kapture's trajectories, EuRoC, Cambridge Landmarks, hloc's results. What
cannot be known (the order of a quaternion, degrees or radians) is refused with what to write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import csv
from dataclasses import dataclass
import enum
from pathlib import Path

import numpy as np

from selavpr_model.data.formats import colmap
from selavpr_model.data.formats.geo import Origin
from selavpr_model.data.pose_columns import Columns, columns_of, header_among, split_header
from selavpr_model.data.pose_files import is_number, PoseRow, read_text, rigid_pose
from selavpr_model.data.pose_readers import (
    Cells,
    numbers,
    of_quaternion,
    places,
    pose_reader,
    stamp_of,
)
from selavpr_model.errors import SourceError


class By(enum.Enum):
    """What says which image a row is of."""

    NAME = 'names'
    STAMP = 'times'
    ORDER = 'order'


@dataclass(frozen=True, slots=True, eq=False)
class PoseTable:
    """rows of a file; words: what it was taken to be; origin: where latitudes are metres from."""

    path: Path
    words: str
    by: By
    rows: list[PoseRow]
    notes: tuple[str, ...] = ()
    origin: Origin | None = None


Lines = list[tuple[int, list[str]]]
NO_TABLES = (
    '.json', '.geojson', '.npy', '.npz', '.mat', '.yaml', '.yml', '.db', '.xlsx', '.xls', '.ods',
    '.kml', '.kmz', '.gpx', '.xml', '.g2o', '.pkl', '.pickle',
)  # fmt: skip


def read_table(path: Path, base_camera: np.ndarray | None = None) -> PoseTable:
    """The poses of a file; SourceError with line and cure where they cannot be had."""
    if path.suffix.lower() == '.bin' or (path.suffix == '.txt' and colmap.is_images_text(path)):
        rows = [image.row for image in colmap.read_images(path, base_camera)]
        return PoseTable(path, 'COLMAP, world-to-camera', By.NAME, rows)
    if path.suffix.lower() in NO_TABLES:
        raise SourceError(
            f'{path}: expected a table of poses (CSV, TUM, KITTI, COLMAP images.txt), got '
            f'{path.suffix}; give the folder of the data set itself, or export a table'
        )
    comments, lines = _lines(path)
    if not lines:
        raise SourceError(f'{path}: expected a table of poses; got an empty file')
    numeric = all(map(is_number, lines[0][1]))
    headed = header_among(path, comments)
    if numeric and not headed and len(lines[0][1]) in (12, 13, 16, 17):
        return _matrices(path, lines, base_camera)
    if numeric and len(lines[0][1]) == 8 and not _comma(path) and not _names_order(comments):
        return _tum(path, lines, base_camera)
    return _columned(path, columns_of(path, comments, lines[0][1]), lines, base_camera)


def looks_like_trajectory(path: Path) -> bool:
    """Whether a text holds a trajectory: eight numbers a line, as TUM, or a matrix."""
    try:
        _, lines = _lines(path)
    except SourceError:
        return False
    return bool(lines) and len(lines[0][1]) in (8, 12) and all(map(is_number, lines[0][1]))


def _lines(path: Path) -> tuple[list[str], Lines]:
    """Comments before the first line with content, and (number, cells) of each such line."""
    texts = read_text(path).splitlines()
    comments: list[str] = []
    content: list[tuple[int, str]] = []
    for number, text in enumerate(texts, 1):
        stripped = text.strip()
        if stripped.startswith('#') or stripped.lower().startswith('visual landmark dataset'):
            comments += [stripped] if not content else []
        elif 'camera position [x y z w p q r]' in stripped.lower():
            comments.append(stripped)
        elif stripped:
            content.append((number, text))
    if not content and comments:  # a table of nothing but its header
        content, comments = [(1, comments[-1].lstrip('#'))], comments[:-1]
    return comments, list(_cells(content))


def _cells(content: Sequence[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    sample = content[0][1].strip() if content else ''
    mark = next((d for d in ',;\t' if d in sample), ' ')
    for number, text in content:
        if mark == ' ':
            yield number, text.split()
            continue
        for cells in csv.reader([text], delimiter=mark):
            stripped = [c.strip() for c in cells]
            if mark == '\t':
                stripped = [c for c in stripped if c]
            if any(stripped):
                yield number, stripped


def _comma(path: Path) -> bool:
    """Whether cells are parted by commas: no TUM trajectory."""
    first = (t for t in read_text(path).splitlines() if t.strip() and not t.startswith('#'))
    return any(mark in next(first, '') for mark in ',;')


def _names_order(comments: Sequence[str]) -> bool:
    """Whether a comment names a quaternion in another order than TUM's."""
    for comment in comments:
        words = [w.lower().strip('[](),') for w in split_header(comment)]
        order = [w for w in words if w in ('qw', 'qx', 'qy', 'qz', 'q_w', 'q_x', 'q_y', 'q_z')]
        if len(order) == 4 and order[-1] not in ('qw', 'q_w'):
            return True
    return False


def _tum(path: Path, lines: Lines, base_camera: np.ndarray | None) -> PoseTable:
    rows = []
    for number, cells in lines:
        where = f'{path}:{number}'
        cells = cells[: next((i for i, c in enumerate(cells) if c.startswith('#')), len(cells))]
        if len(cells) != 8:
            raise SourceError(
                f'{where}: expected stamp x y z qx qy qz qw, got {len(cells)} numbers'
            )
        values = numbers(cells, where)
        pose = of_quaternion(values[1:4], values[4:], where, base_camera)
        rows.append(PoseRow('', stamp_of(cells[0], where), pose, lost=pose is None))
    return PoseTable(path, 'TUM trajectory, stamp x y z qx qy qz qw', By.STAMP, rows)


def _matrices(path: Path, lines: Lines, base_camera: np.ndarray | None) -> PoseTable:
    count = len(lines[0][1])
    numbered = count in (13, 17)
    rows: list[PoseRow] = []
    for number, cells in lines:
        where = f'{path}:{number}'
        if len(cells) != count:
            raise SourceError(f'{where}: expected {count} numbers, got {len(cells)}')
        values = np.array(numbers(cells[numbered:], where)).reshape(-1, 4)
        pose = rigid_pose(values, where, base_camera)
        counted = numbered and cells[0].isdecimal() and len(cells[0]) < 9
        rows.append(
            PoseRow(
                '',
                stamp_of(cells[0], where) if numbered and not counted else None,
                pose,
                number=int(cells[0]) if counted else None if numbered else len(rows),
                lost=pose is None,
            )
        )
    by = By.STAMP if any(row.stamp_ns is not None for row in rows) else By.ORDER
    words = f'matrices, {count} numbers a line' + (', KITTI' if count == 12 else '')
    return PoseTable(path, words, by, rows)


def _columned(
    path: Path, columns: Columns, lines: Lines, base_camera: np.ndarray | None
) -> PoseTable:
    if columns.body and base_camera is None:
        raise SourceError(
            f'{path}: {columns.words} has the poses of {columns.body}, not of the camera; give '
            '--base-camera x,y,z,qx,qy,qz,qw of the camera in it (T_BS of cam0/sensor.yaml), or '
            'the whole folder mav0'
        )
    bare = columns.words.endswith('without a header')  # then their number says what they are
    table: list[tuple[str, Cells]] = []
    for number, cells in lines[columns.header :]:
        if len(cells) < len(columns.names) or (bare and len(cells) > len(columns.names)):
            raise SourceError(
                f'{path}:{number}: expected {len(columns.names)} columns, got {len(cells)}'
            )
        named = {n: c for n, c in zip(columns.names, cells, strict=False) if n}
        table.append((f'{path}:{number}', named))
    place, origin = places(path, columns, table)
    pose_of = pose_reader(path, columns, table, base_camera)
    rows = []
    for where, cell in table:
        xyz = place(cell, where)
        pose = pose_of(xyz, cell, where) if xyz is not None else None
        stamp = stamp_of(cell['stamp'], where, columns.time_unit) if 'stamp' in cell else None
        name = cell.get('file', '').replace('\\', '/')
        rows.append(PoseRow(name, stamp, pose, columns.has_orientation, lost=pose is None))
    notes = () if origin is None else (f'metres east, north, up of {origin.to_dict()}',)
    by = By.NAME if 'file' in columns.names else By.STAMP
    return PoseTable(path, columns.words, by, rows, notes, origin)
