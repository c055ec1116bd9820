# SPDX-License-Identifier: MIT
"""How much the benchmark measures, what it is to reach, and how times are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import os
import statistics
import time

from selavpr_model.runtime.native import LIMIT

FP32_BYTES = 61 * 61 * 128 * 4  # dense local features of one place at 224 x 224


@dataclass(frozen=True, slots=True)
class Scale:
    """Counts; `rounds` are interleaved, after one that is not counted."""

    rounds: int = 7
    places: int = 200  # real ones, with local features
    places_vitl: int = 40
    map_rows: int = 10_000
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    ks: tuple[int, ...] = (5, 20, 50, 100)
    steering: int = 2_000  # real places that global features of large maps are made of
    searches: int = 60
    open_rows: int = 100_000
    queries: int = 1_000  # of a validation set
    orders: int = 25  # queries whose order is compared with the reference's
    sent: int = 100  # answers published
    starts: int = 3  # processes


QUICK = Scale(2, 12, 12, 300, (200, 1_000), (2, 5), 12, 5, 2_000, 6, 4, 5, 1)


@dataclass(slots=True)
class Result:
    """values: flat dotted keys; settings: what the run depended on."""

    values: dict[str, float] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)

    def ratio(self, key: str, plain: list[float], ours: list[float]) -> None:
        """Median of the reference over ours, and both in ms."""
        self.values[f'ratio.{key}'] = statistics.median(plain) / statistics.median(ours)
        self.values[f'ms.{key}.reference'] = statistics.median(plain)
        self.values[f'ms.{key}.p50'] = statistics.median(ours)


GOALS: dict[str, tuple[str, float]] = {
    'ratio.forward.vitl': ('>=', 3.5),
    'ratio.forward.vits': ('>=', 2.5),
    'ratio.rerank_exact.k100': ('>=', 6.0),
    'same_top20.rerank_exact.k100': ('>=', 0.99),
    'ratio.rerank_compact.k100': ('>=', 25.0),
    'ratio.query.vitl.k100': ('>=', 10.0),
    'ms.query.vits.k20.p50': ('<=', 70.0),
    's.start.first_answer': ('<=', 6.0),
    'bytes_per_place.compact': ('<=', FP32_BYTES / 16),
    'bytes_per_place.tiny': ('<=', 60_000),
    'retention.compact.top1_agreement': ('>=', 98.0),
    'retention.compact.recall_at_1_delta': ('>=', -0.5),
    'retention.tiny.recall_at_1_delta': ('>=', -1.5),
    'open.100k.s': ('<=', 2.0),
    'open.100k.mb_beyond_global': ('<=', 200.0),
    'index.1m.recall_at_100': ('>=', 0.98),
    'index.1m.speedup': ('>=', 20.0),
}


def met(key: str, value: float) -> bool | None:
    """Whether a figure reaches its goal; None where it has none."""
    if key not in GOALS:
        return None
    sign, goal = GOALS[key]
    return value >= goal if sign == '>=' else value <= goal


def interleaved(tasks: dict[str, Callable[[int], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each task in each round, one after the other; round 0 is not counted."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task(number)
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: values[1:] for name, values in times.items()}


def settings() -> dict[str, object]:
    """The machine and the versions; threads are those of torch and faiss."""
    import faiss
    import torch

    from selavpr_model.features.engines.choice import cpu_name
    from selavpr_model.matching.kernel import instruction_sets, library
    from selavpr_model.runtime.version import software_version

    return {
        'machine': cpu_name(),
        'instruction_sets': instruction_sets(),
        'isa_limit': os.environ.get(LIMIT, ''),
        'threads': torch.get_num_threads(),
        'faiss_threads': faiss.omp_get_max_threads(),
        'kernel': 'torch' if library() is None else 'native',
        'versions': {
            'selavpr': software_version(),
            'torch': torch.__version__,
            'faiss': faiss.__version__,
        },
    }
