# SPDX-License-Identifier: MIT
"""Mapillary Street-Level Sequences as published: train_val/<city>/{query,database}/ with CSVs.

Queries and map are chosen as the official loader does (mapillary/mapillary_sls, im2im): images
whose subtask_index.csv column is true (validation only), that raw.csv calls no panorama. A query
without a map image of its city within 25 m is dropped: of the 747 of cph and sf 740 stay. Its
positives are all map images within 25 m; the 40 degrees of the paper are an option.
"""

from __future__ import annotations

from collections.abc import Sequence
import csv
from pathlib import Path

import numpy as np

from selavpr_model.config import EvaluationConfig
from selavpr_model.data.retrieval_sets import (
    ANY_ANGLE,
    concatenated,
    ImageSet,
    near,
    RetrievalSet,
    Selection,
)
from selavpr_model.errors import SourceError

TRAIN_CITIES = (
    'trondheim london boston melbourne amsterdam helsinki tokyo toronto saopaulo moscow zurich '
    'paris bangkok budapest austin berlin ottawa phoenix goa amman nairobi manila'
)
VALIDATION_CITIES = ['cph', 'sf']
SUBTASK = 'all'


def fits(path: Path) -> bool:
    return any(_root(path).glob('*/query/postprocessed.csv'))


def load(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    """split: '' and val are cph and sf, train the 22 training cities, else cities by comma."""
    split = selection.split or ('train' if selection.training else 'val')
    cities = _cities(_root(path), split)
    validation = split != 'train' and not selection.training
    own = config.training_radius_m if selection.training else config.radius_m
    radius = own if selection.tolerance is None else selection.tolerance
    angle = ANY_ANGLE if selection.max_angle_deg is None else selection.max_angle_deg
    sides = [
        [_images(_root(path) / city / side, k, validation) for k, city in enumerate(cities)]
        for side in ('query', 'database')
    ]
    queries, references = map(concatenated, sides)
    kept = np.flatnonzero([len(rows) > 0 for rows in near(queries, references, radius)])
    heading = f' and {angle:g} degrees' if angle < ANY_ANGLE else ''
    protocol = (
        f'MSLS im2im, {split} ({", ".join(cities)}), '
        f'{f"subtask {SUBTASK}, " if validation else ""}no panoramas, positives within '
        f'{radius:g} m{heading}, {len(queries) - len(kept)} of {len(queries)} queries without '
        f'a map image within {radius:g} m dropped'
    )
    return RetrievalSet(
        path.name,
        protocol,
        queries.take(kept),
        references,
        radius,
        angle,
        config.training_negative_m,
    )


def _root(path: Path) -> Path:
    return path / 'train_val' if (path / 'train_val').is_dir() else path


def _cities(root: Path, split: str) -> list[str]:
    """The cities of a split that are there; for validation both must be."""
    there = sorted(p.parent.parent.name for p in root.glob('*/query/postprocessed.csv'))
    if split == 'train':
        chosen = [city for city in TRAIN_CITIES.split() if city in there]
    else:
        chosen = VALIDATION_CITIES if split == 'val' else [c.strip() for c in split.split(',')]
    missing = [city for city in chosen if city not in there]
    if missing or not chosen:
        raise SourceError(
            f'{root}: split: expected train, val ({", ".join(VALIDATION_CITIES)}) or cities that '
            f'are there: {", ".join(there)}; got {split!r}'
        )
    return chosen


def _images(folder: Path, group: int, validation: bool) -> ImageSet:
    """One side of a city: position east, north in m; heading by the compass of raw.csv."""
    places = _table(folder / 'postprocessed.csv', ('', 'key', 'easting', 'northing'))
    raw = _table(folder / 'raw.csv', ('ca', 'pano'))
    flags = [np.array(raw['pano']) != 'True']
    if validation:
        flags.append(np.array(_table(folder / 'subtask_index.csv', (SUBTASK,))[SUBTASK]) == 'True')
    try:
        frames = np.array(places[''], np.int64)  # row in raw.csv and subtask_index.csv
        kept = np.flatnonzero(np.all([flag[frames] for flag in flags], axis=0))
        columns = [places['easting'], places['northing']]
        positions = np.array(columns, np.float64).T.reshape(-1, 2)[kept]
        compass = np.radians(np.array([c or 'nan' for c in raw['ca']], np.float64))
    except (ValueError, IndexError) as error:
        raise SourceError(f'{folder}: expected numbers that fit together; {error}') from error
    angle = compass[frames[kept]]  # clockwise from north
    headings = np.stack([np.sin(angle), np.cos(angle), 0 * angle], axis=1)
    files = [folder / 'images' / f'{places["key"][i]}.jpg' for i in kept]
    return ImageSet(tuple(files), positions, np.full(len(files), group, np.int64), headings)


def _table(path: Path, columns: Sequence[str]) -> dict[str, list[str]]:
    """Columns by name; '' is the first, which the official files leave without a name."""
    try:
        with path.open(newline='', encoding='utf-8') as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError) as error:
        raise SourceError(f'{path}: cannot be read as a table: {error}') from error
    missing = [name for name in columns if name not in header]
    short = next((i for i, row in enumerate(rows) if len(row) < len(header)), None)
    if missing or short is not None:
        got = ', '.join(header) if missing else f'{len(rows[short or 0])} cells in row {short}'
        raise SourceError(f'{path}: expected columns {", ".join(columns)}; got {got}')
    return {name: [row[header.index(name)] for row in rows] for name in columns}
