# SPDX-License-Identifier: MIT
"""frames.csv with columns file, video, frame [, floor]: sequences without poses.

Frames of one video a few frames apart show one place, frames of other videos never do.
"""

from __future__ import annotations

from collections.abc import Sequence
import csv
import math
from pathlib import Path

import numpy as np

from selavpr_model.config import EvaluationConfig
from selavpr_model.data import pose_files
from selavpr_model.data.listing import natural_key
from selavpr_model.data.retrieval_sets import ImageSet, RetrievalSet, Selection
from selavpr_model.errors import SourceError

SPLITS = ('train', 'val')
VALIDATION_FLOORS = slice(None, None, 4)
"""Of the sorted floors, those that are held out: the split `val`; the others are `train`."""


def fits(path: Path) -> bool:
    return (path / 'frames.csv').is_file()


def load(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    """Even-numbered frames ask, odd-numbered frames of the same video are their places.

    For training every frame is both.
    """
    table = read_rows(path / 'frames.csv')
    floors = _floors(path, table, selection)
    rows = [r for r in table if not floors or r['floor'] in floors]
    images = _images(path, rows)
    radius = config.sequence_tolerance if selection.tolerance is None else selection.tolerance
    asks = 'every frame' if selection.training else 'queries: even frames, references: odd frames'
    protocol = (
        f'videos, {selection.split + " split, " if selection.split else ""}floors '
        f'{", ".join(floors) or "all"}, {asks}, positives: same video, up to {radius:g} frames '
        'apart'
    )
    if selection.training:
        return RetrievalSet(path.name, protocol, images, images, radius, negative_radius=math.inf)
    even = images.positions[:, 0] % 2 == 0
    queries, references = (images.take(np.flatnonzero(part)) for part in (even, ~even))
    return RetrievalSet(path.name, protocol, queries, references, radius)


def _images(path: Path, rows: Sequence[dict[str, str]]) -> ImageSet:
    """Position: number of the frame. Group: the video."""
    videos = {name: i for i, name in enumerate(sorted({r['video'] for r in rows}))}
    folder = path / 'frames' if (path / 'frames').is_dir() else path
    return ImageSet(
        tuple(folder / r['file'] for r in rows),
        np.array([int(r['frame']) for r in rows], np.float64).reshape(-1, 1),
        np.array([videos[r['video']] for r in rows], np.int64),
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows in order of video and frame; SourceError if columns or numbers are wrong."""
    rows = list(csv.DictReader(pose_files.read_text(path).splitlines()))
    needed = {'file', 'video', 'frame'}
    columns = set(rows[0]) if rows else set()
    if not needed <= columns:
        got = ', '.join(map(str, columns)) or 'an empty file'
        raise SourceError(f'{path}: expected columns {", ".join(sorted(needed))}; got {got}')
    bad = next((r for r in rows if not (r['frame'] or '').isdecimal()), None)
    if bad:
        raise SourceError(f'{path}: frame: expected a number, got {bad["frame"]!r}')
    return sorted(rows, key=lambda r: (r['video'], int(r['frame'])))


def _floors(path: Path, rows: Sequence[dict[str, str]], selection: Selection) -> tuple[str, ...]:
    """The floors chosen by name or by split; empty for all."""
    if not selection.floors and not selection.split:
        return ()
    if selection.split not in ('', *SPLITS):
        raise SourceError(
            f'{path}: split: expected one of {", ".join(SPLITS)}; got {selection.split!r}'
        )
    if 'floor' not in rows[0]:
        columns = ', '.join(('file', 'floor', 'frame', 'video'))
        raise SourceError(f'{path}: expected columns {columns}; got {", ".join(rows[0])}')
    every = sorted({r['floor'] or '' for r in rows})
    unknown = [f for f in selection.floors if f not in every]
    if unknown:
        valid = ', '.join(sorted(every, key=natural_key))
        raise SourceError(f'{path}: floors: got unknown {", ".join(unknown)}; valid: {valid}')
    held_out = every[VALIDATION_FLOORS]
    parts = {'': every, 'val': held_out, 'train': [f for f in every if f not in held_out]}
    chosen = [f for f in selection.floors or every if f in parts[selection.split]]
    if not chosen:
        raise SourceError(
            f'{path}: floors: none of {", ".join(selection.floors)} is in the '
            f'{selection.split} split; it has {", ".join(parts[selection.split])}'
        )
    return tuple(chosen)
