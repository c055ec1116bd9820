# SPDX-License-Identifier: MIT
"""Images with a table of poses: one run, laps of one circuit, or runs of one world by season.

A run is a folder of images with poses.csv: columns as in pose_files, or x_m, y_m, yaw_rad without
a file column (tools/render_town.py), where row k is the image named k. A column `lap` tells laps
apart. A world is a folder whose sub-folders, named after a season or a time of day, are runs in
one frame of coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from selavpr_model.config import EvaluationConfig
from selavpr_model.data import pose_files
from selavpr_model.data.associate import match_rows
from selavpr_model.data.listing import find_images
from selavpr_model.data.pose_files import PoseRow
from selavpr_model.data.pose_tables import By, PoseTable, read_table
from selavpr_model.data.retrieval_sets import concatenated, ImageSet, RetrievalSet, Selection
from selavpr_model.errors import SourceError

TABLE = 'poses.csv'
CONDITIONS = ('summer', 'winter', 'spring', 'autumn', 'fall', 'day', 'dusk', 'night')


def fits(path: Path) -> bool:
    return (path / TABLE).is_file() or bool(_runs_of(path))


def load(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    """The first run (or lap) is the map and the others ask; of a single one even frames ask.

    For training every image is both.
    """
    if selection.split:
        raise SourceError(f'{path}: runs have no splits, got {selection.split!r}')
    folders = [path] if (path / TABLE).is_file() else _runs_of(path)
    images = _world([_run(folder) for folder in folders])
    laps = len(folders) == 1 and images.runs is not None
    own = config.lap_radius if laps else config.radius_m
    if selection.training and not laps:
        own = config.training_radius_m
    radius = own if selection.tolerance is None else selection.tolerance
    angle = config.heading_deg if selection.max_angle_deg is None else selection.max_angle_deg
    queries, references, asks = _asked(images, folders, selection)
    protocol = f'{asks}, positives within {radius:g} and {angle:g} degrees'
    negative = radius * config.training_negative_m / config.training_radius_m
    return RetrievalSet(path.name, protocol, queries, references, radius, angle, negative)


def _runs_of(path: Path) -> list[Path]:
    """Sub-folders with a table that are named after a condition, in order of name."""
    return sorted(
        p.parent for p in path.glob(f'*/{TABLE}') if p.parent.name.lower().startswith(CONDITIONS)
    )


def _asked(
    images: ImageSet, folders: Sequence[Path], selection: Selection
) -> tuple[ImageSet, ImageSet, str]:
    """Queries, references, and how they were told apart in words."""
    names = ', '.join(folder.name for folder in folders)
    if selection.training:
        return images, images, f'runs {names}, every image asks every other'
    if images.runs is None:
        even = np.arange(len(images)) % 2 == 0
        words = f'run {names}, queries: every second image, references: the others'
        return images.take(np.flatnonzero(even)), images.take(np.flatnonzero(~even)), words
    first = images.runs == images.runs.min()
    words = f'{names}: the first lap is the map, later laps ask'
    if len(folders) > 1:
        words = f'{folders[0].name} is the map, {names[len(folders[0].name) + 2 :]} ask'
    return images.take(np.flatnonzero(~first)), images.take(np.flatnonzero(first)), words


def _run(folder: Path) -> ImageSet:
    """The images with a pose; positions (N, 3), headings the camera's z axis, runs the laps."""
    table = folder / TABLE
    files = find_images(folder)
    rows = match_rows(files, _table(table, files), folder)
    with_pose = [
        (file, row) for file, row in zip(files, rows, strict=True) if row.pose is not None
    ]
    poses = np.array([row.pose for _, row in with_pose], np.float64).reshape(-1, 4, 4)
    oriented = np.array([row.oriented for _, row in with_pose], bool)
    headings = np.where(oriented[:, None], poses[:, :3, 2], np.nan)
    laps = _laps(table)
    runs = np.array([laps.get(file.name, 0) for file, _ in with_pose], np.int64) if laps else None
    files = [file for file, _ in with_pose]
    return ImageSet(tuple(files), poses[:, :3, 3], np.zeros(len(files), np.int64), headings, runs)


def _table(table: Path, files: Sequence[Path]) -> PoseTable:
    """The table; one without names is read as that of images 0, 1, 2, ..."""
    header = (pose_files.read_text(table).splitlines() or [''])[0]
    if header.replace(' ', '') != 'x_m,y_m,yaw_rad':
        return read_table(table)
    lines = [line for line in pose_files.read_text(table).splitlines()[1:] if line.strip()]
    try:
        values = np.array([line.split(',') for line in lines], np.float64).reshape(-1, 3)
    except ValueError as error:
        raise SourceError(f'{table}: expected x_m,y_m,yaw_rad; {error}') from error
    number = {int(file.stem): file.name for file in files if file.stem.isdecimal()}
    rows = [
        PoseRow(number[k], None, pose_files.level_pose(x, y, 0.0, yaw))
        for k, (x, y, yaw) in enumerate(values)
        if k in number
    ]
    return PoseTable(table, 'x_m,y_m,yaw_rad', By.NAME, rows)


def _laps(table: Path) -> dict[str, int]:
    """Lap of each file; empty where the table has no such column."""
    rows = list(csv.DictReader(pose_files.read_text(table).splitlines()))
    if not rows or not {'file', 'lap'} <= set(rows[0]):
        return {}
    try:
        return {r['file']: int(r['lap']) for r in rows}
    except (TypeError, ValueError) as error:
        raise SourceError(f'{table}: lap: expected a whole number; {error}') from error


def _world(runs: Sequence[ImageSet]) -> ImageSet:
    """All images; with several runs, each is one of its own."""
    if len(runs) == 1:
        return runs[0]
    return concatenated(
        [replace(r, runs=np.full(len(r), k, np.int64)) for k, r in enumerate(runs)]
    )
