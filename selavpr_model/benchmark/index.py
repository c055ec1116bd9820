# SPDX-License-Identifier: MIT
"""Search in maps up to a million places, and opening a large one."""

from __future__ import annotations

from pathlib import Path
import statistics
import subprocess
import sys

import numpy as np

from selavpr_model.benchmark.features import changed, Growth
from selavpr_model.benchmark.maps import place
from selavpr_model.benchmark.scale import interleaved, Result, Scale
from selavpr_model.config import MapConfig
from selavpr_model.maps.index import needs_index, VectorIndex
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import save_map
from selavpr_model.records import Features, ModelIdentity

K = 100
GRID = (2, 2, 8)  # of the map that is only opened: local features are never read then
OPEN = """
import resource, sys, time
from selavpr_model.maps.storage.store import open_map
import faiss
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()
before, start = resident(), time.perf_counter()
place_map = open_map(sys.argv[1])
place_map.search(place_map.global_(0), 20)
print(time.perf_counter() - start, resident() - before)
"""


def name_of(rows: int) -> str:
    """1000 -> 1k, 1000000 -> 1m."""
    units = ((1_000_000, 'm'), (1_000, 'k'))
    return next((f'{rows // n}{u}' for n, u in units if rows % n == 0), str(rows))


def search(
    real: np.ndarray, before: np.ndarray, after: np.ndarray, scale: Scale, result: Result
) -> None:
    """Flat L2 over all rows against the map's own index, one query at a time.

    real: (n, D) float32, of which maps of each size are made; before, after: (m, D), the same
    places twice, whose change of appearance the queries get.
    """
    growth = Growth(real).fit(min(max(scale.sizes), 100_000))
    vectors = growth.grow(max(scale.sizes))
    for rows in scale.sizes:
        chosen = np.linspace(0, rows - 1, scale.searches + 1).astype(int)
        queries = changed(vectors[chosen], before, after, seed=1)
        _search(vectors[:rows], queries, scale, result, f'index.{name_of(rows)}')


def _search(
    vectors: np.ndarray, queries: np.ndarray, scale: Scale, result: Result, key: str
) -> None:
    import faiss

    flat, ours = faiss.IndexFlatL2(vectors.shape[1]), _index(vectors)
    flat.add(np.ascontiguousarray(vectors))
    k = min(K, len(vectors))
    truth: dict[int, np.ndarray] = {}
    rows_of: dict[int, np.ndarray] = {}

    def one(number: int) -> np.ndarray:
        return queries[number % len(queries)]

    def plain(number: int) -> None:
        truth[number] = flat.search(one(number)[None], k)[1][0]

    def quick(number: int) -> None:
        rows_of[number] = ours.search(one(number), k)[0]

    times = interleaved({'plain': plain, 'ours': quick}, scale.searches)
    flat_ms, our_ms = (statistics.median(times[name]) for name in ('plain', 'ours'))
    recalls = [np.isin(truth[n], rows_of[n]).mean() for n in truth]
    result.values[f'{key}.recall_at_100'] = float(np.mean(recalls))
    result.values[f'{key}.speedup'] = flat_ms / our_ms
    result.values[f'{key}.ms_flat'], result.values[f'{key}.ms'] = flat_ms, our_ms


def _index(vectors: np.ndarray) -> VectorIndex:
    """As a map of this size has it."""
    config, (rows, dim) = MapConfig(), vectors.shape
    index = VectorIndex(dim, False, vectors)
    if needs_index(rows, dim, config.index):
        coarse = index.trained(rows, config.index_refine)
        return VectorIndex(dim, False, vectors, coarse)
    return index


def opening(real: np.ndarray, folder: Path, scale: Scale, result: Result) -> None:
    """Open a map of many places in a process of its own and search it once.

    Its local features are tiny: opening never reads them, and 100,000 real ones are 12 GB.
    """
    global_ = Growth(real).grow(scale.open_rows)
    path = folder / 'large'
    save_map(large_map(global_), path)
    times, sizes = zip(*[_open(path) for _ in range(3)], strict=True)
    key = f'open.{name_of(scale.open_rows)}'
    result.values[f'{key}.s'] = statistics.median(times)
    result.values[f'{key}.mb_resident'] = max(sizes) / 1e6
    result.values[f'{key}.mb_beyond_global'] = (max(sizes) - global_.nbytes) / 1e6


def _open(path: Path) -> tuple[float, float]:
    """Seconds and bytes of resident memory gained."""
    run = subprocess.run(
        [sys.executable, '-c', OPEN, str(path)], check=True, capture_output=True, text=True
    )
    seconds, size = run.stdout.split()[-2:]
    return float(seconds), float(size)


def large_map(global_: np.ndarray) -> PlaceMap:
    """A map with these global features (N, D) and tiny local ones."""
    identity = ModelIdentity('0' * 64, 'benchmark', global_.shape[1], GRID)
    place_map = PlaceMap.empty(identity, MapConfig(thumbnail_px=0, use_gpu_index=False))
    local = np.full(GRID, 1 / np.sqrt(GRID[-1]), np.float32)
    for row, vector in enumerate(global_):
        place_map.add(Features(vector, local), place(row))
    return place_map
