# SPDX-License-Identifier: MIT
"""A trained SelaVPR rewritten for inference: the same function in fewer and larger products.

Exact in real numbers, so equal to the plain network up to rounding (tests/features):
- mean and standard deviation of the input go into the patch embedding, which has no padding;
- the position embedding of the one input size is a constant, with the patches' bias in it;
- attention's 1/sqrt(d) goes into the query weights (1/8 for heads of 64: no rounding at all);
- serial adapter: down(proj(o)) = (down proj) o, so both read the attention's output o, and
  proj(o) + up(z) is one product of [o, z];
- parallel adapter: `fc1` and `down` are one product, `fc2` and `up` another;
- LayerScale goes into the weights before it;
- each transposed convolution of the local head (kernel 3, stride 2) is four products, one for
  each parity of the output's row and column, so nothing is multiplied by inserted zeros.
"""

from __future__ import annotations

from collections.abc import Callable
import copy
from typing import cast

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from selavpr_model.features.network import LocalAdaptation, SelaVPR, unit
from selavpr_model.features.vit import Adapter, Block, grid_of, Mlp, PATCH

# gelu(2^k x) / 2^k is relu(x) to 0.17 / 2^k, and powers of two cost no rounding: so `down` can
# share the GELU of `fc1`.
RELU_BY_GELU = 2.0**20

# In bf16, torch's flash attention on a CPU takes twice as long as two plain products, as long as
# their matrix of tokens x tokens is small.
SMALL = 1024

MakeLinear = Callable[[Tensor, Tensor, str], nn.Module]
"""weight (out, in), bias (out,) and 'none', 'relu' or 'gelu' -> a module called with x (.., in)
and what to add to the result (.., out), or None."""
Transform = Callable[[Tensor], Tensor]


