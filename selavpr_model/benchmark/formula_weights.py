# SPDX-License-Identifier: MIT
"""Weights made by a formula, the same on every machine.

They stand in for weights that are not at hand where only speed is measured. The official
implementation's outputs with them are known (tests/features/data).
"""

from __future__ import annotations

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
