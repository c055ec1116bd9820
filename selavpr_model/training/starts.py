# SPDX-License-Identifier: MIT
"""The start of the global projection: PCA whitening (Jegou and Chum, ECCV 2012) of the pooling.

GeM features of one backbone share a few strong axes that tell scenes of a kind from those of
another, not places apart. Scaling every axis to the same spread lets the weak ones be heard.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from selavpr_model.errors import InputError


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
