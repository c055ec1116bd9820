# SPDX-License-Identifier: MIT
"""Retrieval data sets: query images, reference images, and which of them show one place.

Every layout comes down to the same thing: each image has a position (metres, or the index of a
frame) and a group, and two images show one place when they are of one group and at most `radius`
apart. A new layout is a function path, options -> RetrievalSet in LAYOUTS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
from dataclasses import dataclass
import logging
from pathlib import Path
import re

import numpy as np
from scipy.spatial import cKDTree

from selavpr_model import pose_files
from selavpr_model.config import EvaluationConfig
from selavpr_model.errors import ConfigError, SourceError
from selavpr_model.sources import list_images, natural_key

logger = logging.getLogger(__name__)

SPLITS = ('test', 'val', 'train')
ROUNDING = 1e-6
"""Added to a radius: positions are decimals, and `up to` includes what is exactly as far."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Files with positions (N, d) float64 and groups (N,) int64."""

    files: tuple[Path, ...]
    positions: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Sequence[int] | np.ndarray) -> ImageSet:
        files = tuple(self.files[i] for i in rows)
        return ImageSet(files, self.positions[rows], self.groups[rows])


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalSet:
    """What is asked and what may be answered; `protocol` says in words how they were chosen."""

    name: str
    protocol: str
    queries: ImageSet
    references: ImageSet
    radius: float

    def positives(self, radius: float | None = None) -> list[np.ndarray]:
        """For each query the rows (n,) int64, rising, of the references that show its place."""
        return near(self.queries, self.references, self.radius if radius is None else radius)


def near(queries: ImageSet, references: ImageSet, radius: float) -> list[np.ndarray]:
    """For each query the rising rows (n,) int64 of its group's references up to `radius` away."""
    found = [np.empty(0, np.int64)] * len(queries)
    for group in np.unique(queries.groups):
        asked = np.flatnonzero(queries.groups == group)
        rows = np.flatnonzero(references.groups == group)
        if not len(rows):
            continue
        tree = cKDTree(references.positions[rows])
        hits = tree.query_ball_point(queries.positions[asked], radius + ROUNDING)
        for query, hit in zip(asked, hits, strict=True):
            found[query] = rows[np.sort(np.asarray(hit, np.int64))]
    return found


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked of a data set.

    tolerance: None is the layout's own, else in its unit (m or frames); split: '' is the first of
    test, val, train that is there; floors: values of the floor column, empty for all;
    query_slice: which of the queries in their order, None for all.
    """

    tolerance: float | None = None
    split: str = ''
    floors: tuple[str, ...] = ()
    query_slice: slice | None = None


def open_dataset(
    path: Path | str,
    tolerance: float | None = None,
    *,
    split: str = '',
    floors: Sequence[str] = (),
    query_slice: slice | None = None,
    config: EvaluationConfig | None = None,
) -> RetrievalSet:
    """The data set in a folder, whatever its layout; SourceError when it has none of them.

    tolerance: None is the layout's own, else in its unit (m for positions, frames for indices).
    """
    path = Path(path).resolve()  # for its name
    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f'tolerance: expected 0 or more frames or m, got {tolerance}')
    selection = Selection(tolerance, split, tuple(floors), query_slice)
    for fits, load in LAYOUTS.values():
        if path.is_dir() and fits(path):
            return _checked(load(path, selection, config or EvaluationConfig()), selection)
    kinds = '; '.join(LAYOUTS)
    got = ', '.join(sorted(p.name for p in path.iterdir())[:8]) if path.is_dir() else 'no folder'
    raise SourceError(f'{path}: expected one of: {kinds}; got {got or "an empty folder"}')


def _checked(data: RetrievalSet, selection: Selection) -> RetrievalSet:
    """The data set with the chosen queries; SourceError when none is left."""
    queries, protocol = data.queries, data.protocol
    if selection.query_slice is not None:
        rows = np.arange(len(queries))[selection.query_slice]
        queries = queries.take(rows)
        protocol += f'; queries {_words(selection.query_slice)} of {len(data.queries)}'
    for images, what in ((queries, 'queries'), (data.references, 'references')):
        if not len(images):
            raise SourceError(f'{data.name}: expected {what}, got none; protocol: {protocol}')
    return RetrievalSet(data.name, protocol, queries, data.references, data.radius)


def _words(part: slice) -> str:
    return f'{"" if part.start is None else part.start}:{"" if part.stop is None else part.stop}'


def parse_slice(text: str) -> slice:
    """`330:`, `:100` or `10:20` as a slice; SourceError for anything else."""
    found = re.fullmatch(r'(-?\d+)?:(-?\d+)?', text)
    if not found:
        raise SourceError(f'queries: expected START:STOP such as 330: or :100, got {text!r}')
    return slice(*(int(part) if part else None for part in found.groups()))


# Layout 1: `@utm@` names


def _utm_folders(path: Path, split: str) -> tuple[Path, Path] | None:
    """(database, queries) of a split, or with split '' those in `path` itself."""
    for folder in (path / 'images' / split, path / split):
        if (folder / 'database').is_dir() and (folder / 'queries').is_dir():
            return folder / 'database', folder / 'queries'
    return None


def _has_utm(path: Path) -> bool:
    return any(_utm_folders(path, split) for split in ('', *SPLITS))


def _load_utm(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    there = [split for split in ('', *SPLITS) if _utm_folders(path, split)]
    split = selection.split or there[0]
    folders = _utm_folders(path, split)
    if folders is None:
        raise SourceError(f'{path}: split: expected one of {", ".join(there)}; got {split!r}')
    radius = config.radius_m if selection.tolerance is None else selection.tolerance
    protocol = f'@utm@ names, {split or "no"} split, positives within {radius:g} m'
    references, queries = map(_utm_images, folders)
    return RetrievalSet(path.name, protocol, queries, references, radius)


def _utm_images(folder: Path) -> ImageSet:
    """Every image below the folder, at the east and north of its name."""
    files = list_images(folder, recursive=True)
    positions = [pose_files.utm_position(str(file)) for file in files]
    return _image_set(files, np.array(positions, np.float64).reshape(-1, 2))


def _image_set(files: Sequence[Path], positions: np.ndarray) -> ImageSet:
    return ImageSet(tuple(files), positions, np.zeros(len(files), np.int64))


# Layout 2: query/ and ref/


def _has_pairs(path: Path) -> bool:
    return (path / 'query').is_dir() and (path / 'ref').is_dir()


def _load_pairs(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    queries, references = list_images(path / 'query'), list_images(path / 'ref')
    frames = config.pair_tolerance if selection.tolerance is None else selection.tolerance
    places, rule = _pair_places(queries, references)
    protocol = f'query/ and ref/, {rule}, tolerance {frames:g} frames'
    return RetrievalSet(
        path.name,
        protocol,
        _image_set(queries, places),
        _image_set(references, np.arange(len(references), dtype=np.float64)[:, None]),
        frames,
    )


def _pair_places(queries: Sequence[Path], references: Sequence[Path]) -> tuple[np.ndarray, str]:
    """(Q, 1) index of each query's place: its own rank, or its name where the numbers differ."""
    ranks = np.arange(len(queries), dtype=np.float64)
    if len(queries) == len(references):
        return ranks[:, None], 'k-th name = k-th place'
    row = {file.stem: i for i, file in enumerate(references)}
    if all(file.stem in row for file in queries):
        return np.array([float(row[f.stem]) for f in queries])[:, None], 'same name = same place'
    logger.warning(
        '%d queries and %d references with different names: the k-th of each show one place',
        len(queries),
        len(references),
    )
    return ranks[:, None], f'k-th name = k-th place ({len(queries)} and {len(references)})'


