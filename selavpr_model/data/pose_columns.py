# SPDX-License-Identifier: MIT
"""What the columns of a table of poses mean, by header or by their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math
from pathlib import Path
import re

from selavpr_model.data.pose_files import is_number
from selavpr_model.errors import SourceError

TIME_UNITS = ('s', 'ms', 'us', 'ns')
NO_METRES = ('mm', 'cm', 'dm', 'km', 'ft', 'feet', 'inch', 'inches', 'miles', 'px', 'pixels')
ALIASES = {
    'file': 'file filename file_name image imagefile image_name image_path name path img frame '
    'key sourcefile',
    'stamp': 'stamp timestamp time t utime header.stamp '
    + ' '.join(f'{n}_{u}' for n in ('stamp', 'timestamp', 'time', 't') for u in TIME_UNITS),
    'x': 'x tx px p_x pos_x position_x position.x east easting utm_east utm_x x_m p_rs_r_x',
    'y': 'y ty py p_y pos_y position_y position.y north northing utm_north utm_y y_m p_rs_r_y',
    'z': 'z tz pz p_z pos_z position_z position.z up z_m p_rs_r_z',
    'latitude': 'latitude lat gps_lat gps_latitude gpslatitude lat_deg latitude_deg',
    'longitude': 'longitude lon lng long gps_lon gps_lng gps_longitude gpslongitude lon_deg '
    'longitude_deg',
    'altitude': 'altitude alt height elevation ele gps_alt gps_altitude gpsaltitude altitude_m',
    'roll': 'roll roll_rad',
    'roll_deg': 'roll_deg',
    'pitch_deg': 'pitch_deg',
    'pitch': 'pitch pitch_rad',
    'yaw': 'yaw theta',
    'yaw_rad': 'yaw_rad theta_rad',
    'yaw_deg': 'yaw_deg theta_deg yaw_degrees',
    'heading': 'heading compass compass_heading compass_angle bearing azimuth gps_heading '
    'course ca',
    'heading_deg': 'heading_deg compass_deg bearing_deg azimuth_deg gpsimgdirection '
    'gimbalyawdegree',
    'heading_rad': 'heading_rad compass_rad bearing_rad azimuth_rad',
    'qx': 'qx q_x quat_x orientation_x orientation.x q_rs_x rot_x rotation_x',
    'qy': 'qy q_y quat_y orientation_y orientation.y q_rs_y rot_y rotation_y',
    'qz': 'qz q_z quat_z orientation_z orientation.z q_rs_z rot_z rotation_z',
    'qw': 'qw q_w quat_w orientation_w orientation.w q_rs_w rot_w rotation_w',
    'device': 'device_id sensor_id',
    'image_id': 'image_id',
    'camera_id': 'camera_id',
}
COLUMN_OF = {alias: name for name, aliases in ALIASES.items() for alias in aliases.split()}
QUATERNION = ('qx', 'qy', 'qz', 'qw')
ONCE = {'x', 'y', 'z', 'latitude', 'longitude', 'roll', 'pitch', *QUATERNION}
"""What two columns of a table must not both be."""
EXPECTED = 'file or stamp, x, y [, z] (or latitude, longitude) and yaw, heading or qx, qy, qz, qw'
CAMBRIDGE = 'camera position [x y z w p q r]'
WITHOUT_HEADER = {
    3: ('file', 'x', 'y'),
    4: ('file', 'x', 'y', 'yaw'),
    5: ('file', 'x', 'y', 'z', 'yaw'),
}
XYZ = ('x', 'y', 'z')
DECIMAL_COMMAS = re.compile(r'^["\s]*-?\d+,\d+[\s;]+-?\d+,\d+')
MATRIX = tuple(f'm{i}' for i in range(16))


@dataclass(frozen=True, slots=True)
class Columns:
    """names: ours of each column, '' for others; words: what they are taken to be.

    world_to_camera: quaternion and position are the camera's view of the world. centre: only the
    rotation is. body: whose poses these are known to be, where not the camera's. header: whether
    the first line with content is one. time_unit: of TIME_UNITS, '' where the header does not say.
    """

    names: tuple[str, ...]
    words: str
    header: bool = True
    world_to_camera: bool = False
    centre: bool = False
    body: str = ''
    time_unit: str = ''

    @property
    def has_orientation(self) -> bool:
        angles = {'yaw', 'yaw_rad', 'yaw_deg', 'heading', 'heading_deg', 'heading_rad', 'qw', 'm0'}
        return bool(angles & set(self.names))


def columns_of(path: Path, comments: Sequence[str], first: Sequence[str]) -> Columns:
    """What a table has: said by its comments, its first line, or the number of its columns."""
    if any(CAMBRIDGE in c.lower() for c in comments):
        names = ('file', *XYZ, 'qw', 'qx', 'qy', 'qz')
        return Columns(names, 'Cambridge Landmarks', False, centre=True)
    cells = header_among(path, comments)
    if cells:
        return _said(path, cells, header=False)
    if all(is_number(c) for c in first[1:]):
        return _without_header(path, first)
    if DECIMAL_COMMAS.search(','.join(first)):
        raise SourceError(
            f'{path}: expected numbers with decimal points, got commas in '
            f'{",".join(first)[:80]!r}; write 1.5, not 1,5'
        )
    for cell in first:
        _refuse_unit(path, cell)
    named = _named(path, first)
    if not _holds_poses(named):
        got = ', '.join(c.strip(' #"') for c in first)
        raise SourceError(f'{path}: expected columns {EXPECTED}; got {got}; rename them')
    return _said(path, first, header=True)


def _said(path: Path, cells: Sequence[str], header: bool) -> Columns:
    """What a header means."""
    for cell in cells:
        _refuse_unit(path, cell)
    columns = _convention(path, _named(path, cells), cells, header)
    units = [_unit(cell) for cell in cells if _name(cell) == 'stamp']
    known = [unit for unit in units if unit in TIME_UNITS]
    return replace(columns, time_unit=known[0] if known else '')


def _refuse_unit(path: Path, cell: str) -> None:
    """SourceError where positions are not in metres, or latitudes not in degrees."""
    unit = _unit(cell)
    name = COLUMN_OF.get(_plain(cell).removesuffix(f'_{unit}'), '')
    if name in ('x', 'y', 'z', 'altitude') and unit in NO_METRES:
        raise SourceError(
            f'{path}: expected positions in metres, got {cell.strip()!r}; convert the column and '
            f'call it {name}'
        )
    if name in ('latitude', 'longitude') and unit in ('rad', 'radians'):
        raise SourceError(
            f'{path}: expected {name} in degrees, got {cell.strip()!r}; convert the column'
        )


def _unit(cell: str) -> str:
    """`ms` of `time [ms]`, `time (ms)` and `time_ms`; '' where none is said."""
    text = cell.strip(' #"\'').lower()
    inside = re.search(r'[\[(]\s*([a-z]+)', text)
    behind = re.search(r'_([a-z]+)$', text)
    return inside[1] if inside else behind[1] if behind else ''


def _plain(cell: str) -> str:
    """A column's name without its unit in brackets."""
    text = re.sub(r'[\[(].*$', '', cell.strip(' #"\'').lower())
    name = text.strip(' _%').replace(' ', '_').replace('-', '_')
    return re.sub(r'^(field\.)?(pose\.)*', '', name)  # of rostopic echo -p


