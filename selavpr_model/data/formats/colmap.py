# SPDX-License-Identifier: MIT
"""COLMAP's models, text and binary: poses and cameras of images.

COLMAP's poses are world-to-camera; they come out as T_map_camera. Points are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import struct

import numpy as np

from selavpr_model.data.pose_files import is_number, PoseRow, quaternion_pose, read_text
from selavpr_model.errors import SourceError
from selavpr_model.poses import inverse
from selavpr_model.records import Camera

MODELS = {  # id -> name, number of parameters
    0: ('SIMPLE_PINHOLE', 3), 1: ('PINHOLE', 4), 2: ('SIMPLE_RADIAL', 4), 3: ('RADIAL', 5),
    4: ('OPENCV', 8), 5: ('OPENCV_FISHEYE', 8), 6: ('FULL_OPENCV', 12), 7: ('FOV', 5),
    8: ('SIMPLE_RADIAL_FISHEYE', 4), 9: ('RADIAL_FISHEYE', 5), 10: ('THIN_PRISM_FISHEYE', 12),
}  # fmt: skip
ONE_FOCAL = (
    'SIMPLE_PINHOLE',
    'SIMPLE_RADIAL',
    'RADIAL',
    'SIMPLE_RADIAL_FISHEYE',
    'RADIAL_FISHEYE',
)
FISHEYE = ('OPENCV_FISHEYE', 'SIMPLE_RADIAL_FISHEYE', 'RADIAL_FISHEYE')


@dataclass(frozen=True, slots=True, eq=False)
class ColmapImage:
    """name: the path in the folder of images; row: its pose, T_map_camera."""

    name: str
    camera_id: int
    row: PoseRow


def world_to_camera(
    quaternion: tuple[float, ...], translation: tuple[float, ...], where: str,
    base_camera: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """T_map_camera of qw, qx, qy, qz and t, p_camera = R p_world + t."""
    w, x, y, z = quaternion
    pose = inverse(quaternion_pose((*translation, x, y, z, w), where))
    return pose if base_camera is None else pose @ base_camera


def is_images_text(path: Path) -> bool:
    """Whether a text file is COLMAP's images.txt: lines of ten cells, and points between them."""
    if path.name == 'images.txt':
        return True
    return '#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME' in read_text(path)[:2000]


def read_images(path: Path, base_camera: np.ndarray | None = None) -> list[ColmapImage]:
    """The images of images.txt or images.bin; SourceError where it is damaged."""
    records = _binary_images(path) if path.suffix == '.bin' else _text_images(path)
    images, seen = [], set()
    for name, camera_id, values, where in records:
        if name in seen:
            raise SourceError(f'{path}: expected each image once, got {name!r} twice')
        seen.add(name)
        finite = np.isfinite(values).all()
        pose = world_to_camera(values[:4], values[4:], where, base_camera) if finite else None
        images.append(ColmapImage(name, camera_id, PoseRow(name, None, pose, lost=pose is None)))
    if not images:
        raise SourceError(f'{path}: expected images with poses, got none; is the model empty?')
    return images


Record = tuple[str, int, tuple[float, ...], str]


def _text_images(path: Path) -> Iterator[Record]:
    """Every image line; the line after it holds points and may be empty."""
    lines = enumerate(read_text(path).splitlines(), 1)
    for number, line in lines:
        if not line.strip() or line.startswith('#'):
            continue
        cells = line.split(maxsplit=9)
        if len(cells) < 10 or not all(map(is_number, cells[:9])) or not cells[8].isdecimal():
            raise SourceError(
                f'{path}:{number}: expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME and a '
                f'line of points after it, got {line[:60]!r}'
            )
        values = tuple(map(float, cells[1:8]))
        yield cells[9].strip(), int(cells[8]), values, f'{path}:{number}'
        next(lines, None)


def _binary_images(path: Path) -> Iterator[Record]:
    data = path.read_bytes()
    try:
        (count,), at = struct.unpack_from('<Q', data), 8
        for _ in range(count):
            _, *values, camera_id = struct.unpack_from('<I7dI', data, at)
            end = data.index(b'\0', at + 64)
            name = data[at + 64 : end].decode('utf-8')
            (points,) = struct.unpack_from('<Q', data, end + 1)
            at = end + 9 + 24 * points
            if at > len(data):
                raise ValueError('it ends within the points')
            yield name, camera_id, tuple(values), f'{path}: {name}'
    except (struct.error, ValueError) as error:
        raise SourceError(
            f'{path}: expected a whole images.bin of COLMAP, got {len(data)} bytes ({error}); '
            'export the model again, or as text'
        ) from error


def read_cameras(folder: Path) -> dict[int, Camera]:
    """id -> camera of cameras.bin or cameras.txt; models that OpenCV lacks are left out."""
    binary, text = folder / 'cameras.bin', folder / 'cameras.txt'
    cameras = _binary_cameras(binary) if binary.is_file() else _text_cameras(text)
    return {i: camera for i, camera in cameras if camera is not None}


def _text_cameras(path: Path) -> Iterator[tuple[int, Camera | None]]:
    lines = read_text(path).splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        cells = line.split()
        if not cells or cells[0].startswith('#'):
            continue
        try:
            values = [float(c) for c in cells[4:]]
            size = int(cells[2]), int(cells[3])
            yield int(cells[0]), _camera(cells[1], size, values)
        except (ValueError, IndexError) as error:
            raise SourceError(
                f'{path}:{number}: expected CAMERA_ID MODEL WIDTH HEIGHT and parameters, got '
                f'{line[:60]!r}'
            ) from error


def _binary_cameras(path: Path) -> Iterator[tuple[int, Camera | None]]:
    data = path.read_bytes()
    try:
        (count,), at = struct.unpack_from('<Q', data), 8
        for _ in range(count):
            camera_id, model, width, height = struct.unpack_from('<IiQQ', data, at)
            name, parameters = MODELS[model]
            values = list(struct.unpack_from(f'<{parameters}d', data, at + 24))
            at += 24 + 8 * parameters
            yield camera_id, _camera(name, (width, height), values)
    except (struct.error, KeyError, IndexError) as error:
        raise SourceError(
            f'{path}: expected a whole cameras.bin of COLMAP, got {len(data)} bytes; export the '
            'model again, or as text'
        ) from error


def _camera(model: str, size: tuple[int, int], values: list[float]) -> Camera | None:
    """As OpenCV has it; None for FOV, thin prisms and models newer than these."""
    if model in ONE_FOCAL:
        (fx, cx, cy), rest = values[:3], values[3:]
        fy = fx
    elif model in ('PINHOLE', 'OPENCV', 'OPENCV_FISHEYE', 'FULL_OPENCV'):
        (fx, fy, cx, cy), rest = values[:4], values[4:]
    else:
        return None
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    if not np.isfinite(values).all() or fx <= 0 or fy <= 0 or min(size) <= 0:
        return None
    fisheye = model in FISHEYE
    length = 4 if fisheye else 8 if model == 'FULL_OPENCV' else 5
    distortion = np.zeros(length)
    distortion[: len(rest)] = rest
    name = 'equidistant' if fisheye else 'rational_polynomial' if length == 8 else 'plumb_bob'
    return Camera(K, distortion, size, name)
