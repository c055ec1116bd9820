# SPDX-License-Identifier: MIT
"""A start of the local adaptation that already matches: the tokens' main axes, upsampled."""

from __future__ import annotations

import torch
from torch import Tensor

from selavpr_model.network import LocalAdaptation

# A transposed convolution of kernel 3 and stride 2 with these weights interpolates linearly:
# n cells become 2n - 1, every second one a copy.
_LINEAR = torch.tensor([0.5, 1.0, 0.5])


def principal_axes(tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """tokens (N, D) unit rows -> their mean (D,) and the `count` main axes (count, D) about it."""
    mean = tokens.double().mean(dim=0)
    centred = tokens.double() - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    return mean.float(), vectors.flip(1)[:, :count].T.float().contiguous()


@torch.no_grad()
def start_with_axes(head: LocalAdaptation, mean: Tensor, axes: Tensor, scale: float) -> None:
    """Make the head compute `axes @ (token - mean)`, interpolated bilinearly, exactly.

    Half of the hidden channels carry it, half its negative, so the ReLU between loses nothing:
    x = relu(x) - relu(-x). axes: (C, D) with C = half the hidden width = the output channels.
    mean: of the tokens as the head sees them, before normalisation; scale: a typical token length,
    which keeps the weights of an ordinary size. The border cells interpolate as the others.
    """
    channels = len(axes)
    kernel = torch.outer(_LINEAR, _LINEAR)
    both = torch.cat([axes, -axes]) / scale
    head.up1.weight.copy_(torch.einsum('cd,hw->dchw', both, kernel))
    assert head.up1.bias is not None and head.up2.bias is not None
    head.up1.bias.copy_(-both @ mean)
    eye = torch.eye(channels)
    head.up2.weight.copy_(torch.einsum('cd,hw->cdhw', torch.cat([eye, -eye]), kernel))
    head.up2.bias.zero_()
