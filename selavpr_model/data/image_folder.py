# SPDX-License-Identifier: MIT
"""A folder of images as frames, with the poses that its layout or files beside them give.

How poses are read is written in pose_tables.py and layouts/sequences; how images, in decode.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
import logging
from pathlib import Path

import numpy as np

from selavpr_model.data import sequences
from selavpr_model.data.associate import counted, image_stamps, match_rows
from selavpr_model.data.decode import bits, read_rgb
from selavpr_model.data.listing import find_images, left_out
from selavpr_model.data.pose_columns import CAMBRIDGE
from selavpr_model.data.pose_files import PoseRow, require_metres, utm_row
from selavpr_model.data.pose_tables import By, looks_like_trajectory, PoseTable, read_table
from selavpr_model.data.sequence import ImageSequence, words_of
from selavpr_model.data.source_report import SourceReport
from selavpr_model.errors import SelaVPRError, SourceError
from selavpr_model.records import Camera, Frame, SECOND
from selavpr_model.runtime.shown import one_line

logger = logging.getLogger(__name__)

POSE_NAMES = ('poses', 'groundtruth', 'ground_truth', 'trajectory', 'gt')
"""A table with such a name beside the images is one of poses, damaged or not."""


class ImageFolder:
    """A sized iterable of Frame over the images of `path` (or of its usual sub-folders).

    poses: a table, here or in `path`; '' takes those of the layout, of a table in `path`, of
    `@utm@` names, then of EXIF; 'none' reads none. base_camera: T_base_camera, when the poses are
    those of a body. `report` says how many images and poses there are, and from what; `dropped`
    counts those that whoever reads them cannot use, by reason.
    Frames come in the order of their stamps, else in natural order of names, one second apart (by
    their numbers, where names are nothing else).
    """

    def __init__(
        self, path: Path | str, poses: Path | str = '', base_camera: np.ndarray | None = None
    ) -> None:
        self.path = Path(path)
        self.base_camera = np.eye(4) if base_camera is None else base_camera
        self.dropped: Counter[str] = Counter()
        self.images = open_images(self.path, str(poses), base_camera)
        self._order = _order(self.images.rows)
        self.files = [self.images.files[i] for i in self._order]
        self.rows = [self.images.rows[i] for i in self._order]
        self.pose_source = self.images.words
        self._as_stored = False
        self._warn()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Frame:
        row, (image, camera) = self.rows[index], self._image(index)
        name = self.files[index].name
        return Frame(self._stamp_ns(index), image, pose=row.pose, name=name, camera=camera)

    def __iter__(self) -> Iterator[Frame]:
        # map, not a generator: after a broken image the next one can still be asked for
        return map(self.__getitem__, range(len(self)))

    @property
    def has_poses(self) -> bool:
        return any(row.pose is not None for row in self.rows)

    @property
    def report(self) -> SourceReport:
        """What there is, less what was dropped."""
        return _report(self.images, self.dropped)

    def truth(self) -> dict[int, np.ndarray | None]:
        """stamp_ns of every image -> (4, 4) T_map_camera or None; decodes no image."""
        return {self._stamp_ns(i): row.pose for i, row in enumerate(self.rows)}

    def _stamp_ns(self, index: int) -> int:
        known = self.rows[index].stamp_ns
        return counted(self.files[index], index) * SECOND if known is None else known

    def _image(self, index: int) -> tuple[np.ndarray, Camera | None]:
        """The pixels, and the camera that took them: as stored where its calibration needs it."""
        row, file = self._order[index], self.files[index]
        camera = None if self.images.cameras is None else self.images.cameras[row]
        image = read_rgb(file) if self.images.read is None else self.images.read(row)
        if camera is None:
            return image, None
        if camera.size == (0, 0):  # the source does not say it
            camera = replace(camera, size=(image.shape[1], image.shape[0]))
        if camera.sees(image) and _same_way(camera, image):
            return image, camera
        stored = read_rgb(file, as_stored=True) if self.images.read is None else image
        if not camera.sees(stored):
            return image, None
        if not self._as_stored:
            logger.warning(
                '%s: EXIF says that it is turned, its calibration is for %d x %d pixels as '
                'stored: images are used as stored', file, *camera.size,
            )  # fmt: skip
        self._as_stored = True
        return stored, camera

    def _warn(self) -> None:
        missing = sum(row.pose is None for row in self.rows)
        if self.has_poses and missing:
            logger.warning('%s: %d of %d images have no pose', self.path, missing, len(self))
        if not all(row.oriented for row in self.rows if row.pose is not None):
            logger.warning('%s: poses without a heading: the camera is put along x', self.path)
        for why, count in self.images.left_out.items():
            logger.warning('%s: left out: %d %s', self.path, count, why)
        for note in self.images.notes:
            logger.warning('%s: %s', self.path, note)


def _same_way(camera: Camera, image: np.ndarray) -> bool:
    """Whether both are upright, or both are on their side."""
    return (camera.size[0] > camera.size[1]) == (image.shape[1] > image.shape[0])


def _order(rows: Sequence[PoseRow]) -> list[int]:
    order = list(range(len(rows)))
    if all(row.stamp_ns is not None for row in rows):
        order.sort(key=lambda i: rows[i].stamp_ns or 0)
    return order


def _report(images: ImageSequence, dropped: Counter[str]) -> SourceReport:
    return SourceReport(
        len(images.rows) - dropped.total(),
        sum(row.pose is not None for row in images.rows),
        images.words,
        sum(row.lost for row in images.rows),
        {**images.left_out, **dropped},
        images.notes,
        None if images.origin is None else images.origin.to_dict(),
    )


def open_images(path: Path, poses: str, base_camera: np.ndarray | None) -> ImageSequence:
    """The images of `path` with their poses; see ImageFolder for the order of the search.

    SourceError, whatever a damaged file has its reader raise.
    """
    try:
        return _opened(path, poses, base_camera)
    except SelaVPRError:
        raise
    except Exception as error:
        logger.debug('where it failed', exc_info=True)
        what = one_line(f'{type(error).__name__}: {error}', 300)
        raise SourceError(
            f'{path}: expected images with poses of a known layout, got {what}; a file there is '
            'damaged, or made by another program: see --log-level debug'
        ) from error


def _opened(path: Path, poses: str, base_camera: np.ndarray | None) -> ImageSequence:
    if not path.exists():
        raise SourceError(f'{path}: expected a folder of images, got nothing: it does not exist')
    if poses == '':
        images = sequences.open_sequence(path, base_camera)
        if images is not None:
            return _required(images, path)
    files, known = _files(path)
    if poses == 'none':
        return known if known is not None else _without(path, files)
    table = named_table(path, Path(poses)) if poses else None
    if table is not None:
        read = read_table(table, base_camera)
        rows = match_rows(files, read, path)
        return _required(_of_table(path, files, rows, read, known), path)
    return _found(path, files, base_camera)


def _files(path: Path) -> tuple[list[Path], ImageSequence | None]:
    """The images, and what the layout knows of them but their poses."""
    layout = sequences.layout_of(path)
    images = None
    if layout is not None:
        try:
            images = layout.load(path, np.eye(4))
        except SourceError:
            if not path.is_dir():
                raise
    if images is None:
        return find_images(path), None
    rows = [PoseRow(stamp_ns=row.stamp_ns) for row in images.rows]
    return images.files, replace(images, rows=rows, words='none', notes=(), origin=None)


def _of_table(
    path: Path, files: list[Path], rows: list[PoseRow], table: PoseTable,
    known: ImageSequence | None = None,
) -> ImageSequence:  # fmt: skip
    base = known or _without(path, files)
    _, times = image_stamps(files, path)
    notes = (*base.notes, *table.notes)
    if table.by is By.STAMP and times and times != 'their names':
        notes += (f'times of images from {times}',)
    if table.by is By.STAMP and not times:
        notes += ('names are no times: pose k is taken for image k',)
    return replace(base, rows=rows, words=words_of(table), notes=notes, origin=table.origin)


def _without(path: Path, files: list[Path]) -> ImageSequence:
    stamps, _ = image_stamps(files, path)
    rows = [PoseRow(file.name, stamp) for file, stamp in zip(files, stamps, strict=True)]
    notes: tuple[str, ...] = ()
    depth = bits(files[0])
    if depth > 8:
        notes = (f'images of {depth} bits: each is stretched from its 1st to 99th percentile',)
    return ImageSequence(files, rows, 'none', notes, left_out([files[0].parent]))


def _found(path: Path, files: list[Path], base_camera: np.ndarray | None) -> ImageSequence:
    """With the poses of the one table beside the images, of their names, or of their EXIF."""
    tables, others = find_tables(path)
    if len(tables) > 1:
        names = ', '.join(t.name for t in tables)
        raise SourceError(f'{path}: expected one file of poses, got {names}; name the right one')
    bare = _without(path, files)
    if tables:
        read = read_table(tables[0], base_camera)
        rows = match_rows(files, read, path)
        return _required(_of_table(path, files, rows, read), path)
    if all(file.name.startswith('@') for file in files):
        require_metres(files)
        rows = [utm_row(f.name, base_camera) for f in files]
        return replace(bare, rows=rows, words='@utm@ names')
    if path.is_dir() and sequences.LAST.fits(path):
        return sequences.LAST.load(path, base_camera)
    return replace(bare, notes=bare.notes + tuple(others))


def _required(images: ImageSequence, path: Path) -> ImageSequence:
    """The images; SourceError where a source of poses gave none."""
    if images.words != 'none' and not any(row.pose is not None for row in images.rows):
        lost = sum(row.lost for row in images.rows)
        why = f'of {lost} the tracker was lost' if lost else 'none belongs to an image'
        raise SourceError(
            f'{path}: expected poses from {images.words}, got none for {len(images.rows)} images: '
            f'{why}; give another file, or --poses none to go without'
        )
    return images


def named_table(path: Path, name: Path) -> Path:
    """The file of poses of this name, here or else in `path`."""
    places = (name, path / name)
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        raise SourceError(
            f'{name}: expected a file of poses here or in {path}, got none; give its whole path'
        )
    return table


def find_tables(path: Path) -> tuple[list[Path], list[str]]:
    """(CSV files, or else trajectories, in `path` that hold poses; what is said of the others)."""
    tables, others = [], []
    for table in (p for p in sorted(path.glob('*.csv')) if p.is_file()):
        why = '' if table.stem.lower() in POSE_NAMES else _no_poses(table)
        if why:
            others.append(f'{table.name} beside the images is not used for poses: {why}')
        else:
            tables.append(table)
    if not tables:
        texts = [
            p
            for p in sorted(path.glob('*.t[xu][tm]'))
            if p.is_file() and not p.name.endswith('.pose.txt')
        ]
        tables = [p for p in texts if looks_like_trajectory(p) or _is_cambridge(p)]
    return tables, others


def _no_poses(table: Path) -> str:
    """Why a table is none of poses, '' where it is one, damaged or not."""
    try:
        read_table(table, np.eye(4))
    except SourceError as error:
        text = str(error)
        return text.removeprefix(f'{table}: ') if 'rename them' in text else ''
    return ''


def _is_cambridge(path: Path) -> bool:
    with path.open('rb') as file:
        return CAMBRIDGE.encode() in file.read(200).lower()
