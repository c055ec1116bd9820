# SPDX-License-Identifier: MIT
"""Global features of training images as the network in training has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

from selavpr_model.config.training import TrainConfig
from selavpr_model.features.engines.engine import DTYPES
from selavpr_model.features.network import SelaVPR
from selavpr_model.runtime import distributed
from selavpr_model.training.batches import Views

AT_ONCE = 16  # images of a forward pass


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """fp32 as it is; bf16 and fp16 where the operator allows it."""
    return torch.autocast(device.type, DTYPES.get(precision), enabled=precision != 'fp32')


@torch.inference_mode()
def global_features(
    network: SelaVPR,
    views: Views,
    rows: Sequence[int],
    config: TrainConfig,
    pooled: bool = False,
) -> np.ndarray:
    """(n, D) float32 of the images as they are, each process its share; NaN where one is broken.

    pooled: before the projection.
    """
    share, device = list(rows)[distributed.rank() :: distributed.world()], network.mean.device
    dim = network.backbone.dim if pooled else network.global_dim
    out = np.full((len(share), dim), np.nan, np.float32)
    for start in range(0, len(share), AT_ONCE):
        images = views.plain(share[start : start + AT_ONCE])
        whole = [i for i, image in enumerate(images) if image is not None]
        ready = [_sized(image, config.image_px) for image in images if image is not None]
        if not ready:
            continue
        with autocast(device, config.precision):
            x = (torch.cat(ready).to(device) - network.mean) / network.std
            tokens, cls = network.backbone(x)
            features = (network.pool if pooled else network.global_feature)(tokens, cls)
        out[start + np.array(whole)] = features.float().cpu().numpy()
    return distributed.gather_rows(out, len(rows))


def _sized(image: np.ndarray, side: int) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, side, side) float32 in [0, 1], as the extractor resizes."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float().div(255)
    return F.interpolate(x, (side, side), mode='bilinear')
