# SPDX-License-Identifier: MIT
"""Maps as large as the benchmark asks for, made of the real places at hand.

A few hundred real places are extracted and saved with each preset. A large map has their local
features again and again (row i has those of real row i modulo n, memory-mapped, so the pages are
warm as they are in a robot that drives) and global features of its own (benchmark_features), which
resemble those of the real place with the same local features.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools
from pathlib import Path

import numpy as np

from selavpr_model.config import ExtractorConfig, MapConfig
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import SourceError
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.index import needs_index
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.manifest import LOCAL
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Features, ModelIdentity, Place

PRESETS = ('exact', 'dense', 'fast', 'compact', 'tiny')
SUFFIXES = ('.png', '.jpg', '.jpeg')


def image_files(folder: Path, count: int) -> list[Path]:
    """`count` images of a folder, evenly spread; SourceError where there are too few."""
    files = sorted(p for p in folder.rglob('*') if p.suffix.lower() in SUFFIXES)
    if len(files) < 2:
        raise SourceError(
            f'images: expected a folder of at least 2 images, got {folder} with {len(files)}; '
            'name one with --images'
        )
    at = np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [files[i] for i in at]


def storage(preset: str) -> MapConfig:
    """How a preset stores local features."""
    return MapConfig(local_dtype=preset, thumbnail_px=0, use_gpu_index=False)


class Replayed:
    """Gives features that were extracted before: a recogniser without the forward pass."""

    def __init__(self, identity: ModelIdentity, features: Sequence[Features]) -> None:
        self.identity, self.config = identity, ExtractorConfig()
        self._features = itertools.cycle(features)

    def extract(self, image: np.ndarray) -> Features:
        return next(self._features)


class GrownMap(PlaceMap):
    """A map of repeated local features; it cannot be saved."""

    def fill(self, real: PlaceMap, global_: np.ndarray) -> None:
        """Repeat the local features of `real` for all rows of global_ (N, D)."""
        for first in range(0, len(global_), len(real)):
            vectors = global_[first : first + len(real)]
            for block in real.store.blocks:
                self.store.append(block)
            for row in range(first, first + len(vectors)):
                self.table.append(place(row))
        self.index.add(global_)
        if needs_index(len(global_), global_.shape[1], self.config.index):
            self.index.coarse = self.index.trained(len(global_), self.config.index_refine)


def grown(real: PlaceMap, global_: np.ndarray) -> GrownMap:
    """A map with these global features (N, D) and the local ones of `real`, repeated."""
    place_map = GrownMap(real.identity, real.config, real.head)
    place_map.fill(real, global_)
    return place_map


def place(row: int) -> Place:
    """Places a metre apart on a straight road, so that a belief over them has its usual cost."""
    pose = np.eye(4)
    pose[0, 3] = row
    return Place(row, row * 10**9, f'{row}', 'benchmark', 'camera', pose)


def extract(extractor: Extractor, files: Sequence[Path]) -> list[Features]:
    """The features of images, with progress."""
    from selavpr_model.runtime.progress import progress_bar

    return [
        extractor.extract(read_rgb(file)) for file in progress_bar(files, 'extract', unit='image')
    ]


def saved(
    folder: Path, extractor: Extractor, features: Sequence[Features], preset: str
) -> PlaceMap:
    """The real places with a preset, written and opened again."""
    place_map = PlaceMap.for_extractor(extractor, storage(preset))
    for row, one in enumerate(features):
        place_map.add(one, place(row))
    save_map(place_map, folder / preset)
    return open_map(folder / preset)


def local_bytes(place_map: PlaceMap) -> float:
    """Bytes on disk of the local features of one place."""
    return float(place_map.manifest['files'][LOCAL]['bytes'] / len(place_map))