class FusedSelaVPR(nn.Module):
    """The same contract as SelaVPR for one input size; holds no trainable parameter."""

    local_dtype: torch.dtype | None = None  # of the local head's input; None: as all products

    def __init__(
        self, network: SelaVPR, size: tuple[int, int], make: MakeLinear, dtype: torch.dtype
    ) -> None:
        super().__init__()
        backbone, self.dtype = network.backbone, dtype
        self.rows, self.columns = grid_of(*size)
        self.embed = FusedEmbedding(network, self.rows, self.columns, make)
        self.body = self.make_body(network, make)
        self.norm = copy.deepcopy(backbone.norm)
        self.local: Transform | None = None
        if network.local is not None:
            self.local = self.make_local(network.local, make)
        self.power = float(network.gem.p.detach())
        self.eps = network.gem.eps
        self.cls = network.config.global_feature == 'cls'
        self.projection = copy.deepcopy(network.projection)  # in float32: one row an image

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) float in [0, 1] RGB -> global, local and tokens, as SelaVPR gives."""
        x = self.body(self.embed(images.to(self.dtype)))
        cls, tokens = x[:, 0], self.norm(x[:, -self.rows * self.columns :].float())
        grid = tokens.unflatten(1, (self.rows, self.columns))
        if self.local is not None:
            grid = self.local(grid.to(self.local_dtype or self.dtype))
        global_ = unit(self.norm(cls.float())) if self.cls else self.pool(tokens)
        if self.projection is not None:
            global_ = unit(self.projection(global_))
        return global_, unit(grid), tokens

    def make_body(self, network: SelaVPR, make: MakeLinear) -> Transform:
        blocks = (FusedBlock(cast(Block, block), make) for block in network.backbone.blocks)
        return nn.Sequential(*blocks).to(self.dtype)

    def make_local(self, local: LocalAdaptation, make: MakeLinear) -> Transform:
        return nn.Sequential(FusedUp(local.up1, 'relu', make), FusedUp(local.up2, 'none', make))

    def pool(self, tokens: Tensor) -> Tensor:
        powers = unit(tokens).clamp_(min=self.eps).pow_(self.power)
        return unit(powers.mean(dim=1).pow(1.0 / self.power))


class FusedEmbedding(nn.Module):
    """Images -> cls, registers and patches with position."""

    first: Tensor
    position: Tensor

    def __init__(self, network: SelaVPR, rows: int, columns: int, make: MakeLinear) -> None:
        super().__init__()
        vit, conv = network.backbone, network.backbone.patch_embed.proj
        weight = conv.weight.detach().double() / network.std
        bias = (
            cast(Tensor, conv.bias).detach() - (weight * network.mean).sum(dim=(1, 2, 3))
        ).float()
        self.proj = make(weight.flatten(1).float(), torch.zeros_like(bias), 'none')
        position = vit.position(rows, columns).detach()
        first = [vit.cls_token.detach() + position[:, :1]]
        if vit.register_tokens is not None:
            first.append(vit.register_tokens.detach())
        self.register_buffer('first', torch.cat(first, dim=1), persistent=False)
        self.register_buffer('position', position[:, 1:] + bias, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        batch, dtype = images.shape[0], images.dtype
        cut = images.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH))  # B, 3, rows, 14, ...
        patches = cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, 3 * PATCH * PATCH)
        patches = self.proj(patches, None) + self.position.to(dtype)
        return torch.cat([self.first.to(dtype).expand(batch, -1, -1), patches], dim=1)


class FusedBlock(nn.Module):
    """One transformer block with its adapters and LayerScales; see the module's list."""

    def __init__(self, block: Block, make: MakeLinear) -> None:
        super().__init__()
        self.heads = block.attn.heads
        self.norm1, self.norm2 = copy.deepcopy(block.norm1), copy.deepcopy(block.norm2)
        self.qkv = make(*scaled_queries(block), 'none')
        proj, gamma = block.attn.proj, block.ls1.gamma.detach()
        weight, bias = weights_of(proj)
        self.serial: nn.Module | None = None
        if block.serial is not None:
            down, up = weights_of(block.serial.down), weights_of(block.serial.up)
            self.serial = make(*product_of(down, (weight, bias)), 'relu')
            weight, bias = torch.cat([weight, up[0]], dim=1), bias + up[1]
        self.proj = make(gamma[:, None] * weight, gamma * bias, 'none')
        self.mlp = FusedMlp(block, make) if isinstance(block.mlp, Mlp) else GatedPair(block, make)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.attend(self.norm1(x))
        if self.serial is not None:
            attended = torch.cat([attended, self.serial(attended, None)], dim=2)
        x = self.proj(attended, x)
        return self.mlp(self.norm2(x), x)

    def attend(self, x: Tensor) -> Tensor:
        batch, count, dim = x.shape
        qkv = self.qkv(x, None).view(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, dim / heads)
        if x.dtype == torch.bfloat16 and count <= SMALL:
            x = (q.contiguous() @ k.contiguous().transpose(2, 3)).softmax(-1) @ v.contiguous()
        else:
            x = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return x.transpose(1, 2).reshape(batch, count, dim)


class FusedMlp(nn.Module):
    """MLP and parallel adapter as two products."""

    def __init__(self, block: Block, make: MakeLinear) -> None:
        super().__init__()
        assert isinstance(block.mlp, Mlp)
        gamma = block.ls2.gamma.detach()
        (first, first_bias), (second, bias) = weights_of(block.mlp.fc1), weights_of(block.mlp.fc2)
        if block.parallel is not None:
            down, up = weights_of(block.parallel.down), weights_of(block.parallel.up)
            first = torch.cat([first, RELU_BY_GELU * down[0]])
            first_bias = torch.cat([first_bias, RELU_BY_GELU * down[1]])
            second = torch.cat([second, block.scale / RELU_BY_GELU * up[0]], dim=1)
            bias = bias + block.scale * up[1]
        self.first = make(first, first_bias, 'gelu')
        self.second = make(gamma[:, None] * second, gamma * bias, 'none')

    def forward(self, normed: Tensor, x: Tensor) -> Tensor:
        return self.second(self.first(normed, None), x)


