# SPDX-License-Identifier: MIT
"""Which engine and number format this machine runs fastest: measured once, recorded."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
import logging
import os
from pathlib import Path
import platform
import statistics
import time

import torch

from selavpr_model.errors import EngineError
from selavpr_model.features.engines.engine import build, candidates, Engine, first_that_runs
from selavpr_model.features.network import SelaVPR
from selavpr_model.runtime.home import home
from selavpr_model.runtime.native import allowed_sets

log = logging.getLogger(__name__)

# Fewer bits move single queries, so a precision must be clearly faster to be taken: half precision
# 1.15 times as fast as fp32, int8 1.3 times as fast as half precision.
WORTH = {'fp32': 1.0, 'bf16': 1.15, 'fp16': 1.15, 'int8': 1.15 * 1.3}
ROUNDS = 5
FAST = (
    'avx2', 'avx_vnni', 'avx512_vnni', 'avx512_bf16', 'amx_int8', 'amx_bf16',
    'asimddp', 'i8mm', 'bf16',
)  # fmt: skip
"""Flags of /proc/cpuinfo that decide."""


def choose_engine(
    network: SelaVPR, size: tuple[int, int], engine: str, precision: str, digest: str
) -> Engine:
    """The engine asked for, or for 'auto' the fastest by the recorded measurement or a new one.

    Where it cannot run, the next one does and a warning says why.
    """
    wanted = _wanted(network, size, engine, precision, digest)
    return first_that_runs(network, size, wanted, digest)


def _wanted(
    network: SelaVPR, size: tuple[int, int], engine: str, precision: str, digest: str
) -> Iterator[tuple[str, str]]:
    """What is asked for, then what is nearest to it; nothing is measured before it is needed."""
    usual = candidates(network.mean.device)
    if not any(engine in ('auto', n) and precision in ('auto', p) for n, p in usual):
        kind = 'fp16' if engine == 'tensorrt' else 'fp32'
        yield 'eager' if engine == 'auto' else engine, kind if precision == 'auto' else precision
    for name, kind in usual:
        if engine in ('auto', name) and precision == kind:
            yield name, kind
    yield from _by_speed(network, size, usual, digest)


def _by_speed(
    network: SelaVPR, size: tuple[int, int], pairs: list[tuple[str, str]], digest: str
) -> list[tuple[str, str]]:
    """The pairs, fastest first, by what fewer bits are worth."""
    engines = []
    key = _machine_key(network, size, network.mean.device)
    record = _read()
    if key not in record:
        for pair in pairs:
            with contextlib.suppress(EngineError):
                engines.append(build(network, size, *pair, digest))
        record[key] = measure(engines, size, network.mean.device)
        _write(record)
    times = record[key]
    there = [pair for pair in pairs if ' '.join(pair) in times]
    return sorted(there, key=lambda pair: times[' '.join(pair)] * WORTH[pair[1]])


def measure(
    engines: list[Engine], size: tuple[int, int], device: torch.device
) -> dict[str, float]:
    """Median milliseconds of one forward pass in each engine, interleaved."""
    image = torch.rand(1, 3, *size, device=device)
    times: dict[str, list[float]] = {str(engine): [] for engine in engines}
    for _ in range(ROUNDS + 1):
        for engine in engines:
            times[str(engine)].append(_forward_ms(engine, image))
    medians = {name: round(statistics.median(t[1:]), 3) for name, t in times.items()}
    log.info('measured one forward pass on %s: %s ms', device, medians)
    return medians


def _forward_ms(engine: Engine, image: torch.Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        engine.run(image)
    if image.device.type == 'cuda':
        torch.cuda.synchronize(image.device)
    return (time.perf_counter() - start) * 1e3


def _machine_key(network: SelaVPR, size: tuple[int, int], device: torch.device) -> str:
    chip = torch.cuda.get_device_name(device) if device.type == 'cuda' else _cpu()
    config = network.config
    adapters = f'{config.serial_adapter:d}{config.parallel_adapter:d}'
    model = f'{config.backbone}/{config.blocks}/{adapters}/{config.local_head}/{size[0]}x{size[1]}'
    return f'{chip} | torch {torch.__version__} | {torch.get_num_threads()} threads | {model}'


def _cpu() -> str:
    """Its name and what of it may be used: by our kernels and by torch."""
    return f'{cpu_name()} up to {allowed_sets()[-1]} and {torch.backends.cpu.get_cpu_capability()}'


def cpu_name() -> str:
    """Model name and the flags that decide, since virtual machines hide the model."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    model = next((x.split(':')[1].strip() for x in lines if x.startswith('model name')), 'CPU')
    flags = next((x for x in lines if x.startswith(('flags', 'Features'))), '').split()
    return ' '.join([model, *(flag for flag in FAST if flag in flags)])


def _path() -> Path:
    return home() / 'precision.json'


def _read() -> dict[str, dict[str, float]]:
    try:
        record = json.loads(_path().read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {
        k: v
        for k, v in record.items()
        if isinstance(v, dict) and any(name.endswith(' fp32') for name in v)
    }


def _write(record: dict[str, dict[str, float]]) -> None:
    """Best effort: a read-only home only means measuring again next time."""
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        part = _path().with_suffix(f'.{os.getpid()}')
        part.write_text(json.dumps(record, indent=2, sort_keys=True))
        part.replace(_path())
    except OSError as error:
        log.warning('cannot record the measured precision in %s: %s', _path(), error)