def header_among(path: Path, comments: Sequence[str]) -> list[str]:
    """The cells of the last comment that names the columns of poses; [] for none."""
    for comment in reversed(comments):
        cells = split_header(comment)
        if _holds_poses(_named(path, cells)):
            return cells
    return []


def split_header(line: str) -> list[str]:
    """The cells of a header that may be a comment; units in brackets belong to their column."""
    text = line.strip().lstrip('#').strip()
    for mark in ',;\t':
        if mark in text:
            return [cell.strip() for cell in text.split(mark)]
    return re.sub(r'\s+(?=[\[(])', '', text).split()


def _named(path: Path, cells: Sequence[str]) -> list[str]:
    """Our name of each column; SourceError where two mean the same."""
    names: list[str] = []
    for cell in cells:
        name = _name(cell)
        if name in names and name in ONCE:
            raise SourceError(
                f'{path}: expected one column of {name}, got {", ".join(cells)}; '
                'rename the one that is not meant'
            )
        names.append('' if name in names else name)
    return names


def _name(cell: str) -> str:
    text = cell.strip(' #"\'').lower()
    unit = re.search(r'[\[(]\s*(\w*).*$', text)
    known = COLUMN_OF.get(_plain(cell), '')
    if unit and known in ('roll', 'pitch') and unit.group(1).startswith('deg'):
        return f'{known}_deg'
    if unit and known in ('yaw', 'heading'):
        kind = unit.group(1)[:3]
        return f'{known}_{kind}' if kind in ('rad', 'deg') else known
    return known


