# SPDX-License-Identifier: MIT
"""How one row of a table says where a camera was: metres or degrees, quaternion, matrix or angles.

What the whole table says is looked at first: the origin of latitudes, the unit of angles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math
from pathlib import Path

import numpy as np

from selavpr_model.data.formats.geo import are_degrees, on_earth, Origin
from selavpr_model.data.pose_columns import Columns, MATRIX, QUATERNION
from selavpr_model.data.pose_files import (
    date_ns,
    euler_pose,
    level_pose,
    quaternion_pose,
    rigid_pose,
    stamp_ns,
)
from selavpr_model.errors import SourceError
from selavpr_model.poses import inverse

FULL_TURN = 2 * math.pi + 1e-3
ZERO = 1e-9
DEGREES = ('yaw_deg', 'heading_deg', 'heading')
TILTS = ('roll', 'pitch', 'roll_deg', 'pitch_deg')
Cells = dict[str, str]


def numbers(cells: Sequence[str], where: str) -> list[float]:
    """Their values; an empty cell is not a number, but no error."""
    return [number(c, 'pose', where) for c in cells]


def number(text: str, column: str, where: str) -> float:
    try:
        return float(text or 'nan')
    except ValueError:
        kind = ' of decimal degrees' if column in ('latitude', 'longitude') else ''
        raise SourceError(f'{where}: {column}: expected a number{kind}, got {text!r}') from None


def stamp_of(text: str, where: str, unit: str = '') -> int:
    """Nanoseconds of a date or a number; unit: s, ms, us or ns, '' to tell it by its size."""
    try:
        return date_ns(text) if ':' in text and '-' in text else stamp_ns(text, unit)
    except SourceError as error:
        raise SourceError(f'{where}: {error}') from None


def of_quaternion(
    xyz: Sequence[float], quaternion: Sequence[float], where: str, base_camera: np.ndarray | None
) -> np.ndarray | None:
    """None for what trackers write of a lost frame: not finite, or no rotation at all."""
    values = (*xyz, *quaternion)
    if not all(map(math.isfinite, values)) or math.hypot(*quaternion) < ZERO:
        return None
    return quaternion_pose(values, where, base_camera)


Place = Callable[[Cells, str], list[float] | None]


def places(
    path: Path, columns: Columns, table: Sequence[tuple[str, Cells]]
) -> tuple[Place, Origin | None]:
    """How a row says where it is (None: not), and the origin of latitudes."""
    if 'm0' in columns.names:
        return (lambda cell, where: [0.0]), None
    if {'x', 'y'} <= set(columns.names):
        _refuse_degrees(path, columns, table)
        height = 'z' if 'z' in columns.names else 'altitude'

        def metric(cell: Cells, where: str) -> list[float] | None:
            values = [number(cell.get(n, '0'), n, where) for n in ('x', 'y', height)]
            return values if all(map(math.isfinite, values)) else None

        return metric, None
    fixes = [fix for where, cell in table if (fix := _fix(cell, where)) is not None]
    if not fixes:
        return (lambda cell, where: None), None
    origin = Origin(*fixes[0])

    def geographic(cell: Cells, where: str) -> list[float] | None:
        fix = _fix(cell, where)
        return None if fix is None else [float(v) for v in origin.enu(*fix)]

    return geographic, origin


def _fix(cell: Cells, where: str) -> tuple[float, float, float] | None:
    """Latitude, longitude, altitude; None without a fix."""
    latitude, longitude = (number(cell[n], n, where) for n in ('latitude', 'longitude'))
    altitude = number(cell.get('altitude', cell.get('z', '0')), 'altitude', where)
    if not math.isfinite(latitude) or not math.isfinite(longitude) or latitude == longitude == 0:
        return None
    if not on_earth(latitude, longitude):
        raise SourceError(
            f'{where}: expected latitude and longitude in degrees (-90 to 90, -180 to 180), got '
            f'{latitude:g}, {longitude:g}; are they swapped, or easting and northing in metres?'
        )
    return latitude, longitude, altitude if math.isfinite(altitude) else 0.0


def _refuse_degrees(path: Path, columns: Columns, table: Sequence[tuple[str, Cells]]) -> None:
    """SourceError where x, y are degrees on the earth by their range and spread."""
    if set(QUATERNION) & set(columns.names):
        return
    if are_degrees([(cell['x'], cell['y']) for _, cell in table]):
        raise SourceError(
            f'{path}: positions such as {table[0][1]["x"]}, {table[0][1]["y"]} look like latitude '
            'and longitude in degrees, not metres; name the columns latitude and longitude in a '
            'first line (or, if they are metres, write at most three decimals)'
        )


def pose_reader(
    path: Path,
    columns: Columns,
    table: Sequence[tuple[str, Cells]],
    base_camera: np.ndarray | None,
) -> Callable[[list[float], Cells, str], np.ndarray | None]:
    """How a row's position becomes a pose (None: lost), by what else there is."""
    names = set(columns.names)
    if 'm0' in names:
        count = sum(n in names for n in MATRIX)
        return lambda xyz, cell, where: rigid_pose(
            np.array(numbers([cell[n] for n in MATRIX[:count]], where)).reshape(-1, 4),
            where,
            base_camera,
        )
    if set(QUATERNION) <= names:
        return lambda xyz, cell, where: _turned(columns, xyz, cell, where, base_camera)
    yaw_of, in_degrees = _yaw_reader(path, columns, table), bool(names & set(DEGREES))

    def level(xyz: list[float], cell: Cells, where: str) -> np.ndarray | None:
        yaw = yaw_of(cell, where)
        if names & set(TILTS):
            rpy = (*(_tilt(cell, n, where, in_degrees) for n in ('roll', 'pitch')), yaw)
            return euler_pose(xyz, rpy, base_camera) if all(map(math.isfinite, rpy)) else None
        x, y, z = xyz
        return level_pose(x, y, z, yaw, base_camera) if math.isfinite(yaw) else None

    return level


