# SPDX-License-Identifier: MIT
"""Images and checkpoints of the official SelaVPR, by the formula of formula_weights.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from selavpr_model.benchmark.formula_weights import formula_tensor, official_name
from selavpr_model.config import ModelConfig
from selavpr_model.features.network import SelaVPR
from selavpr_model.features.vit import SIZES


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


def write_official_checkpoint(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """A `.pth` as the official training script writes it: DataParallel names, numpy recalls."""
    data = {
        'epoch_num': 7,
        'model_state_dict': {f'module.{k}': v for k, v in state.items()},
        'optimizer_state_dict': {'state': {}, 'param_groups': [{'lr': 1e-5}]},
        'recalls': np.array([90.8, 96.4, 97.2]),
        'best_r5': np.float64(96.4),
        'not_improved_num': 0,
    }
    torch.save(data, path)
