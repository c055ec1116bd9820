# SPDX-License-Identifier: MIT
"""Which number format this machine runs the network fastest in: measured once, recorded."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
import platform
import statistics
import time

import torch

from selavpr_model.network import SelaVPR
from selavpr_model.weights import home

log = logging.getLogger(__name__)

DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}
WORTH = 1.15  # half precision moves single queries, so it must be clearly faster
ROUNDS = 5


def choose_precision(network: SelaVPR, size: tuple[int, int], asked: str) -> str:
    """'fp32', 'bf16' or 'fp16'; 'auto' takes the recorded measurement or makes it."""
    if asked != 'auto':
        return asked
    device = network.mean.device
    key = _machine_key(network, size, device)
    record = _read()
    if key not in record:
        record[key] = measure(network, size, device)
        _write(record)
    times = record[key]
    fastest = min(times, key=lambda name: times[name])
    return fastest if times['fp32'] / times[fastest] > WORTH else 'fp32'


def measure(network: SelaVPR, size: tuple[int, int], device: torch.device) -> dict[str, float]:
    """Median milliseconds of one forward pass in each format, interleaved."""
    names = ['fp32', 'bf16'] if device.type == 'cpu' else ['fp32', 'fp16']
    image = torch.rand(1, 3, *size, device=device)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS + 1):
        for name in names:
            times[name].append(_forward_ms(network, image, name))
    medians = {name: round(statistics.median(t[1:]), 3) for name, t in times.items()}
    log.info('measured one forward pass on %s: %s ms', device, medians)
    return medians


def _forward_ms(network: SelaVPR, image: torch.Tensor, name: str) -> float:
    kind = image.device.type
    start = time.perf_counter()
    with torch.inference_mode(), torch.autocast(kind, DTYPES.get(name), enabled=name != 'fp32'):
        network(image)
    if kind == 'cuda':
        torch.cuda.synchronize(image.device)
    return (time.perf_counter() - start) * 1e3


def _machine_key(network: SelaVPR, size: tuple[int, int], device: torch.device) -> str:
    chip = torch.cuda.get_device_name(device) if device.type == 'cuda' else _cpu_name()
    config = network.config
    model = f'{config.backbone}/{config.blocks}/{config.local_head}/{size[0]}x{size[1]}'
    return f'{chip} | torch {torch.__version__} | {torch.get_num_threads()} threads | {model}'


def _cpu_name() -> str:
    """Model name and the flags that decide, since virtual machines hide the model."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    model = next((x.split(':')[1].strip() for x in lines if x.startswith('model name')), 'CPU')
    flags = next((x for x in lines if x.startswith(('flags', 'Features'))), '').split()
    fast = [flag for flag in ('avx512_bf16', 'amx_bf16', 'bf16') if flag in flags]
    return ' '.join([model, *fast])


def _path() -> Path:
    return home() / 'precision.json'


def _read() -> dict[str, dict[str, float]]:
    try:
        record = json.loads(_path().read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {k: v for k, v in record.items() if isinstance(v, dict) and 'fp32' in v}


def _write(record: dict[str, dict[str, float]]) -> None:
    """Best effort: a read-only home only means measuring again next time."""
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        part = _path().with_suffix(f'.{os.getpid()}')
        part.write_text(json.dumps(record, indent=2, sort_keys=True))
        part.replace(_path())
    except OSError as error:
        log.warning('cannot record the measured precision in %s: %s', _path(), error)