def _tilt(cell: Cells, name: str, where: str, in_degrees: bool) -> float:
    """Roll or pitch in rad; 0 where the table has no such column."""
    value = number(cell.get(name, cell.get(f'{name}_deg', '0')), name, where)
    return math.radians(value) if in_degrees or f'{name}_deg' in cell else value


def _turned(
    columns: Columns, xyz: list[float], cell: Cells, where: str, base_camera: np.ndarray | None
) -> np.ndarray | None:
    """The pose of a row with a quaternion, turned round where it is the world's in the camera."""
    quaternion = [number(cell[q], q, where) for q in QUATERNION]
    seen_from = columns.world_to_camera or columns.centre
    pose = of_quaternion(xyz, quaternion, where, None if seen_from else base_camera)
    if pose is None or not seen_from:
        return pose
    back = inverse(pose)
    if columns.centre:
        back[:3, 3] = xyz
    return back if base_camera is None else back @ base_camera


def _yaw_reader(
    path: Path, columns: Columns, table: Sequence[tuple[str, Cells]]
) -> Callable[[Cells, str], float]:
    """How a row says its yaw in rad, counter-clockwise from x; SourceError where it cannot be."""
    angles = ('yaw_rad', 'yaw_deg', 'heading_deg', 'heading_rad', 'yaw', 'heading')
    name = next((n for n in angles if n in columns.names), '')
    if not name:
        return lambda cell, where: 0.0
    values = np.array([number(cell[name], name, where) for where, cell in table])
    largest = float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))
    turned = [n for n in ('roll', 'pitch') if n in columns.names]
    others = [number(cell[n], n, where) for where, cell in table for n in turned]
    largest = max([largest, *(abs(v) for v in others if math.isfinite(v))])
    if name == 'yaw' and largest > FULL_TURN:
        raise SourceError(
            f'{path}: yaw: expected radians, got up to {largest:g}; name the column yaw_deg if it '
            'is in degrees, yaw_rad if it counts whole turns'
        )
    if name == 'heading' and 0.0 < largest <= FULL_TURN:
        raise SourceError(
            f'{path}: heading: up to {largest:g} may be degrees or radians; name the column '
            'heading_deg or heading_rad (clockwise from north)'
        )
    degrees = name in DEGREES
    compass = name.startswith('heading')

    def yaw(cell: Cells, where: str) -> float:
        value = number(cell[name], name, where)
        value = math.radians(value) if degrees else value
        return math.pi / 2 - value if compass else value

    return yaw
