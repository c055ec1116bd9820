# SPDX-License-Identifier: MIT
"""TensorRT through torch_tensorrt: built once by `selavpr export`, then loaded from the cache.

Written against its documentation; no GPU was at hand, so nothing here but the refusals has run.
"""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import importlib
import logging
from pathlib import Path
import time
from typing import Any

import torch
from torch import nn, Tensor

from selavpr_model.errors import EngineError
from selavpr_model.features.network import SelaVPR
from selavpr_model.runtime.home import home

log = logging.getLogger(__name__)

BATCH = 8  # images a call at most; more are split
PRECISION = 'fp16'
OUTPUTS = 'global, local, tokens'  # engines of other outputs are not these
INSTALL = 'pip install torch-tensorrt on a machine with an NVIDIA GPU, then run selavpr export'


class HalfSelaVPR(nn.Module):
    """The network in half precision, float32 outside; `unit` normalises in float32 either way."""

    def __init__(self, network: SelaVPR) -> None:
        super().__init__()
        self.network = network.half()
        if network.projection is not None:
            network.projection.float()  # as under autocast

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        global_, local, tokens = self.network(images.half())
        return global_.float(), local.float(), tokens.float()


def export_program(network: nn.Module, size: tuple[int, int], device: str) -> Any:
    """torch.export of the network with a batch of 1 to BATCH."""
    example = torch.zeros(2, 3, *size, device=device)
    return torch.export.export(network, (example,), dynamic_shapes=_shapes())


def load(
    network: SelaVPR, size: tuple[int, int], precision: str, digest: str
) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
    """The engine built for these weights on this GPU; EngineError where there is none."""
    trt = _library(network.mean.device, precision)
    path = engine_path(size, digest, trt, network.mean.device)
    if not path.is_file():
        raise EngineError(f'no engine was built for these weights ({path}); run selavpr export')
    start = time.perf_counter()
    module = trt.load(str(path)).module()
    log.info('TensorRT engine %s loaded in %.1f s', path, time.perf_counter() - start)

    def run(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = [module(part) for part in images.split(BATCH)]
        global_, local, tokens = (torch.cat(whole) for whole in zip(*parts, strict=True))
        return global_, local, tokens

    return run


def build(network: SelaVPR, size: tuple[int, int], digest: str) -> Path:
    """Build the engine into the cache; takes minutes, told to the log. The network is halved.

    EngineError where TensorRT is not there or does not take the network.
    """
    device = network.mean.device
    trt = _library(device, PRECISION)
    path = engine_path(size, digest, trt, device)
    if path.is_file():
        return path
    log.info('exporting the network, then building with TensorRT: this takes minutes')
    start = time.perf_counter()
    try:
        _build(network, size, trt, path)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise EngineError(f'TensorRT does not build it ({error}); use engine eager') from error
    log.info('built %s in %.0f s', path, time.perf_counter() - start)
    return path


def _build(network: SelaVPR, size: tuple[int, int], trt: Any, path: Path) -> None:
    device = network.mean.device
    program = export_program(HalfSelaVPR(network), size, str(device))
    smallest, largest = (1, 3, *size), (BATCH, 3, *size)
    batch = trt.Input(min_shape=smallest, opt_shape=smallest, max_shape=largest)
    module = trt.dynamo.compile(program, arg_inputs=[batch], use_explicit_typing=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part.ep')
    example = torch.zeros(2, 3, *size, device=device)
    trt.save(module, str(part), arg_inputs=[example], dynamic_shapes=_shapes())
    part.replace(path)


def _shapes() -> dict[str, dict[int, Any]]:
    return {'images': {0: torch.export.Dim('batch', min=1, max=BATCH)}}


def engine_path(size: tuple[int, int], digest: str, trt: Any, device: torch.device) -> Path:
    """Where the engine of these weights, this input, these versions and this GPU is kept."""
    tensorrt = importlib.import_module('tensorrt')
    gpu = torch.cuda.get_device_name(device)
    parts = [digest, *size, PRECISION, BATCH, OUTPUTS, trt.__version__, tensorrt.__version__, gpu]
    key = hashlib.sha256('|'.join(map(str, parts)).encode()).hexdigest()
    return home() / 'engines' / f'{key[:24]}.ep'


def _library(device: torch.device, precision: str) -> Any:
    if device.type != 'cuda':
        raise EngineError(f'it needs an NVIDIA GPU and the device is {device}; {INSTALL}')
    if precision != PRECISION:
        raise EngineError(f'it is built in {PRECISION}, not {precision}')
    try:
        return importlib.import_module('torch_tensorrt')
    except (ImportError, OSError) as error:
        raise EngineError(f'torch_tensorrt cannot be imported ({error}); {INSTALL}') from error