class GatedPair(nn.Module):
    """SwiGLU (ViT-g) and parallel adapter; `w3` and `up` are one product."""

    def __init__(self, block: Block, make: MakeLinear) -> None:
        super().__init__()
        gamma = block.ls2.gamma.detach()
        self.w12 = make(*weights_of(cast(nn.Linear, block.mlp.w12)), 'none')
        weight, bias = weights_of(cast(nn.Linear, block.mlp.w3))
        self.down: nn.Module | None = None
        if block.parallel is not None:
            adapter: Adapter = block.parallel
            self.down = make(*weights_of(adapter.down), 'relu')
            weight = torch.cat([weight, block.scale * adapter.up.weight.detach()], dim=1)
            bias = bias + block.scale * adapter.up.bias.detach()
        self.second = make(gamma[:, None] * weight, gamma * bias, 'none')

    def forward(self, normed: Tensor, x: Tensor) -> Tensor:
        gate, value = self.w12(normed, None).chunk(2, dim=-1)
        hidden = F.silu(gate) * value
        if self.down is not None:
            hidden = torch.cat([hidden, self.down(normed, None)], dim=-1)
        return self.second(hidden, x)


class FusedUp(nn.Module):
    """ConvTranspose2d(in, out, 3, 2, 1): (B, n, m, in) -> (B, 2n - 1, 2m - 1, out).

    Output row 2i sees input row i through the kernel's middle row; row 2i + 1 sees row i through
    its last and row i + 1 through its first. Columns alike.
    """

    def __init__(self, conv: nn.ConvTranspose2d, activation: str, make: MakeLinear) -> None:
        super().__init__()
        bias = cast(Tensor, conv.bias).detach()
        self.phases = nn.ModuleList(make(w, bias, activation) for w in phases_of(conv))

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[1:3]
        right = torch.cat([x[:, :, :-1], x[:, :, 1:]], dim=3)
        below = torch.cat([x[:, :-1], x[:, 1:]], dim=3)
        around = torch.cat([right[:, :-1], right[:, 1:]], dim=3)
        parts = [p(i, None) for p, i in zip(self.phases, (x, right, below, around), strict=True)]
        out = parts[0].new_empty(x.shape[0], 2 * rows - 1, 2 * columns - 1, parts[0].shape[3])
        for number, part in enumerate(parts):
            out[:, number // 2 :: 2, number % 2 :: 2] = part
        return out


def weights_of(linear: nn.Linear) -> tuple[Tensor, Tensor]:
    return linear.weight.detach(), linear.bias.detach()


def product_of(
    outer: tuple[Tensor, Tensor], inner: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """outer(inner(x)) as one linear map, multiplied in double precision."""
    weight, bias = outer[0].double(), outer[1].double()
    bias = bias + weight @ inner[1].double()
    return (weight @ inner[0].double()).float(), bias.float()


def scaled_queries(block: Block) -> tuple[Tensor, Tensor]:
    weight, bias = (t.clone() for t in weights_of(block.attn.qkv))
    dim = weight.shape[1]
    scale = (dim // block.attn.heads) ** -0.5
    weight[:dim] *= scale
    bias[:dim] *= scale
    return weight, bias


def phases_of(conv: nn.ConvTranspose2d) -> list[Tensor]:
    """Of FusedUp, for even and odd rows and in these for even and odd columns: (out, parts * in),
    parts: input i and, where odd, i + 1."""
    weight = conv.weight.detach()  # (in, out, 3, 3)
    taps = {0: [1], 1: [2, 0]}  # parity of the output -> kernel index of input i, i + 1
    return [
        torch.cat([weight[:, :, u, v].T for u in taps[row] for v in taps[column]], dim=1)
        for row in (0, 1)
        for column in (0, 1)
    ]
