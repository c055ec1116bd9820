# SPDX-License-Identifier: MIT
"""What the two heads begin with, measured on the training images.

The global projection begins as the PCA whitening (Jegou and Chum, ECCV 2012) of the pooled
features. GeM features of one backbone share a few strong axes that tell scenes of a kind from
those of another, not places apart; scaling every axis to the same spread lets the weak ones be
heard. The local adaptation begins as the main axes of the tokens, upsampled: it matches at once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

from selavpr_model.config.training import TrainConfig
from selavpr_model.errors import InputError
from selavpr_model.features.network import LocalAdaptation, SelaVPR
from selavpr_model.training.batches import Views

AXES_IMAGES = 256  # images whose tokens give the main axes of the local head

# A transposed convolution of kernel 3 and stride 2 with these weights interpolates linearly:
# n cells become 2n - 1, every second one a copy.
_LINEAR = torch.tensor([0.5, 1.0, 0.5])


def whitening(features: np.ndarray, width: int, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) features -> weight (width, D) and bias (width,) float32 of `weight @ x + bias`.

    The main axes of the covariance C, each over the root of its variance; `shrinkage` times the
    mean variance is added to all of them, so that axes of mere noise stay quiet. InputError
    unless there are more features than axes.
    """
    count, dim = features.shape
    if not 0 < width <= dim or count <= width:
        raise InputError(
            f'whitening: expected more than {width} images for {width} of {dim} axes, got {count}'
        )
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov(x - mean, rowvar=False))
    variance = np.maximum(variance, 1e-12)
    kept, axes = variance[::-1][:width], axes[:, ::-1][:, :width]
    weight = (axes / np.sqrt(kept + shrinkage * variance.mean())).T
    return weight.astype(np.float32), (-weight @ mean).astype(np.float32)


@torch.no_grad()
def whiten(projection: nn.Linear, features: np.ndarray, shrinkage: float) -> None:
    """Set the projection to the whitening of `features`, scaled to weights of an ordinary size.

    The scale is the inverse root of the mean squared length of the whitened features: the
    normalisation behind takes it out again, but the optimiser's steps are of its size.
    """
    weight, bias = whitening(features, projection.out_features, shrinkage)
    scale = 1.0 / np.sqrt(np.square(features @ weight.T + bias).sum(axis=1).mean())
    projection.weight.copy_(torch.from_numpy(weight * scale))
    projection.bias.copy_(torch.from_numpy(bias * scale))


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


@torch.inference_mode()
def start_local_head(network: SelaVPR, views: Views, config: TrainConfig) -> None:
    """Start the local head with the main axes of the tokens of some training images."""
    if network.local is None:
        return
    rng = np.random.default_rng([config.seed, 7])
    side, tokens = config.image_px, []
    for row in rng.choice(len(views.files), min(AXES_IMAGES, len(views.files)), replace=False):
        image = views.plain([int(row)])[0]
        if image is not None:
            x = torch.from_numpy(image).permute(2, 0, 1)[None].float().div(255)
            x = F.interpolate(x.to(network.mean.device), (side, side), mode='bilinear')
            tokens.append(network.backbone((x - network.mean) / network.std)[0][0, ::4])
    cells = torch.cat(tokens)
    length = float(cells.norm(dim=1).mean())
    mean, axes = principal_axes(cells.cpu(), network.config.local_channels)
    start_with_axes(network.local, mean, axes, length)
