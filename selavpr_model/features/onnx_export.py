# SPDX-License-Identifier: MIT
"""The network as an ONNX file, for ONNX Runtime, OpenVINO, TensorRT and whatever else reads it."""

from __future__ import annotations

from collections.abc import Mapping
import copy
import json
import logging
from pathlib import Path
from typing import Any
import warnings

import torch
from torch import nn, Tensor

from selavpr_model.errors import EngineError
from selavpr_model.features.network import SelaVPR
from selavpr_model.features.vit import grid_of
from selavpr_model.runtime.needs import needs

INPUT = 'images'
OUTPUTS = ('global', 'local', 'tokens')
OPSET = 18


class FixedSize(nn.Module):
    """The network for images of one size: position embeddings are numbers, not resampled.

    Resizing is what implementations of ONNX differ in most.
    """

    position: Tensor

    def __init__(self, network: SelaVPR, size: tuple[int, int]) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
        position = self.network.backbone.position(*grid_of(*size))
        self.register_buffer('position', position.detach().clone())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As SelaVPR.forward."""
        return self.network(images, self.position)


def write_onnx(
    path: Path, network: SelaVPR, size: tuple[int, int], about: Mapping[str, Any] | None = None
) -> None:
    """One file (with PATH.data beside it above 2 GB), float32; the network stays as it is.

    Input `images` (B, 3, H, W) float32 RGB in [0, 1]; outputs `global` (B, D), `local`
    (B, h, w, C), `tokens` (B, N, T), as SelaVPR.forward has them. size: (H, W) in px; only B is
    free. about: what the file's metadata says, text or what JSON can hold. EngineError where
    torch does not export it.
    """
    with needs('onnxscript', extra='onnx'):
        program = _program(FixedSize(network, size), size)
    for key, value in (about or {}).items():
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        program.model.metadata_props[key] = text
    part = path.with_name(f'{path.name}.part')
    program.save(part)
    part.replace(path)


def _program(network: FixedSize, size: tuple[int, int]) -> Any:
    example = torch.zeros(2, 3, *size)
    batch = {INPUT: {0: torch.export.Dim('batch', min=1, max=1024)}}
    quiet = logging.getLogger('torch.onnx')
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of torch's own parts
            return torch.onnx.export(
                network, (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=batch,
                input_names=[INPUT], output_names=list(OUTPUTS), verbose=False,
            )  # fmt: skip
    except (RuntimeError, TypeError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise EngineError(f'torch {torch.__version__} does not export it ({said})') from error
    finally:
        quiet.setLevel(level)