def _holds_poses(names: Sequence[str]) -> bool:
    """Whether these are columns of poses: of what and where."""
    there = set(names)
    where = {'x', 'y'} <= there or {'latitude', 'longitude'} <= there
    return where and bool({'file', 'stamp'} & there)


def _convention(path: Path, names: list[str], cells: Sequence[str], header: bool) -> Columns:
    there, text = set(names), ' '.join(cells).lower()
    partly = set(QUATERNION) & there
    if partly and partly != set(QUATERNION):
        missing = ', '.join(q for q in QUATERNION if q not in there)
        raise SourceError(
            f'{path}: expected qx, qy, qz and qw, got no {missing}; is a column named otherwise?'
        )
    if 'device' in there and partly and 'stamp' in there:
        return Columns(tuple(names), 'kapture, world-to-camera', header, world_to_camera=True)
    if {'image_id', 'camera_id'} <= there and partly:
        return Columns(tuple(names), 'COLMAP, world-to-camera', header, world_to_camera=True)
    raw = [re.split(r'[\[(]', cell)[0].strip(' #"').lower() for cell in cells]
    if 'qw' in names and 'tx' in raw and names.index('qw') < names.index('x'):
        raise SourceError(
            f'{path}: a quaternion before tx, ty, tz is the order of COLMAP, whose poses are '
            'world-to-camera; name the columns x, y, z where they are the camera in the world, or '
            'add IMAGE_ID and CAMERA_ID where it is the other way round'
        )
    if 'p_rs_r' in text:
        return Columns(tuple(names), 'EuRoC', header, body='the IMU (R_S)')
    return Columns(tuple(names), 'columns by their names', header)


def _without_header(path: Path, first: Sequence[str]) -> Columns:
    count, numeric = len(first), is_number(first[0])
    if count in (13, 17) and not numeric:
        return Columns(('file', *MATRIX[: count - 1]), 'name and matrix', False)
    if count in WITHOUT_HEADER:
        words = f'{" ".join(WITHOUT_HEADER[count])} without a header'
        return Columns(WITHOUT_HEADER[count], words, False)
    if count == 8 and not numeric and _is_unit(first[1:5]) and not _is_unit(first[4:8]):
        names = ('file', 'qw', 'qx', 'qy', 'qz', *XYZ)
        return Columns(names, 'hloc, name qw qx qy qz tx ty tz, world-to-camera', False, True)
    if count == 8:
        key = 'stamp' if numeric else 'file'
        raise SourceError(
            f'{path}: 8 columns without a header: the order of the quaternion cannot be known; '
            f'expected a first line such as "{key} x y z qx qy qz qw" or '
            f'"{key} x y z qw qx qy qz" '
            '(of Cambridge Landmarks: "ImageFile, Camera Position [X Y Z W P Q R]"); add it'
        )
    raise SourceError(
        f'{path}: expected a header with {EXPECTED}; got {count} columns without one; add a first '
        'line with their names'
    )


def _is_unit(cells: Sequence[str]) -> bool:
    return abs(math.hypot(*map(float, cells)) - 1.0) < 1e-3
