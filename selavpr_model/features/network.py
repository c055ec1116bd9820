# SPDX-License-Identifier: MIT
"""SelaVPR: one image in, one global feature to retrieve with and a grid of local ones to re-rank.

Lu et al., "Towards Seamless Adaptation of Pre-trained Models for Visual Place Recognition",
ICLR 2024. Where paper and released code differ, this follows the code, as its weights do.
"""

from __future__ import annotations

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from selavpr_model.config import ModelConfig
from selavpr_model.features.vit import grid_of, VisionTransformer


class GeM(nn.Module):
    """Generalised mean over the grid, `mean(max(x, eps)^p)^(1/p)` (Radenovic et al. 2018)."""

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))
        self.eps = eps

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) -> (B, dim)."""
        return tokens.clamp(min=self.eps).pow(self.p).mean(dim=1).pow(1.0 / self.p)


class Projection(nn.Linear):
    """A linear map in float32 under autocast and behind half precision: whitening enlarges
    rounding errors."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class LocalAdaptation(nn.Module):
    """Up-convolution of the token grid to dense local features: n -> 4n - 3 cells a side."""

    def __init__(self, dim: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.up1 = nn.ConvTranspose2d(dim, hidden, 3, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(hidden, channels, 3, stride=2, padding=1)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, dim, n, m) -> (B, channels, 4n - 3, 4m - 3)."""
        return self.up2(F.relu(self.up1(grid)))


class SelaVPR(nn.Module):
    """RGB in [0, 1] in, unit features out; owns the input normalisation."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = VisionTransformer(config)
        self.gem = GeM()
        self.projection: Projection | None = None
        if config.projection:
            self.projection = Projection(self.backbone.dim, config.projection)
        self.local: LocalAdaptation | None = None
        if config.local_head == 'upconv':
            dim, hidden = self.backbone.dim, config.local_hidden
            self.local = LocalAdaptation(dim, hidden, config.local_channels)
        imagenet = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        self.register_buffer('mean', imagenet[0].view(3, 1, 1), persistent=False)
        self.register_buffer('std', imagenet[1].view(3, 1, 1), persistent=False)

    def forward(
        self, images: Tensor, position: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) float in [0, 1] RGB -> global (B, D), local (B, h, w, C), tokens (B, N, T).

        All float32; global and local have unit length on the last axis, the patch tokens that they
        are made of have not. H and W are multiples of 14. position: as VisionTransformer takes it.
        """
        tokens, cls = self.backbone((images - self.mean) / self.std, position)
        rows, columns = grid_of(images.shape[-2], images.shape[-1])
        local = self.local_features(tokens, rows, columns)
        return self.global_feature(tokens, cls), local, tokens.float()

    def describe(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> global features (B, D) alone; mining needs no more."""
        return self.global_feature(*self.backbone((images - self.mean) / self.std))

    def global_feature(self, tokens: Tensor, cls: Tensor) -> Tensor:
        """Patch tokens (B, N, D) and cls token (B, D) -> (B, D) or, projected, (B, projection).

        Each patch token is normalised before the pooling, which the paper omits. The projection
        is ours: it starts as a whitening (whitening.py) and is learned with the adapters.
        """
        pooled = self.pool(tokens, cls)
        return pooled if self.projection is None else unit(self.projection(pooled))

    def pool(self, tokens: Tensor, cls: Tensor) -> Tensor:
        """The same before the projection: (B, D), unit length."""
        return unit(cls if self.config.global_feature == 'cls' else self.gem(unit(tokens)))

    @property
    def global_dim(self) -> int:
        """Length of the global feature."""
        return self.config.projection or self.backbone.dim

    def local_features(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """Raw tokens (B, N, D) -> (B, h, w, C): up-convolved, or the token grid itself."""
        grid = tokens.unflatten(1, (rows, columns))
        if self.local is not None:
            grid = self.local(grid.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return unit(grid)

    def local_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(h, w, C) of the local features for an input of height x width pixels."""
        rows, columns = grid_of(height, width)
        if self.local is None:
            return rows, columns, self.backbone.dim
        return 4 * rows - 3, 4 * columns - 3, self.config.local_channels


def unit(x: Tensor) -> Tensor:
    """Float32 with unit length on the last axis; half precision would lose the small values."""
    return F.normalize(x.float(), dim=-1)
