# SPDX-License-Identifier: MIT
"""The architecture that tensors belong to, read off their names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import re
from typing import Any

from torch import Tensor

from selavpr_model.config import ModelConfig
from selavpr_model.errors import ConfigError, WeightsError
from selavpr_model.features.vit import PATCH, SIZES


def infer_config(tensors: Mapping[str, Tensor], path: Path) -> ModelConfig:
    """Read the architecture off the tensors' names and shapes; WeightsError when it is no ViT."""
    widths = {size.dim: name for name, size in SIZES.items()}
    cls = _shape(tensors, 'backbone.cls_token', 3)
    patch = _shape(tensors, 'backbone.patch_embed.proj.weight', 4)
    if cls is None or cls[-1] not in widths or (patch and patch[-1] != PATCH):
        some = ', '.join(printable(k) for k in sorted(tensors)[:3]) or 'no tensor'
        size = f'; its patches have {patch[-1]} pixels, not {PATCH}' if patch else ''
        raise WeightsError(
            f'weights: {path} is neither SelaVPR nor DINOv2 (it holds {some}, ...{size}); '
            'see `selavpr weights list` for what to take'
        )
    dim = cls[-1]
    numbers = [int(m[1]) for k in tensors if (m := re.match(r'backbone\.blocks\.(\d{1,4})\.', k))]
    registers = _shape(tensors, 'backbone.register_tokens', 3)
    serial = _shape(tensors, 'backbone.blocks.0.serial.down.weight', 2)
    parallel = _shape(tensors, 'backbone.blocks.0.parallel.down.weight', 2)
    down = serial or parallel
    up1, up2 = _shape(tensors, 'local.up1.weight', 4), _shape(tensors, 'local.up2.weight', 4)
    plain = down is None and registers is not None  # Meta's own register models
    values: dict[str, Any] = {
        'backbone': widths[dim],
        'registers': 0 if registers is None else registers[1],
        'blocks': max(numbers, default=-1) + 1,
        'final_norm': 'backbone.norm.weight' in tensors,
        'serial_adapter': serial is not None,
        'parallel_adapter': parallel is not None,
        'local_head': 'tokens' if up1 is None else 'upconv',
        'pos_offset': 0.0 if plain else 0.1,
        'pos_antialias': plain,
    }
    if down is not None:
        values['adapter_ratio'] = down[0] / dim
    if up1 is not None and up2 is not None:
        values |= {'local_hidden': up1[1], 'local_channels': up2[1]}
    try:
        return ModelConfig(**values)
    except ConfigError as error:
        raise WeightsError(f'weights: {path}: {error}') from error


def _shape(tensors: Mapping[str, Tensor], name: str, ndim: int) -> tuple[int, ...] | None:
    """The shape of a tensor, None where it is not there or has another number of dimensions."""
    tensor = tensors.get(name)
    return None if tensor is None or tensor.ndim != ndim else tuple(tensor.shape)


def printable(name: str) -> str:
    """A tensor's name out of a file of a stranger, fit for one line."""
    return ''.join(c if c.isprintable() else '?' for c in name[:80])
