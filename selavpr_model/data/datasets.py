# SPDX-License-Identifier: MIT
"""A folder as a retrieval data set, whatever its layout.

A new layout is a module with `fits(path)` and `load(path, selection, config)`, and a line in
LAYOUTS. What a data set is, is written in retrieval_sets.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
from pathlib import Path
import re

import numpy as np

from selavpr_model.config import DatasetConfig, EvaluationConfig
from selavpr_model.data.layouts import msls, nordland, pairs, runs, utm, videos, vpr_bench
from selavpr_model.data.retrieval_sets import ImageSet, near, RetrievalSet, Selection
from selavpr_model.errors import ConfigError, SourceError

__all__ = [
    'ImageSet',
    'RetrievalSet',
    'Selection',
    'near',
    'open_chosen',
    'open_dataset',
    'parse_slice',
]

Load = Callable[[Path, Selection, EvaluationConfig], RetrievalSet]
LAYOUTS: dict[str, tuple[Callable[[Path], bool], Load]] = {
    'images/{train,val,test}/{database,queries} with @utm@ names': (
        utm.fits,
        utm.load,
    ),
    'VPR-Bench query/, ref/ and ground_truth_new.npy': (vpr_bench.fits, vpr_bench.load),
    'query/ and ref/': (pairs.fits, pairs.load),
    'frames.csv with columns file, video, frame': (videos.fits, videos.load),
    'poses.csv beside images, or in folders named after seasons': (
        runs.fits,
        runs.load,
    ),
    'MSLS train_val/<city>/{query,database}': (msls.fits, msls.load),
    'Nordland test/<season>_images_test/section*': (
        nordland.fits_olid,
        nordland.load_olid,
    ),
    'Nordland summer/, winter/ and cleanImageNames.txt': (
        nordland.fits_patch_netvlad,
        nordland.load_patch_netvlad,
    ),
}
"""What is asked of a user's folder, in this order: description -> (does it fit, load)."""


def open_dataset(
    path: Path | str,
    tolerance: float | None = None,
    *,
    split: str = '',
    floors: Sequence[str] = (),
    query_slice: slice | None = None,
    names: slice | None = None,
    queries: str = '',
    max_angle_deg: float | None = None,
    training: bool = False,
    config: EvaluationConfig | None = None,
) -> RetrievalSet:
    """The data set in a folder, whatever its layout; SourceError when it has none of them.

    tolerance: None is the layout's own, else in its unit (m for positions, frames for indices).
    The others are the fields of Selection.
    """
    path = Path(path).resolve()  # for its name
    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f'tolerance: expected 0 or more frames or m, got {tolerance}')
    if max_angle_deg is not None and not 0 <= max_angle_deg <= 180:
        raise ConfigError(f'heading: expected 0 to 180 degrees, got {max_angle_deg}')
    selection = Selection(
        tolerance, split, tuple(floors), query_slice, names, queries, max_angle_deg, training
    )
    for fits, load in LAYOUTS.values():
        if path.is_dir() and fits(path):
            return _checked(load(path, selection, config or EvaluationConfig()), selection)
    kinds = '; '.join(LAYOUTS)
    got = ', '.join(sorted(p.name for p in path.iterdir())[:8]) if path.is_dir() else 'no folder'
    raise SourceError(f'{path}: expected one of: {kinds}; got {got or "an empty folder"}')


def open_chosen(chosen: DatasetConfig, base: Path | None = None) -> RetrievalSet:
    """The part of a data set that a configuration names; base: where a relative path begins."""
    return open_dataset(
        (base or Path()) / Path(chosen.path).expanduser(),
        chosen.tolerance,
        split=chosen.split,
        floors=listed(chosen.floors),
        query_slice=None if chosen.queries == ':' else parse_slice(chosen.queries),
        names=None if chosen.names == ':' else parse_slice(chosen.names),
        queries=chosen.query_folder,
        max_angle_deg=chosen.max_angle_deg,
    )


def listed(text: str) -> list[str]:
    """`a, b` -> ['a', 'b']."""
    return [part.strip() for part in text.split(',') if part.strip()]


def _checked(data: RetrievalSet, selection: Selection) -> RetrievalSet:
    """The data set with the chosen queries; SourceError when none is left."""
    if selection.query_slice is not None:
        rows = np.arange(len(data.queries))[selection.query_slice]
        part = f'; queries {pairs.words(selection.query_slice)} of {len(data.queries)}'
        data = dataclasses.replace(
            data,
            queries=data.queries.take(rows),
            protocol=data.protocol + part,
            listed=None if data.listed is None else tuple(data.listed[i] for i in rows),
        )
    for images, what in ((data.queries, 'queries'), (data.references, 'references')):
        if not len(images):
            raise SourceError(f'{data.name}: expected {what}, got none; protocol: {data.protocol}')
    return data


def parse_slice(text: str) -> slice:
    """`330:`, `:100` or `10:20` as a slice; SourceError for anything else."""
    match = re.fullmatch(r'(-?\d+)?:(-?\d+)?', text)
    if not match:
        raise SourceError(f'queries: expected START:STOP such as 330: or :100, got {text!r}')
    return slice(*(int(part) if part else None for part in match.groups()))
