# SPDX-License-Identifier: MIT
"""The DINOv2 vision transformer (Oquab et al. 2023) with SelaVPR's adapters in each block.

The backbone is frozen; only the adapters learn (SelaVPR, ICLR 2024, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn, Tensor
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from selavpr_model.config import ModelConfig
from selavpr_model.errors import ConfigError, InputError

PATCH = 14  # pixels a token, both ways
_PRETRAIN_GRID = 37  # DINOv2's position embedding was learned on 518 / 14 tokens a side


@dataclass(frozen=True, slots=True)
class VitSize:
    """depth: blocks; dim: token width; heads: attention heads; gated: SwiGLU instead of an MLP."""

    depth: int
    dim: int
    heads: int
    gated: bool = False


SIZES = {
    'vits14': VitSize(12, 384, 6),
    'vitb14': VitSize(12, 768, 12),
    'vitl14': VitSize(24, 1024, 16),
    'vitg14': VitSize(40, 1536, 24, gated=True),
}


class Adapter(nn.Module):
    """Bottleneck `up(relu(down(x)))`; `up` starts at zero so that training starts at DINOv2."""

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        self.down = nn.Linear(dim, max(1, int(dim * ratio)))
        self.up = nn.Linear(self.down.out_features, dim)
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(F.relu(self.down(x)))


class Attention(nn.Module):
    """Multi-head self-attention on (B, N, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, dim = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, dim / heads)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, count, dim))


class Mlp(nn.Module):
    """`fc2(gelu(fc1(x)))`, hidden width 4 dim."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class GatedMlp(nn.Module):
    """SwiGLU of ViT-g; its hidden width is 2/3 of 4 dim, rounded up to a multiple of 8."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = (int(4 * dim * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class LayerScale(nn.Module):
    """A learned factor a channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """One transformer block with the two adapters of SelaVPR.

    x = x + ls1(serial(attn(norm1(x))))                      serial(a) = a + adapter(a)
    x = x + ls2(mlp(norm2(x)) + scale * parallel(norm2(x)))
    The released weights scale the adapters by LayerScale too; the paper's Eq. 3-4 leave it out.
    """

    def __init__(self, size: VitSize, config: ModelConfig) -> None:
        super().__init__()
        dim, ratio = size.dim, config.adapter_ratio
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, size.heads)
        self.ls1 = LayerScale(dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = GatedMlp(dim) if size.gated else Mlp(dim)
        self.ls2 = LayerScale(dim)
        self.serial = Adapter(dim, ratio) if config.serial_adapter else None
        self.parallel = Adapter(dim, ratio) if config.parallel_adapter else None
        self.scale = config.adapter_scale

    def forward(self, x: Tensor) -> Tensor:
        attended = self.attn(self.norm1(x))
        if self.serial is not None:
            attended = attended + self.serial(attended)
        x = x + self.ls1(attended)
        normed = self.norm2(x)
        mixed = self.mlp(normed)
        if self.parallel is not None:
            mixed = mixed + self.scale * self.parallel(normed)
        return x + self.ls2(mixed)


class PatchEmbed(nn.Module):
    """(B, 3, H, W) -> (B, H/14 * W/14, dim), row by row."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Normalised images in, patch tokens out; cls and register tokens stay inside."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = SIZES[config.backbone]
        if config.blocks > size.depth:
            raise ConfigError(
                f'ModelConfig.blocks: {config.backbone} has {size.depth} blocks, '
                f'got {config.blocks}; use 1 to {size.depth}'
            )
        self.dim = size.dim
        self.offset, self.antialias = config.pos_offset, config.pos_antialias
        self.checkpointing = False  # recompute the blocks in the backward pass, to save memory
        self.patch_embed = PatchEmbed(size.dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _PRETRAIN_GRID**2, size.dim))
        registers = torch.zeros(1, config.registers, size.dim)
        self.register_tokens = nn.Parameter(registers) if config.registers else None
        self.blocks = nn.ModuleList(Block(size, config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(size.dim, eps=1e-6) if config.final_norm else nn.Identity()

    def forward(self, images: Tensor, position: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> patch tokens (B, H/14 * W/14, dim) and cls token (B, dim).

        position: what `position` gives for this size, where it is known.
        """
        rows, columns = grid_of(images.shape[-2], images.shape[-1])
        x = self.embed(images, self.position(rows, columns) if position is None else position)
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        x = self.norm(x)
        return x[:, -rows * columns :], x[:, 0]

    def embed(self, images: Tensor, position: Tensor) -> Tensor:
        """Patch tokens with position, behind the cls token and the registers, which have none."""
        patches = self.patch_embed(images)
        cls = self.cls_token.expand(images.shape[0], -1, -1)
        x = torch.cat([cls, patches], dim=1) + position
        if self.register_tokens is None:
            return x
        registers = self.register_tokens.expand(images.shape[0], -1, -1)
        return torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)

    def position(self, rows: int, columns: int) -> Tensor:
        """The position embedding resampled to rows x columns: (1, 1 + rows * columns, dim).

        DINOv2 passes `scale_factor=(n + 0.1) / 37`, which also moves the sampling positions;
        `size=` gives other values. Meta's register models use offset 0, `size=` and antialias.
        """
        if rows == columns == _PRETRAIN_GRID:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, _PRETRAIN_GRID, _PRETRAIN_GRID, self.dim)
        grid = self._resample(grid.permute(0, 3, 1, 2), rows, columns)
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    def _resample(self, grid: Tensor, rows: int, columns: int) -> Tensor:
        if not self.offset:
            size = (rows, columns)
            return F.interpolate(grid, size=size, mode='bicubic', antialias=self.antialias)
        scale = tuple((n + self.offset) / _PRETRAIN_GRID for n in (rows, columns))
        return F.interpolate(grid, scale_factor=scale, mode='bicubic', antialias=self.antialias)


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Tokens (rows, columns) of an input of height x width pixels; InputError if it has none."""
    if height % PATCH or width % PATCH or not height or not width:
        raise InputError(
            f'input size: expected multiples of {PATCH} px, got {height} x {width}; '
            f'nearest is {max(1, round(height / PATCH)) * PATCH} x '
            f'{max(1, round(width / PATCH)) * PATCH}'
        )
    return height // PATCH, width // PATCH
