# SPDX-License-Identifier: MIT
"""Where images were taken, as files say it: CSV, TUM trajectory, `@utm@` names, `.pose.txt`.

All poses come out as T_map_camera with the camera's optical frame (z forward, x right, y down).
- A quaternion or a 4x4 matrix is taken as the pose of the camera.
- x, y, yaw (rad, counter-clockwise from the map's x axis) is the pose of a body whose x axis looks
  forward; the camera looks along it, level.
- `@utm@` names have x east, y north, the height of the ground unknown (z = 0) and the heading in
  degrees clockwise from north.
- With `base_camera` (T_base_camera) given, every pose is that of the body instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import csv
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
import math
from pathlib import Path
import re

import numpy as np

from selavpr_model.errors import SourceError
from selavpr_model.poses import pose_matrix

T_BASE_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""A camera that looks along the body's x axis: z forward, x right, y down."""

ALIASES = {
    'file': 'file filename file_name image image_name image_path name path img',
    'stamp': 'stamp timestamp time t stamp_s stamp_ns timestamp_ns time_ns',
    'x': 'x tx px p_x pos_x position_x position.x east easting utm_east x_m',
    'y': 'y ty py p_y pos_y position_y position.y north northing utm_north y_m',
    'z': 'z tz pz p_z pos_z position_z position.z up altitude height z_m',
    'yaw': 'yaw theta yaw_rad',
    'yaw_deg': 'yaw_deg theta_deg',
    'qx': 'qx q_x quat_x orientation_x orientation.x',
    'qy': 'qy q_y quat_y orientation_y orientation.y',
    'qz': 'qz q_z quat_z orientation_z orientation.z',
    'qw': 'qw q_w quat_w orientation_w orientation.w',
}
COLUMN_OF = {alias: name for name, aliases in ALIASES.items() for alias in aliases.split()}
WITHOUT_HEADER = {
    3: ('file', 'x', 'y'),
    4: ('file', 'x', 'y', 'yaw'),
    5: ('file', 'x', 'y', 'z', 'yaw'),
    8: ('file', 'x', 'y', 'z', 'qx', 'qy', 'qz', 'qw'),
}
QUATERNION = ('qx', 'qy', 'qz', 'qw')
EXPECTED = 'file or stamp, x, y [, z] and yaw, yaw_deg or qx, qy, qz, qw'


@dataclass(frozen=True, slots=True, eq=False)
class PoseRow:
    """What a source says about one image; pose (4, 4) T_map_camera, None where not known."""

    file: str = ''
    stamp_ns: int | None = None
    pose: np.ndarray | None = None
    oriented: bool = True


def stamp_ns(text: str) -> int:
    """Nanoseconds, exactly, of a number in s, ms, us or ns: told apart by its size.

    Any date between 1973 and 2262 is understood, and small numbers are seconds. SourceError for
    what is no number or does not fit into 64 bits.
    """
    try:
        value = Decimal(text)
        size = abs(value)
        factor = 1 if size >= 10**17 else 10**3 if size >= 10**14 else 10**6
        ns = int(value * (10**9 if size < 10**11 else factor)) if size < 2**63 else 2**63
    except InvalidOperation:  # no number, or NaN
        ns = 2**63
    if abs(ns) >= 2**63:
        raise SourceError(f'stamp: expected seconds or nanoseconds, got {text!r}')
    return ns


def level_pose(
    x: float, y: float, z: float, yaw: float, base_camera: np.ndarray | None = None
) -> np.ndarray:
    """T_map_camera of a level body that looks along `yaw` (rad, counter-clockwise from x)."""
    base = pose_matrix((x, y, z), (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))
    return base @ (T_BASE_OPTICAL if base_camera is None else base_camera)


def quaternion_pose(
    values: Sequence[float], where: str, base_camera: np.ndarray | None = None
) -> np.ndarray:
    """T_map_camera from x, y, z, qx, qy, qz, qw; `where` names the line in errors."""
    if not math.isclose(math.hypot(*values[3:]), 1.0, abs_tol=0.05):
        raise SourceError(
            f'{where}: expected a unit quaternion qx qy qz qw, got {list(values[3:])}; '
            'check the order of the columns'
        )
    pose = pose_matrix(values[:3], values[3:])
    return pose if base_camera is None else pose @ base_camera


