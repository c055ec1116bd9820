# SPDX-License-Identifier: MIT
"""What tools/fit_confidence.py learns from, what it only measures, and their features."""

from __future__ import annotations

from collections.abc import Iterator
import csv
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
from demo_images import DEMO, write
import numpy as np

from selavpr_model.config import KeyframeConfig, MapConfig, RecognizerConfig
from selavpr_model.data.datasets import ImageSet, open_dataset, RetrievalSet
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import Frame
from selavpr_ros.bags.reader import BagFrames

TOWN_M, TOWN_DEG = 5.0, 45.0
LOOP_FRAMES = 2.0  # of rtabmap_loop that show one place
WAYS = ('winter', 'summer2')
QUERIES = 200  # of a source at most
PARTS = {'sped': 2, 'ietower': 3}  # places of their own, each fitted without the others


def sources(data: Path, towns: Path) -> Iterator[tuple[str, RetrievalSet]]:
    """Training data alone, by names `kind-place way`."""
    sped = open_dataset(data / 'sped', names=slice(None, 400), training=True)
    for part, rows in enumerate(np.array_split(np.arange(len(sped.queries)), PARTS['sped'])):
        asking, mapped = (images.take(rows) for images in (sped.queries, sped.references))
        yield f'sped-{part}', some(replace(sped, queries=asking, references=mapped))
    held_in = open_dataset(data / 'ietower', split='train').protocol
    floors = held_in.split('floors ')[1].split(', queries')[0].split(', ')
    for part in range(PARTS['ietower']):
        chosen = floors[part :: PARTS['ietower']]
        found = open_dataset(data / 'ietower', floors=chosen, split='train')
        yield f'ietower-{part}', some(found)
    for circuit in sorted((data / 'circuits').iterdir())[::2]:  # the others to measure with
        yield f'circuit-{circuit.name}', open_dataset(circuit)
    for town in sorted(towns.glob('w2?')):
        for asks, mapped_by in (WAYS, WAYS[::-1]):
            yield f'town-{town.name} {asks}', across(town, asks, mapped_by)


def held_out(data: Path) -> Iterator[tuple[str, RetrievalSet]]:
    """Measured, never fitted."""
    yield 'sped_val', open_dataset(data / 'sped', names=slice(400, None))
    yield 'ietower_val', some(open_dataset(data / 'ietower', split='val'))
    for circuit in sorted((data / 'circuits').iterdir())[1::2]:
        yield circuit.name, open_dataset(circuit)


def some(data: RetrievalSet) -> RetrievalSet:
    """QUERIES of them, evenly spread."""
    count = len(data.queries)
    rows = np.unique(np.linspace(0, count - 1, min(count, QUERIES)).round().astype(int))
    return replace(data, queries=data.queries.take(rows))


def across(town: Path, asks: str, mapped_by: str) -> RetrievalSet:
    """One drive asks, the other is the map. Not that of summer/, which stops on the very spots of
    winter/, where no robot comes to stand again.
    """
    images = open_dataset(town, TOWN_M, training=True).queries
    drive = np.array([file.parent.name for file in images.files])
    asking, mapped = (images.take(np.flatnonzero(drive == d)) for d in (asks, mapped_by))
    return replace(open_dataset(town, TOWN_M), queries=asking, references=mapped)


def loop(folder: Path) -> RetrievalSet:
    """The second lap of the corridor asks, the first is the map."""
    truth = cv2.imread(str(folder / 'truth.png'), cv2.IMREAD_GRAYSCALE) > 127
    truth |= truth.T
    half, count = len(truth) // 2, len(truth)
    files = tuple(folder / f'{i + 1}.jpg' for i in range(count))
    listed = tuple(np.flatnonzero(truth[i, :half]) for i in range(half, count))
    at = [rows.mean() if len(rows) else -count for rows in listed]  # of the first lap
    frames = np.array([*range(half), *at], float)[:, None]
    images = ImageSet(files, frames, np.zeros(count, np.int64))
    asking, mapped = (images.take(range(*r)) for r in ((half, count), (0, half)))
    return RetrievalSet('rtabmap_loop', 'laps', asking, mapped, LOOP_FRAMES, listed=listed)


def campus(folder: Path) -> RetrievalSet:
    """Every second frame asks, the others are the map."""
    with (folder / 'data.csv').open(newline='') as file:
        rows = list(csv.reader(file))
    x, y, yaw = np.array([[float(v) for v in row[1:4]] for row in rows]).T
    flat = np.zeros(len(rows))
    files = tuple(folder / row[0] for row in rows)
    axes = np.stack([np.cos(yaw), np.sin(yaw), flat], axis=1)
    images = ImageSet(files, np.stack([x, y, flat], axis=1), np.zeros(len(rows), np.int64), axes)
    asking, mapped = (images.take(range(k, len(rows), 2)) for k in (1, 0))
    return RetrievalSet('campus_gray', 'every second', asking, mapped, TOWN_M, TOWN_DEG)


def street(folder: Path) -> RetrievalSet:
    """Every second frame of the demo's summer drive asks, the others are the map."""
    if not (folder / 'poses.csv').is_file():
        write(list(BagFrames(DEMO / 'summer', pose_topic='/ground_truth/pose')), folder)
    images = open_dataset(folder, TOWN_M, training=True, max_angle_deg=TOWN_DEG).queries
    images = replace(images, runs=np.zeros(len(images), np.int64))
    asking, mapped = (images.take(range(first, len(images), 2)) for first in (1, 0))
    return RetrievalSet('demo_summer', 'every second', asking, mapped, TOWN_M, TOWN_DEG)


def kind_of(name: str) -> str:
    """The kind of scene that a source shows."""
    return name.split('-')[0]


@dataclass(frozen=True)
class Pictures:
    """Files as frames without poses, for build_map."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Frame:
        if not 0 <= i < len(self.files):
            raise IndexError(i)
        return Frame(i * 10**9, read_rgb(self.files[i]), name=str(self.files[i]))


def features(name: str, data: RetrievalSet, extractor: Extractor, cache: Path) -> PlaceMap:
    """All images of a data set, coded as a map codes them; a map in the cache."""
    files = tuple(sorted({*data.queries.files, *data.references.files}))
    out = cache / name.split()[0]
    if (out / 'manifest.json').is_file():
        found = open_map(out, extractor.identity)
        if {str(f) for f in files} <= {p.name for p in found.places}:
            return found
    return build_map(
        Pictures(files), extractor, out, keyframes=KeyframeConfig(0.0, 0.0, 0.0),
        config=MapConfig(thumbnail_px=0), recognizer=RecognizerConfig(candidates=1),
        source={'files': len(files)}, overwrite=True, calibrated=False,
    )  # fmt: skip
