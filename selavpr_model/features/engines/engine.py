# SPDX-License-Identifier: MIT
"""What runs the network: torch as it stands, the fused form on CPUs, or TensorRT.

An engine that cannot run here raises EngineError, and `first_that_runs` takes the next one with a
single line about it. None of them changes the model's fingerprint: it is the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import itertools
import logging
import time

import torch
from torch import Tensor

from selavpr_model.errors import EngineError
from selavpr_model.features.engines import tensorrt
from selavpr_model.features.engines.fused import FusedSelaVPR
from selavpr_model.features.engines.int8 import Int8SelaVPR
from selavpr_model.features.engines.linears import bf16_is_fast, packed_linear
from selavpr_model.features.network import SelaVPR

log = logging.getLogger(__name__)

DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}
Run = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Engine:
    """run: (B, 3, H, W) float32 in [0, 1] on the device -> global, local, tokens, as SelaVPR."""

    name: str
    precision: str
    run: Run

    def __str__(self) -> str:
        return f'{self.name} {self.precision}'


def build(
    network: SelaVPR, size: tuple[int, int], name: str, precision: str, digest: str = ''
) -> Engine:
    """One engine, tried on an image; EngineError says why it cannot run here, and the cure.

    size: (H, W) of the input in px; digest: of the weights, by which TensorRT's files are found.
    """
    if name == 'tensorrt':
        return Engine(name, precision, tensorrt.load(network, size, precision, digest))
    if name == 'eager':
        return Engine(name, precision, _eager(network, precision))
    start = time.perf_counter()
    try:
        run = _fused(network, size, precision)
        with torch.inference_mode():
            run(torch.zeros(1, 3, *size))
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        raise EngineError(f'oneDNN refuses it ({str(error).splitlines()[0]})') from error
    log.info('fused %s engine ready after %.1f s', precision, time.perf_counter() - start)
    return Engine(name, precision, run)


def _eager(network: SelaVPR, precision: str) -> Run:
    if precision == 'fp32':
        return network
    if precision not in DTYPES:
        raise EngineError(f'the eager engine has no {precision}; use fused')
    kind, dtype = network.mean.device.type, DTYPES[precision]

    def run(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(kind, dtype):
            return network(images)

    return run


def _fused(network: SelaVPR, size: tuple[int, int], precision: str) -> Run:
    if network.mean.device.type != 'cpu':
        raise EngineError('the fused engine runs on CPUs; use eager or tensorrt')
    if precision == 'fp32':
        return FusedSelaVPR(network, size, packed_linear(torch.float32), torch.float32)
    if precision == 'int8':
        return Int8SelaVPR(network, size)
    if precision != 'bf16':
        raise EngineError(f'the fused engine has no {precision}; use fp32, bf16 or int8')
    if not bf16_is_fast():
        raise EngineError('this CPU has no bf16 instructions (avx512_bf16); use fp32')
    return FusedSelaVPR(network, size, packed_linear(torch.bfloat16), torch.bfloat16)


def candidates(device: torch.device) -> list[tuple[str, str]]:
    """(engine, precision) worth measuring on a device, the plainest first."""
    if device.type == 'cuda':
        return [('eager', 'fp32'), ('eager', 'fp16')]
    return [('fused', 'fp32'), ('fused', 'bf16'), ('fused', 'int8')]


def first_that_runs(
    network: SelaVPR, size: tuple[int, int], choices: Iterable[tuple[str, str]], digest: str
) -> Engine:
    """The first of `choices` that can be built; a warning tells what was passed over and why.

    (eager, fp32) always runs, so it stands behind whatever is wanted.
    """
    passed: list[str] = []
    seen: set[tuple[str, str]] = set()
    for name, precision in itertools.chain(choices, [('eager', 'fp32')]):
        if (name, precision) in seen:
            continue
        seen.add((name, precision))
        try:
            engine = build(network, size, name, precision, digest)
        except EngineError as error:
            passed.append(f'{name} {precision}: {error}')
            continue
        if passed:
            log.warning('engine: running %s instead of %s', engine, '; '.join(passed))
        return engine
    raise AssertionError('unreachable: eager fp32 needs nothing')
