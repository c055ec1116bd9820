# SPDX-License-Identifier: MIT
"""`@utm_east@utm_north@...@.jpg` names below database/ and queries*/ (VPR-datasets-downloader)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from selavpr_model.config import EvaluationConfig
from selavpr_model.data import pose_files
from selavpr_model.data.layouts.nordland import downloaded_protocol
from selavpr_model.data.listing import list_images
from selavpr_model.data.retrieval_sets import image_set, ImageSet, RetrievalSet, Selection
from selavpr_model.errors import SourceError

SPLITS = ('test', 'val', 'train')
DATABASES = ('database', 'gallery')
"""Names of the folder of references; SVOX has a `gallery`."""


def fits(path: Path) -> bool:
    return any(_base(path, split) for split in ('', *SPLITS))


def load(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    """The split asked for, else the first of test, val, train (for training: train) there is."""
    order = ('train', '') if selection.training else ('', *SPLITS)
    there = [split for split in ('', *SPLITS) if _base(path, split)]
    split = selection.split or next((s for s in order if s in there), '')
    base = _base(path, split)
    if base is None:
        raise SourceError(f'{path}: split: expected one of {", ".join(there)}; got {split!r}')
    folder = _query_folder(base, selection.queries)
    references = _images(next(base / name for name in DATABASES if (base / name).is_dir()))
    queries = _images(folder)
    own = config.training_radius_m if selection.training else config.radius_m
    radius = own if selection.tolerance is None else selection.tolerance
    protocol = f'@utm@ names, {split or "no"} split, positives within {radius:g} m'
    if folder.name != 'queries':
        protocol += f', queries of {folder.name}'
    protocol = downloaded_protocol(references, queries, radius) or protocol
    negative = config.training_negative_m
    return RetrievalSet(path.name, protocol, queries, references, radius, negative_radius=negative)


def _base(path: Path, split: str) -> Path | None:
    """The folder of a split, or with split '' `path` itself, that holds references and queries."""
    for folder in (path / 'images' / split, path / split):
        if any((folder / name).is_dir() for name in DATABASES) and _query_folders(folder):
            return folder
    return None


def _query_folders(base: Path) -> list[str]:
    return sorted(p.name for p in base.glob('queries*') if p.is_dir())


def _query_folder(base: Path, name: str) -> Path:
    """The folder of queries asked for; `queries`, or the only one there, where none is."""
    there = _query_folders(base)
    chosen = name or ('queries' if 'queries' in there else there[0] if len(there) == 1 else '')
    if chosen not in there:
        raise SourceError(
            f'{base}: queries folder: expected one of {", ".join(there)}; got {chosen or "none"!r}'
        )
    return base / chosen


def _images(folder: Path) -> ImageSet:
    """Every image below the folder, at the east and north of its name."""
    files = list_images(folder, recursive=True)
    return image_set(files, positions_of(files))


def positions_of(files: Sequence[Path]) -> np.ndarray:
    """(N, 2) float64 east and north in m of `@utm@` names."""
    pose_files.require_metres(files)
    positions = [pose_files.utm_position(str(file)) for file in files]
    return np.array(positions, np.float64).reshape(-1, 2)
