# SPDX-License-Identifier: MIT
"""Small real maps, a cheap deterministic extractor, and a process that can be killed.

Run as a script it is a zygote: it imports everything once and forks for each job it reads, so
that a test can start, kill -9 and repeat many times within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import hashlib
import itertools
import json
import math
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np

from selavpr_model.config import ExtractorConfig, KeyframeConfig, MapConfig
from selavpr_model.map_builder import build_map
from selavpr_model.place_map import PlaceMap
from selavpr_model.records import Features, Frame, ModelIdentity, Place

GRID = (4, 4, 16)
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


def some_map(places: int = 12, dtype: str = 'int8', seed: int = 0) -> PlaceMap:
    place_map = PlaceMap.empty(IDENTITY, MapConfig(local_dtype=dtype, thumbnail_px=16))
    place_map.source = {'type': 'test', 'seed': seed}
    for i in range(places):
        image = some_image(i) if i % 4 else None
        place_map.add(some_features(1000 * seed + i), some_place(i), image)
    return place_map


class CheapExtractor:
    """What the builder needs of an Extractor; features are projections of the shrunk image."""

    def __init__(self, seconds: float = 0.0, batch_size: int = 4) -> None:
        self.config = ExtractorConfig(batch_size=batch_size)
        self.identity = IDENTITY
        self.device, self.engine, self.precision = 'cpu', 'torch', 'fp32'
        self.seconds = seconds  # so that a kill can hit the middle
        self.extracted = 0
        rng = np.random.default_rng(7)
        self._global, self._local = rng.normal(size=(48, 32)), rng.normal(size=(3, 16))

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


def build_drive(out: Path, seconds: float = 0.0, length: int = 60, **more: Any) -> PlaceMap:
    """61 % of the frames become places, three and a bit chunks of CHUNK_PLACES = 8."""
    from selavpr_model import map_builder

    map_builder.CHUNK_PLACES, map_builder.CHUNK_SECONDS = 8, math.inf
    options: dict[str, Any] = {
        'keyframes': KeyframeConfig(distance_m=1.0),
        'config': MapConfig(thumbnail_px=16),
        'source': {'type': 'test', 'length': length},
        'progress': False,
    }
    drive = Drive(length, broken=(5, 17))
    return build_map(drive, CheapExtractor(seconds), out, **{**options, **more})


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


# ---------------------------------------------------------------- to be killed


def job_save(path: str, seed: int) -> None:
    """Replace the map at `path`."""
    some_map(places=20, seed=seed).save(path, overwrite=True)


def job_saves(path: str, seed: int) -> None:
    """Replace the map at `path` by that of `seed`, by that of `seed` + 1, and so on for ever."""
    maps = some_map(places=20, seed=seed), some_map(places=20, seed=seed + 1)
    for place_map in itertools.cycle(maps):
        place_map.save(path, overwrite=True)


def job_build(path: str, seconds: float, overwrite: bool = True) -> None:
    build_drive(Path(path), seconds, overwrite=overwrite)


JOBS: dict[str, Callable[..., None]] = {
    'save': job_save,
    'saves': job_saves,
    'build': job_build,
}


def kill_before_operation(number: int, folder: str) -> None:
    """End this process as by kill -9 just before its `number`-th change below `folder`."""
    left = [number]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        writes = event == 'open' and isinstance(args[2], int) and args[2] & os.O_CREAT
        changes = event in ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir') or writes
        if changes and (folder in str(args[0]) or not str(args[0]).startswith('/')):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def zygote() -> None:
    """Fork for each JSON line; answer with the child's id, then with how it ended."""
    # what a job imports while it runs, once
    import faiss  # noqa: F401

    import selavpr_model.calibration  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BrokenPipeError):
                if job['operation']:
                    kill_before_operation(job['operation'], job['path'])
                JOBS[job['job']](job['path'], **job['options'])
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


def version_of(file: Path | None) -> tuple[int, int]:
    """Differs after the file was replaced."""
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file else (0, 0)


class Killer:
    """Starts jobs in the zygote and ends them with SIGKILL."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )

    def run(
        self,
        job: str,
        path: Path,
        after_s: float | None = None,
        operation: int = 0,
        changed: Path | None = None,
        **options: Any,
    ) -> bool:
        """Whether the job was killed, before a file operation or after some seconds.

        The seconds count from the start or, if given, from when the file `changed` is replaced.
        """
        before = version_of(changed)
        assert self.process.stdin and self.process.stdout
        order = {'job': job, 'path': str(path), 'operation': operation, 'options': options}
        self.process.stdin.write(json.dumps(order) + '\n')
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        while changed and version_of(changed) == before:
            time.sleep(0.001)
        if after_s is not None:
            time.sleep(after_s)
            # the child stays a zombie until the zygote waits, so the id is still its own, except
            # when it ended long ago: then there is no such process
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = int(self.process.stdout.readline())
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f'the job failed: {status}'
        return os.WIFSIGNALED(status)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)


@contextlib.contextmanager
def running_killer() -> Iterator[Killer]:
    it = Killer()
    try:
        yield it
    finally:
        it.close()


def moments(count: int, low: float, high: float, seed: int) -> list[float]:
    """Random moments in seconds, the same every time."""
    rng = random.Random(seed)
    return [rng.uniform(low, high) for _ in range(count)]


if __name__ == '__main__':
    zygote()
