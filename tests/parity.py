# SPDX-License-Identifier: MIT
"""Checkpoints as the official training script writes them, with the formula's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from selavpr_model.benchmark.formula_weights import formula_image, official_state

__all__ = ['formula_image', 'official_state', 'write_official_checkpoint']


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
