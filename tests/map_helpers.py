# SPDX-License-Identifier: MIT
"""Small real maps, how to damage one, and a cheap deterministic extractor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import replace
import hashlib
import json
import math
from pathlib import Path
import time
from typing import Any

import cv2
import numpy as np
import pytest

from selavpr_model.config import ExtractorConfig, KeyframeConfig, MapConfig
from selavpr_model.errors import MapError
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage import manifest as map_manifest
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import Features, Frame, ModelIdentity, Place

GRID = (4, 4, 16)
DTYPES = ('fast', 'tiny', 'dense', 'exact')  # storages of local features
IDENTITY = ModelIdentity(
    fingerprint=hashlib.sha256(b'test features').hexdigest(),
    weights='test',
    global_dim=32,
    local_shape=GRID,
    description={'preprocessing': {'height': 56, 'width': 56}},
    note='features of a test',
)
OTHER = ModelIdentity(hashlib.sha256(b'another').hexdigest(), 'another', 32, GRID)


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def some_features(seed: int) -> Features:
    rng = np.random.default_rng(seed)
    return Features(unit(rng.normal(size=32)), unit(rng.normal(size=GRID)))


def some_image(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """(H, W, 3) uint8: smooth, so that JPEG keeps it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def some_place(number: int) -> Place:
    pose = np.eye(4)
    pose[:3, 3] = number, 2 * number, 0.5
    stamp = 1_700_000_000_123_456_789 + number
    return Place(
        number, stamp, f'{number}.jpg', 'summer', 'cam', None if number % 5 == 3 else pose
    )


def some_map(places: int = 12, dtype: str = 'fast', seed: int = 0) -> PlaceMap:
    place_map = PlaceMap.empty(IDENTITY, MapConfig(local_dtype=dtype, thumbnail_px=16))
    place_map.source = {'type': 'test', 'seed': seed}
    for i in range(places):
        image = some_image(i) if i % 4 else None
        place_map.add(some_features(1000 * seed + i), some_place(i), image)
    return place_map


def in_the_evening(frame: Frame) -> Frame:
    """Another light and a worse lens, and nobody knows where it was taken."""
    noise = np.random.default_rng(frame.stamp_ns % 2**32).normal(0.0, 12.0, frame.image.shape)
    image = 255.0 * (frame.image / 255.0) ** 2.5 * 0.7 + noise
    return replace(frame, image=np.clip(image, 0, 255).astype(np.uint8), pose=None)


class Remembering:
    """The real extractor; images it has seen cost nothing the next time."""

    def __init__(self, extractor: Any) -> None:
        self._extractor, self._known = extractor, {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extractor, name)

    def extract(self, image: np.ndarray) -> Any:
        key = image.tobytes()
        if key not in self._known:
            self._known[key] = self._extractor.extract(image)
        return self._known[key]


class CheapExtractor:
    """What the builder needs of an Extractor; features are projections of the shrunk image."""

    def __init__(self, seconds: float = 0.0, batch_size: int = 4) -> None:
        self.config = ExtractorConfig(batch_size=batch_size)
        self.identity, self.local = IDENTITY, None
        self.device, self.engine, self.precision = 'cpu', 'torch', 'fp32'
        self.seconds = seconds  # so that a kill can hit the middle
        self.extracted = 0
        rng = np.random.default_rng(7)
        self._global, self._local = rng.normal(size=(48, 32)), rng.normal(size=(3, 16))

    def extract(self, image: np.ndarray) -> Features:
        return self.extract_batch([image])[0]

    def extract_batch(self, images: list[np.ndarray]) -> list[Features]:
        time.sleep(self.seconds)
        self.extracted += len(images)
        return [self._one(image) for image in images]

    def _one(self, image: np.ndarray) -> Features:
        small = cv2.resize(image, (4, 4), interpolation=cv2.INTER_AREA).astype(np.float64) - 127.3
        return Features(unit(small.reshape(-1) @ self._global), unit(small @ self._local))


class Drive:
    """`length` frames 0.6 m apart, indexed like a folder of images; some cannot be read."""

    def __init__(self, length: int = 60, broken: tuple[int, ...] = ()) -> None:
        self.length, self.broken = length, broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Frame:
        from selavpr_model.errors import InputError

        if not 0 <= index < self.length:
            raise IndexError(index)
        if index in self.broken:
            raise InputError(f'{index:04d}.jpg: expected a whole jpg or png')
        pose = np.eye(4)
        pose[0, 3] = 0.6 * index
        stamp = 10**9 * index
        return Frame(stamp, some_image(index), 'cam', pose, name=f'{index:04d}.jpg')


def build(out: Path, extractor: Any = None, frames: Any = None, **more: Any) -> PlaceMap:
    """A map of a drive in which two frames are broken, unless other frames are given."""
    options = {
        'keyframes': KeyframeConfig(distance_m=1.0),
        'config': MapConfig(thumbnail_px=16),
        'source': {'type': 'test', 'length': 60},
        'progress': False,
    }
    frames = Drive(60, broken=(5, 17)) if frames is None else frames
    return build_map(frames, extractor or CheapExtractor(), out, **{**options, **more})


def build_drive(out: Path, seconds: float = 0.0, length: int = 60, **more: Any) -> PlaceMap:
    """61 % of the frames become places, three and a bit chunks of CHUNK_PLACES = 8."""
    from selavpr_model.maps.building import builder

    builder.CHUNK_PLACES, builder.CHUNK_SECONDS = 8, math.inf
    drive = Drive(length, broken=(5, 17))
    more = {'source': {'type': 'test', 'length': length}, **more}
    return build(out, CheapExtractor(seconds), drive, **more)


def array_bytes(place_map: PlaceMap) -> dict[str, str]:
    """File name -> SHA-256 of all data files."""
    return {name: entry['sha256'] for name, entry in place_map.manifest['files'].items()}


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Tiny products on many threads are slow where other programs run, too."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def cells_of(seed: int) -> np.ndarray:
    return some_features(seed).local.reshape(-1, GRID[2])


# ---------------------------------------------------------------- damage to saved maps


def data_of(path: Path) -> Path:
    return path / json.loads((path / 'manifest.json').read_bytes())['data']


def array_of(path: Path, name: str) -> np.ndarray:
    return np.load(data_of(path) / name)


def sign(path: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest and give it a right checksum again."""
    manifest = json.loads((path / 'manifest.json').read_bytes())
    change(manifest)
    (path / 'manifest.json').write_bytes(map_manifest.encode(manifest))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def error_of(path: Path, identity: ModelIdentity = IDENTITY) -> MapError:
    """The error of opening, which is one line that names the map and a cure."""
    with pytest.raises(MapError) as caught:
        open_map(path, identity)
    message = str(caught.value)
    assert '\n' not in message and str(path) in message, message
    assert ';' in message, f'no cure in: {message}'
    return caught.value
