# SPDX-License-Identifier: MIT
"""Poses as T_map_camera from what files say: quaternions, matrices, angles, `@utm@` names.

All poses come out as T_map_camera with the camera's optical frame (z forward, x right, y down).
- A quaternion or a 4x4 matrix is taken as the pose of the camera.
- x, y, yaw (rad, counter-clockwise from the map's x axis) is the pose of a body whose x axis looks
  forward; the camera looks along it, level.
- `@utm@` names have x east, y north, the height of the ground unknown (z = 0) and the heading in
  degrees clockwise from north.
- With `base_camera` (T_base_camera) given, every pose is that of the body instead.
Tables of poses are read by pose_tables.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
import math
from pathlib import Path
import re

import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.data.formats.geo import are_degrees
from selavpr_model.errors import SourceError
from selavpr_model.poses import pose_matrix
from selavpr_model.records import SECOND

T_BASE_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""A camera that looks along the body's x axis: z forward, x right, y down."""


@dataclass(frozen=True, slots=True, eq=False)
class PoseRow:
    """What a source says about one image; pose (4, 4) T_map_camera, None where not known.

    number: which image it is, where the source counts them. lost: the source has a row for it, but
    no pose, as its tracker was lost; or one that is not finite or further than FAR_M away.
    """

    file: str = ''
    stamp_ns: int | None = None
    pose: np.ndarray | None = None
    oriented: bool = True
    number: int | None = None
    lost: bool = False

    def __post_init__(self) -> None:
        """What no robot can have is no pose, whichever layout or arithmetic it came from."""
        if self.pose is not None and not (np.abs(self.pose) < FAR_M).all():  # NaN is not less
            object.__setattr__(self, 'pose', None)
            object.__setattr__(self, 'lost', True)


FAR_M = 1e9
"""No coordinate on the Earth, of any projection, is as large."""
NANOSECONDS = {'s': 10**9, 'ms': 10**6, 'us': 10**3, 'ns': 1}


def stamp_ns(text: str, unit: str = '') -> int:
    """Nanoseconds, exactly, of a number in s, ms, us or ns: by its unit, else by its size.

    Of dates between 1973 and 2262 the size tells the unit, and small numbers are seconds.
    SourceError for what is no number or does not fit into 64 bits.
    """
    try:
        value = Decimal(text)
        size = abs(value)
        factor = 1 if size >= 10**17 else 10**3 if size >= 10**14 else 10**6
        factor = NANOSECONDS[unit] if unit else 10**9 if size < 10**11 else factor
        ns = int(value * factor) if size < 2**63 else 2**63
    except InvalidOperation:  # no number, or NaN
        ns = 2**63
    if abs(ns) >= 2**63:
        raise SourceError(f'stamp: expected seconds or nanoseconds, got {text!r}')
    return ns


def date_ns(text: str) -> int:
    """`2011-09-26 13:02:25.964389445` or `...T13:02:25Z` -> ns since 1970; UTC without a zone."""
    match = re.fullmatch(r'([\d-]+[T ][\d:]+)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?', text.strip())
    try:
        whole = datetime.fromisoformat(match[1] if match else '')
    except ValueError:
        raise SourceError(f'stamp: expected a date and a time, got {text!r}') from None
    zone = (match[3] or 'Z').replace('Z', '+0000').replace(':', '') if match else '+0000'
    offset = int(zone[0] + '1') * (int(zone[1:3]) * 3600 + int(zone[3:5]) * 60)
    seconds = round(whole.replace(tzinfo=timezone.utc).timestamp()) - offset
    rest = ((match[2] if match else '') or '0')[:9].ljust(9, '0')
    return seconds * SECOND + int(rest)


def level_pose(
    x: float, y: float, z: float, yaw: float, base_camera: np.ndarray | None = None
) -> np.ndarray:
    """T_map_camera of a level body that looks along `yaw` (rad, counter-clockwise from x)."""
    base = pose_matrix((x, y, z), (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))
    return base @ (T_BASE_OPTICAL if base_camera is None else base_camera)


