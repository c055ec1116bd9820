# SPDX-License-Identifier: MIT
"""What learns, how fast, and how the losses are weighed."""

from __future__ import annotations

import math

import torch
from torch import nn, Tensor

from selavpr_model.config.training import TrainConfig
from selavpr_model.features.checkpoint import is_adapter
from selavpr_model.features.network import SelaVPR


def choose_trained(network: SelaVPR, config: TrainConfig) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name; all others are frozen."""
    chosen = {}
    for name, value in network.named_parameters():
        learns = config.train_backbone or is_adapter(name)
        if name.startswith('backbone.blocks.') and not config.train_backbone:
            learns &= int(name.split('.')[2]) >= config.first_adapter
        if config.freeze_global:
            learns = name.startswith('local.')
        if name == 'gem.p' and network.config.global_feature == 'cls':
            learns = False  # it gets no gradient, and DistributedDataParallel would wait for one
        value.requires_grad_(learns)
        if learns:
            chosen[name] = value
    return chosen


def make_optimizer(trained: dict[str, nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """Adam, or AdamW with a decay; heads in a group with a rate of their own."""
    heads = [p for k, p in trained.items() if not k.startswith('backbone.')]
    adapters = [p for k, p in trained.items() if k.startswith('backbone.')]
    groups = [(adapters, 1.0), (heads, config.head_rate)]
    return torch.optim.AdamW(
        [{'params': p, 'factor': factor} for p, factor in groups if p],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate of a step: a linear warm-up, then constant or half a cosine down to zero."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == 'constant':
        return config.learning_rate
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def weighted(terms: dict[str, Tensor], config: TrainConfig) -> Tensor:
    weights = {
        'global': 0.0 if config.freeze_global else config.global_weight,
        'local': config.local_weight,
        'correspondence': config.correspondence_weight,
    }
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