# Layout 3: frames.csv with columns file, video, frame [, floor]


def _has_videos(path: Path) -> bool:
    return (path / 'frames.csv').is_file()


def _load_videos(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    """Even-numbered frames ask, odd-numbered frames of the same video are their places."""
    rows = _video_rows(path / 'frames.csv', selection.floors)
    videos = {name: i for i, name in enumerate(sorted({r['video'] for r in rows}))}
    frames = np.array([int(r['frame']) for r in rows], dtype=np.int64)
    folder = path / 'frames' if (path / 'frames').is_dir() else path
    images = ImageSet(
        tuple(folder / r['file'] for r in rows),
        frames[:, None].astype(np.float64),
        np.array([videos[r['video']] for r in rows], dtype=np.int64),
    )
    radius = config.sequence_tolerance if selection.tolerance is None else selection.tolerance
    floors = ', '.join(selection.floors) or 'all'
    protocol = (
        f'videos, floors {floors}, queries: even frames, references: odd frames, '
        f'positives: same video, up to {radius:g} frames apart'
    )
    even = np.flatnonzero(frames % 2 == 0), np.flatnonzero(frames % 2 == 1)
    return RetrievalSet(path.name, protocol, images.take(even[0]), images.take(even[1]), radius)


def _video_rows(path: Path, floors: Sequence[str]) -> list[dict[str, str]]:
    """The rows of the chosen floors in order of video and frame; SourceError if they are wrong."""
    rows = list(csv.DictReader(pose_files.read_text(path).splitlines()))
    needed = {'file', 'video', 'frame'} | ({'floor'} if floors else set())
    columns = set(rows[0]) if rows else set()
    if not needed <= columns:
        got = ', '.join(map(str, columns)) or 'an empty file'
        raise SourceError(f'{path}: expected columns {", ".join(sorted(needed))}; got {got}')
    bad = next((r for r in rows if not (r['frame'] or '').isdecimal()), None)
    if bad:
        raise SourceError(f'{path}: frame: expected a number, got {bad["frame"]!r}')
    known = {r.get('floor') or '' for r in rows}
    unknown = [f for f in floors if f not in known]
    if unknown:
        valid = ', '.join(sorted(known, key=natural_key))
        raise SourceError(f'{path}: floors: got unknown {", ".join(unknown)}; valid: {valid}')
    chosen = [r for r in rows if not floors or r['floor'] in floors]
    return sorted(chosen, key=lambda r: (r['video'], int(r['frame'])))


Load = Callable[[Path, Selection, EvaluationConfig], RetrievalSet]
LAYOUTS: dict[str, tuple[Callable[[Path], bool], Load]] = {
    'images/{train,val,test}/{database,queries} with @utm@ names': (_has_utm, _load_utm),
    'query/ and ref/': (_has_pairs, _load_pairs),
    'frames.csv with columns file, video, frame': (_has_videos, _load_videos),
}
"""What is asked of a user's folder, in this order: description -> (does it fit, load)."""
