# SPDX-License-Identifier: MIT
"""Weights and images made by a formula, the same everywhere and on every machine.

The official implementation's outputs with them are known (tests/features/data), and they stand in
for weights that are not at hand where only speed is asked: it does not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
import zlib

import numpy as np
import torch

from selavpr_model.config import ModelConfig
from selavpr_model.features.network import SelaVPR
from selavpr_model.features.vit import SIZES


def formula_tensor(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """The tensor of official state-dict key `key`."""
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    r = rng.standard_normal(shape).astype(np.float32)
    if key.endswith('gamma'):
        r = 0.2 + 0.05 * r
    elif 'norm' in key and key.endswith('weight'):
        r = 1 + 0.1 * r
    elif key == 'aggregation.1.p':
        r = np.full(shape, 3.2)
    elif key.endswith('bias'):
        r = 0.02 * r
    elif key.endswith(('cls_token', 'pos_embed', 'register_tokens', 'mask_token')):
        r = 0.2 * r
    else:
        r = r / math.sqrt(math.prod(shape[1:]))
    return torch.from_numpy(np.asarray(r, dtype=np.float32))


def formula_state(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    """Official names -> tensors."""
    return {key: formula_tensor(key, shape, seed) for key, shape in shapes.items()}


def formula_image(index: int) -> np.ndarray:
    """Image `index`: (224, 224, 3) uint8 RGB."""
    small = np.random.default_rng([9, index]).integers(0, 256, (14, 14, 3)).astype(np.float32)
    tensor = torch.from_numpy(small).permute(2, 0, 1)[None]
    large = torch.nn.functional.interpolate(tensor, (224, 224), mode='bilinear')
    return large[0].permute(1, 2, 0).round().numpy().astype(np.uint8)


def official_state(backbone: str, registers: int, seed: int) -> dict[str, torch.Tensor]:
    """Formula weights of the whole official SelaVPR under its own names, without `module.`."""
    config = ModelConfig(backbone=backbone, registers=registers, blocks=SIZES[backbone].depth)
    network = SelaVPR(config)
    shapes = {official_name(k): tuple(v.shape) for k, v in network.state_dict().items()}
    shapes['backbone.mask_token'] = (1, network.backbone.dim)
    return formula_state(shapes, seed)


def official_name(ours: str) -> str:
    """The official state-dict key of one of our parameters."""
    for mine, theirs in (
        ('.serial.', '.adapter1.'),
        ('.parallel.', '.adapter2.'),
        ('.down.', '.D_fc1.'),
        ('.up.', '.D_fc2.'),
        ('gem.p', 'aggregation.1.p'),
        ('local.up', 'LocalAdapt.upconv'),
    ):
        ours = ours.replace(mine, theirs)
    return ours


def formula_network(backbone: str) -> SelaVPR:
    """A whole SelaVPR with these weights."""
    network = SelaVPR(ModelConfig(backbone=backbone, blocks=SIZES[backbone].depth))
    for name, tensor in network.state_dict().items():
        tensor.copy_(formula_tensor(official_name(name), tuple(tensor.shape), seed=0))
    return network.eval()