def euler_pose(
    xyz: Sequence[float], rpy: Sequence[float], base_camera: np.ndarray | None = None
) -> np.ndarray:
    """T_map_camera of a body with roll, pitch, yaw (rad, about fixed axes), looking along x."""
    base = pose_matrix(xyz, Rotation.from_euler('xyz', rpy).as_quat())
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


def utm_position(file: str) -> tuple[float, float]:
    """East and north in m of a name `@utm_east@utm_north@...@.jpg`."""
    fields = Path(file).name.split('@')
    if len(fields) >= 4 and is_number(fields[1]) and is_number(fields[2]):
        east, north = float(fields[1]), float(fields[2])
        if math.isfinite(east) and math.isfinite(north):
            return east, north
    raise SourceError(f'{file}: expected a name @utm_east@utm_north@...@.jpg')


def require_metres(files: Sequence[Path]) -> None:
    """SourceError where `@` names hold latitude and longitude instead of east and north."""
    fields = [file.name.split('@') for file in files]
    if are_degrees([(f[1], f[2]) for f in fields if len(f) >= 4]):
        raise SourceError(
            f'{files[0]}: expected a name @utm_east@utm_north@...@.jpg in metres, got what looks '
            'like latitude and longitude in degrees; convert them to UTM, or give a table'
        )


def utm_row(file: str, base_camera: np.ndarray | None = None) -> PoseRow:
    """What a name says: `@east@north@zone@letter@lat@lon@id@tile@heading@...@.jpg`."""
    east, north = utm_position(file)
    fields = Path(file).name.split('@')
    heading = fields[9] if len(fields) > 10 else ''
    oriented = is_number(heading) and math.isfinite(float(heading))
    yaw = math.radians(90.0 - float(heading)) if oriented else 0.0
    return PoseRow(file, None, level_pose(east, north, 0.0, yaw, base_camera), oriented)


def read_matrix(path: Path, base_camera: np.ndarray | None = None) -> np.ndarray:
    """(4, 4) T_map_camera from a text file with four rows (7-Scenes' `.pose.txt`)."""
    pose = matrix_or_lost(path, base_camera)
    if pose is None:
        raise SourceError(f'{path}: expected four rows of four numbers, got some not finite')
    return pose


def matrix_or_lost(path: Path, base_camera: np.ndarray | None = None) -> np.ndarray | None:
    """As read_matrix; None where the numbers are not finite: the tracker was lost."""
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise SourceError(f'{path}: expected four rows of four numbers; {error}') from error
    if values.shape != (4, 4):
        raise SourceError(f'{path}: expected four rows of four numbers, got shape {values.shape}')
    return rigid_pose(values, str(path), base_camera)


def rigid_pose(
    values: np.ndarray, where: str, base_camera: np.ndarray | None = None
) -> np.ndarray | None:
    """(4, 4) of a matrix (3, 4) or (4, 4); None where it is not finite or all 0: a lost frame."""
    pose = np.eye(4)
    pose[: len(values)] = values
    if not np.isfinite(pose).all() or not np.any(pose[:3]):
        return None
    turn = pose[:3, :3]
    rigid = np.allclose(turn @ turn.T, np.eye(3), atol=0.05) and np.linalg.det(turn) > 0
    if not rigid or not np.allclose(pose[3], (0, 0, 0, 1), atol=1e-6):
        raise SourceError(
            f'{where}: expected rows of a rotation and a position, last row 0 0 0 1; got '
            f'{np.array2string(pose.reshape(-1), precision=3, max_line_width=10**4)}; is it '
            'written column by column, scaled, or of something else?'
        )
    return pose if base_camera is None else pose @ base_camera


def read_text(path: Path) -> str:
    """The file's text; SourceError where it cannot be read."""
    try:
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'{path}: cannot be read as text ({error}); save it as UTF-8') from error
    if '\0' in text:  # csv of Python 3.10 refuses it, that of later ones takes it
        raise SourceError(f'{path}: expected text, got a zero byte; is it the right file?')
    return text


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
