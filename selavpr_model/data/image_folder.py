# SPDX-License-Identifier: MIT
"""A folder of images as frames, with the poses that files beside them give.

How poses are read and converted is written in pose_files.py. EXIF is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
import logging
from pathlib import Path
import re

import cv2
import numpy as np

from selavpr_model.data import pose_files
from selavpr_model.data.pose_files import PoseRow
from selavpr_model.errors import InputError, SourceError
from selavpr_model.poses import PoseTrack
from selavpr_model.records import Frame
from selavpr_model.runtime.image_size import is_decodable

logger = logging.getLogger(__name__)

SUFFIXES = ('.jpg', '.jpeg', '.png')
IMAGE_FOLDERS = ('', 'images', 'frames', 'rgb')
STAMP_GAP_NS = 20_000_000
"""As TUM's associate.py: an image and a pose further apart do not belong together."""


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts image_2 before image_10; names equal but for zeros stay ordered."""
    parts = re.split(r'(\d+)', name)
    # digits are matched by \d also outside ASCII, and int() reads those as well
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], name


def list_images(folder: Path, recursive: bool = False) -> list[Path]:
    """The images of a folder in natural order of their names; depth maps are left out."""
    paths = folder.rglob('*') if recursive else folder.glob('*')
    names = {p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith('.')}
    images = (p for p in names if not p.stem.endswith('.depth') and p.is_file())
    return sorted(images, key=lambda p: natural_key(p.relative_to(folder).as_posix()))


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB as stored; InputError where there is no whole image.

    The size is looked at before anything is decoded: a small file may claim a billion pixels.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(data, flags) if is_decodable(data.data) else None
    except InputError as error:
        raise InputError(f'{path}: {error}') from error
    except (cv2.error, MemoryError):
        image = None
    if image is None:
        raise InputError(
            f'{path}: expected a whole jpg or png, got {len(data)} bytes that are not'
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


class ImageFolder:
    """A sized iterable of Frame over the images of `path` (or its images/, frames/ or rgb/).

    poses: a CSV or TUM file, here or in `path`; '' looks for one in `path`, then at `@utm@` names
    and `.pose.txt` files; 'none' reads none. base_camera: T_base_camera, when the poses are those
    of a body.
    Frames come in the order of their stamps, else in natural order of names, one second apart.
    """

    def __init__(
        self, path: Path | str, poses: Path | str = '', base_camera: np.ndarray | None = None
    ) -> None:
        self.path = Path(path)
        self.files = find_images(self.path)
        self.pose_source, rows = find_poses(self.path, self.files, poses, base_camera)
        self.rows = match_rows(self.files, rows, self.pose_source)
        self._sort()
        self._warn()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Frame:
        file, row = self.files[index], self.rows[index]
        stamp = row.stamp_ns if row.stamp_ns is not None else index * 10**9
        return Frame(stamp, read_rgb(file), pose=row.pose, name=file.name)

    def __iter__(self) -> Iterator[Frame]:
        # map, not a generator: after a broken image the next one can still be asked for
        return map(self.__getitem__, range(len(self)))

    @property
    def has_poses(self) -> bool:
        return any(row.pose is not None for row in self.rows)

    def _sort(self) -> None:
        if all(row.stamp_ns is not None for row in self.rows):
            order = sorted(range(len(self)), key=lambda i: self.rows[i].stamp_ns or 0)
            self.files = [self.files[i] for i in order]
            self.rows = [self.rows[i] for i in order]

    def _warn(self) -> None:
        missing = sum(row.pose is None for row in self.rows)
        if self.has_poses and missing:
            logger.warning('%s: %d of %d images have no pose', self.path, missing, len(self))
        if not all(row.oriented for row in self.rows):
            logger.warning('%s: poses without a heading: the camera is put along x', self.path)


def find_images(path: Path) -> list[Path]:
    """The images of `path`, or of the first of its usual sub-folders that has any."""
    if not path.is_dir():
        got = 'a file' if path.exists() else 'nothing: it does not exist'
        raise SourceError(f'{path}: expected a folder of images, got {got}')
    for name in IMAGE_FOLDERS:
        files = list_images(path / name) if (path / name).is_dir() else []
        if files:
            return files
    kinds, places = ', '.join(SUFFIXES), ', '.join(f'{n}/' for n in IMAGE_FOLDERS[1:])
    raise SourceError(f'{path}: expected images ({kinds}) in it or in its {places}; got none')


def find_poses(
    path: Path, files: Sequence[Path], poses: Path | str, base_camera: np.ndarray | None
) -> tuple[str, list[PoseRow]]:
    """(name of the source, its rows); see ImageFolder for the order of the search."""
    if str(poses) == 'none':
        return 'none', []
    table = named_table(path, Path(poses)) if str(poses) else find_table(path)
    if table:
        is_csv = table.suffix.lower() == '.csv' or not pose_files.looks_like_tum(table)
        read = pose_files.read_csv if is_csv else pose_files.read_tum
        return table.name, read(table, base_camera)
    if all(file.name.startswith('@') for file in files):
        return '@utm@ names', [pose_files.utm_row(f.name, base_camera) for f in files]
    matrices = [file.with_suffix('.pose.txt') for file in files]
    if any(matrix.is_file() for matrix in matrices):
        rows = [
            PoseRow(file.name, None, pose_files.read_matrix(matrix, base_camera))
            for file, matrix in zip(files, matrices, strict=True)
            if matrix.is_file()
        ]
        return '.pose.txt files', rows
    return 'none', []


def named_table(path: Path, name: Path) -> Path:
    """The file of poses of this name, here or else in `path`."""
    places = (name, path / name)
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        raise SourceError(
            f'{name}: expected a file of poses here or in {path}, got none; give its whole path'
        )
    return table


def find_table(path: Path) -> Path | None:
    """The one CSV (or else TUM trajectory) in `path`; SourceError names them if there are more."""
    tables = sorted(path.glob('*.csv'))
    if not tables:
        texts = [p for p in sorted(path.glob('*.t[xu][tm]')) if not p.name.endswith('.pose.txt')]
        tables = [p for p in texts if pose_files.looks_like_tum(p)]
    if len(tables) > 1:
        names = ', '.join(t.name for t in tables)
        raise SourceError(f'{path}: expected one file of poses, got {names}; name the right one')
    return tables[0] if tables else None


def match_rows(files: Sequence[Path], rows: Sequence[PoseRow], source: str) -> list[PoseRow]:
    """The row of each file, by name or else by the stamp in its name; an empty row for none."""
    by_name = all(row.file for row in rows)
    matched = _by_name(files, rows, source) if by_name else _by_stamp(files, rows)
    if rows and not any(matched):
        example = rows[0].file or f'{rows[0].stamp_ns} ns'
        raise SourceError(
            f'{files[0].parent}: expected images that {source} names; it has {example!r} and '
            f'{len(rows) - 1} more, the images are {files[0].name!r} and {len(files) - 1} more'
        )
    return [_with_stamp(file, row) for file, row in zip(files, matched, strict=True)]


def _with_stamp(file: Path, row: PoseRow | None) -> PoseRow:
    row = row or PoseRow(file.name)
    return replace(row, stamp_ns=name_stamp(file)) if row.stamp_ns is None else row


def _by_name(files: Sequence[Path], rows: Sequence[PoseRow], source: str) -> list[PoseRow | None]:
    by_name: dict[str, PoseRow] = {}
    for row in rows:
        if by_name.setdefault(Path(row.file).name, row) is not row:
            raise SourceError(f'{source}: expected each image once, got {row.file!r} twice')
    return [by_name.get(file.name) or by_name.get(file.stem) for file in files]


def _by_stamp(files: Sequence[Path], rows: Sequence[PoseRow]) -> list[PoseRow | None]:
    """The pose at the time in each name, with a sample at most STAMP_GAP_NS away."""
    samples = [(row.stamp_ns, row.pose) for row in rows if row.pose is not None]
    track = PoseTrack([stamp or 0 for stamp, _ in samples], [pose for _, pose in samples])
    stamps = [name_stamp(file) for file in files]
    poses = [None if s is None else track.at(s, STAMP_GAP_NS) for s in stamps]
    return [None if pose is None else PoseRow(pose=pose) for pose in poses]


def name_stamp(file: Path) -> int | None:
    """The time in a name that is nothing but a number, as `1305031102.175304.png`, in ns."""
    is_stamp = re.fullmatch(r'\d{1,19}(\.\d+)?', file.stem)
    return pose_files.stamp_ns(file.stem) if is_stamp else None
