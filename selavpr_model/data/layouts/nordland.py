# SPDX-License-Identifier: MIT
"""Nordland: one train ride in four seasons, and three published protocols that must not be mixed.

- `Olid` (Olid et al. 2018; SelaVPR's Table 11): test/<season>_images_test/section1 to 3, 3 x 1,150
  frames of 224x224 a season; summer is the map, winter asks; right up to 2 frames apart.
- `Patch-NetVLAD` (Hausler et al. 2021): all 27,592 frames without tunnels and stops of summer and
  winter, right up to 10 frames apart; as folders of seasons with cleanImageNames.txt, or from
  VPR-datasets-downloader with made-up @utm@ names (25 m / 10.5 apart, so that 25 m are 10 frames).
- `VPR-Bench` (Zaffar et al. 2021): query/ with 2,760 frames, ref/ with 27,592; query k is frame
  10 k; right up to 1 frame apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
import re

import numpy as np

from selavpr_model.config import EvaluationConfig
from selavpr_model.data.listing import list_images, natural_key
from selavpr_model.data.retrieval_sets import (
    concatenated,
    image_set,
    ImageSet,
    RetrievalSet,
    Selection,
)
from selavpr_model.errors import SourceError

SEASONS = ('summer', 'winter', 'fall', 'spring')
MAP_SEASON, QUERY_SEASON = 'summer', 'winter'
OLID_FRAMES, PATCH_NETVLAD_FRAMES, VPRBENCH_FRAMES = 2, 10, 1
"""Up to this many frames apart an answer is right."""
VPRBENCH_STEP = 10
"""Reference frames from one query to the next."""
MADE_UP_SPACING_M = 25 / 10.5
CLEAN_NAMES = 'cleanImageNames.txt'


def fits_olid(path: Path) -> bool:
    return _olid_folder(path, 'test', MAP_SEASON).is_dir()


def load_olid(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    """Olid's protocol; its train part, all seasons of it, for training."""
    part = 'train' if selection.training else 'test'
    return _seasons(path, 'Olid', OLID_FRAMES, partial(_olid_images, path, part), selection)


def fits_patch_netvlad(path: Path) -> bool:
    return all((path / s).is_dir() for s in (MAP_SEASON, QUERY_SEASON)) and (
        (path / CLEAN_NAMES).is_file()
    )


def load_patch_netvlad(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    clean = set((path / CLEAN_NAMES).read_text(encoding='utf-8').split())
    images = partial(_clean_images, path, clean)
    return _seasons(path, 'Patch-NetVLAD', PATCH_NETVLAD_FRAMES, images, selection)


def load_vprbench(
    path: Path, queries: Sequence[Path], references: Sequence[Path], selection: Selection
) -> RetrievalSet | None:
    """VPR-Bench's protocol, None where the names and numbers of images are not those of it."""
    numbered = all(re.fullmatch(r'\d{7}', file.stem) for file in (*queries, *references))
    if not numbered or len(references) // VPRBENCH_STEP not in (len(queries), len(queries) - 1):
        return None
    _refuse_training(path, 'VPR-Bench', selection)
    frames = VPRBENCH_FRAMES if selection.tolerance is None else selection.tolerance
    protocol = f'Nordland, VPR-Bench protocol: every 10th frame asks, right up to {frames:g} apart'
    places = np.array([[VPRBENCH_STEP * int(f.stem)] for f in queries], np.float64)
    answers = np.array([[int(f.stem)] for f in references], np.float64)
    return RetrievalSet(
        path.name, protocol, image_set(queries, places), image_set(references, answers), frames
    )


def downloaded_protocol(references: ImageSet, queries: ImageSet, radius: float) -> str:
    """The words for Patch-NetVLAD's protocol where @utm@ names are the made-up ones, else ''."""
    if not len(references) or not len(queries):
        return ''
    if not all(_made_up(images) for images in (references, queries)):
        return ''
    frames = int(radius / MADE_UP_SPACING_M)
    return f'Nordland, Patch-NetVLAD protocol (made-up @utm@ names): right up to {frames} apart'


def _made_up(images: ImageSet) -> bool:
    """Whether each name's north is its frame number, the seventh field, times the spacing."""
    numbers = [file.name.split('@')[7:8] for file in images.files]
    if not all(n and n[0].isdecimal() for n in numbers):
        return False
    north = np.array([int(n[0]) for n in numbers]) * MADE_UP_SPACING_M
    expected = np.stack([np.zeros(len(images)), north], axis=1)
    return bool(np.allclose(images.positions, expected, atol=0.051))  # one decimal in the names


def _seasons(
    path: Path,
    name: str,
    own_frames: int,
    images: Callable[[str], ImageSet],
    selection: Selection,
) -> RetrievalSet:
    """Two seasons of the same frames, the k-th of each (of a section) at the same place."""
    frames = own_frames if selection.tolerance is None else selection.tolerance
    if selection.training:
        if name != 'Olid':
            _refuse_training(path, name, selection)
        parts = [part for part in map(images, SEASONS) if len(part)]
        every = concatenated([replace(p, runs=np.full(len(p), k)) for k, p in enumerate(parts)])
        words = f'Nordland, {name} protocol, train part, positives up to {frames:g} frames apart'
        return RetrievalSet(
            path.name, words, every, every, frames, negative_radius=PATCH_NETVLAD_FRAMES
        )
    season = selection.queries or QUERY_SEASON
    references, queries = images(MAP_SEASON), images(season)
    if len(references) != len(queries):
        raise SourceError(
            f'{path}: {season}: expected as many frames as in {MAP_SEASON}, '
            f'{len(references)}, got {len(queries)}'
        )
    words = f'Nordland, {name} protocol: {season} asks {MAP_SEASON}, right up to {frames:g} apart'
    return RetrievalSet(path.name, words, queries, references, frames)


def _refuse_training(path: Path, name: str, selection: Selection) -> None:
    if selection.training:
        raise SourceError(f"{path}: Nordland's {name} protocol is for testing; train on Olid's")


def _olid_folder(path: Path, part: str, season: str) -> Path:
    return path / part / f'{season}_images_{part}'


def _olid_images(path: Path, part: str, season: str) -> ImageSet:
    """Position: rank within the section. Group: the section."""
    folder = _olid_folder(path, part, season)
    sections = [p for p in folder.glob('section*') if p.is_dir()]
    sections.sort(key=lambda p: natural_key(p.name))
    images = [list_images(section) for section in sections]
    ranks = [float(i) for files in images for i in range(len(files))]
    groups = [k for k, files in enumerate(images) for _ in files]
    return ImageSet(
        tuple(file for files in images for file in files),
        np.array(ranks, np.float64).reshape(-1, 1),
        np.array(groups, np.int64),
    )


def _clean_images(path: Path, clean: set[str], season: str) -> ImageSet:
    files = [f for f in list_images(path / season) if f.name in clean]
    return image_set(files, np.arange(len(files), dtype=np.float64)[:, None])