def read_csv(path: Path, base_camera: np.ndarray | None = None) -> list[PoseRow]:
    """The rows of a table with or without a header; see ALIASES for the columns it may have."""
    lines = list(_cells(path))
    if not lines:
        raise SourceError(f'{path}: expected columns {EXPECTED}; got an empty file')
    columns, first = _columns(path, lines[0][1])
    rows = []
    for number, cells in lines[first:]:
        where = f'{path}:{number}'
        if len(cells) < len(columns):
            raise SourceError(f'{where}: expected {len(columns)} columns, got {len(cells)}')
        cell = {n: c for n, c in zip(columns, cells, strict=False) if n}
        rows.append(_csv_row(cell, where, base_camera))
    return rows


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line with content."""
    lines = read_text(path).splitlines()
    sample = next((line for line in lines if line.strip()), '')
    delimiter = next((d for d in ',;\t' if d in sample), ' ')
    for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), 1):
        stripped = [c.strip() for c in cells if c.strip() or delimiter != ' ']
        if any(stripped):
            yield number, stripped


def _columns(path: Path, cells: list[str]) -> tuple[list[str], int]:
    """(our name of each column or '', rows of header: 0 or 1)."""
    if all(_is_number(c) for c in cells[1:]):
        if len(cells) not in WITHOUT_HEADER:
            raise SourceError(
                f'{path}: expected a header with {EXPECTED}; got {len(cells)} columns without '
                'one; add a first line with their names'
            )
        return list(WITHOUT_HEADER[len(cells)]), 0
    names = [re.sub(r'\[.*\]', '', c).strip(' #"').lower().replace(' ', '_') for c in cells]
    columns = [COLUMN_OF.get(name, '') for name in names]
    columns = [c if c not in columns[:i] else '' for i, c in enumerate(columns)]
    if not {'x', 'y'} <= set(columns) or not {'file', 'stamp'} & set(columns):
        got = ', '.join(names)
        raise SourceError(f'{path}: expected columns {EXPECTED}; got {got}; rename them')
    return columns, 1


def _csv_row(cell: dict[str, str], where: str, base_camera: np.ndarray | None) -> PoseRow:
    number = {n: _number(c, n, where) for n, c in cell.items() if n not in ('file', 'stamp')}
    stamp = _stamp(cell['stamp'], where) if 'stamp' in cell else None
    finite = all(math.isfinite(v) for v in number.values())
    pose = _pose_of(number, where, base_camera) if finite else None
    oriented = 'qw' in number or 'yaw' in number or 'yaw_deg' in number
    return PoseRow(cell.get('file', ''), stamp, pose, oriented)


def _pose_of(number: dict[str, float], where: str, base_camera: np.ndarray | None) -> np.ndarray:
    position = number['x'], number['y'], number.get('z', 0.0)
    if set(QUATERNION) <= set(number):
        values = (*position, *(number[q] for q in QUATERNION))
        return quaternion_pose(values, where, base_camera)
    yaw = number.get('yaw', math.radians(number.get('yaw_deg', 0.0)))
    return level_pose(*position, yaw, base_camera)


def read_tum(path: Path, base_camera: np.ndarray | None = None) -> list[PoseRow]:
    """The rows of a TUM trajectory: `stamp x y z qx qy qz qw`, # for comments."""
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split('#', 1)[0].split()
        if not cells:
            continue
        where = f'{path}:{number}'
        if len(cells) != 8:
            raise SourceError(
                f'{where}: expected stamp x y z qx qy qz qw, got {len(cells)} numbers'
            )
        values = [_number(c, 'pose', where) for c in cells]
        finite = all(map(math.isfinite, values))
        pose = quaternion_pose(values[1:], where, base_camera) if finite else None
        rows.append(PoseRow('', _stamp(cells[0], where), pose))
    return rows


def looks_like_tum(path: Path) -> bool:
    """Whether the first line that is no comment holds eight numbers."""
    for line in read_text(path).splitlines():
        cells = line.split('#', 1)[0].split()
        if cells:
            return len(cells) == 8 and all(map(_is_number, cells))
    return False


def utm_position(file: str) -> tuple[float, float]:
    """East and north in m of a name `@utm_east@utm_north@...@.jpg`."""
    fields = Path(file).name.split('@')
    if len(fields) >= 4 and _is_number(fields[1]) and _is_number(fields[2]):
        east, north = float(fields[1]), float(fields[2])
        if math.isfinite(east) and math.isfinite(north):
            return east, north
    raise SourceError(f'{file}: expected a name @utm_east@utm_north@...@.jpg')


def utm_row(file: str, base_camera: np.ndarray | None = None) -> PoseRow:
    """What a name says: `@east@north@zone@letter@lat@lon@id@tile@heading@...@.jpg`."""
    east, north = utm_position(file)
    fields = Path(file).name.split('@')
    heading = fields[9] if len(fields) > 10 else ''
    oriented = _is_number(heading) and math.isfinite(float(heading))
    yaw = math.radians(90.0 - float(heading)) if oriented else 0.0
    return PoseRow(file, None, level_pose(east, north, 0.0, yaw, base_camera), oriented)


def read_matrix(path: Path, base_camera: np.ndarray | None = None) -> np.ndarray:
    """(4, 4) T_map_camera from a text file with four rows (7-Scenes' `.pose.txt`)."""
    try:
        pose = np.array([line.split() for line in read_text(path).splitlines() if line.strip()])
        pose = pose.astype(np.float64)
    except ValueError as error:
        raise SourceError(f'{path}: expected four rows of four numbers; {error}') from error
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise SourceError(f'{path}: expected four rows of four numbers, got shape {pose.shape}')
    return pose if base_camera is None else pose @ base_camera


def read_text(path: Path) -> str:
    """The file's text; SourceError where it cannot be read."""
    try:
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'{path}: cannot be read as text: {error}') from error
    if '\0' in text:  # csv of Python 3.10 refuses it, that of later ones takes it
        raise SourceError(f'{path}: expected text, got a zero byte; is it the right file?')
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _stamp(text: str, where: str) -> int:
    try:
        return stamp_ns(text)
    except SourceError as error:
        raise SourceError(f'{where}: {error}') from None


def _number(text: str, column: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SourceError(f'{where}: {column}: expected a number, got {text!r}') from None
