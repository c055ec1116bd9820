# SPDX-License-Identifier: MIT
"""The products of a fused network: with oneDNN's weights laid out once instead of every frame, or
plain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from selavpr_model.runtime.native import allowed_sets

ROWS = 257  # of a product the layout is chosen for: a 224 x 224 image


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bf16 itself, and SELAVPR_ISA allows it; elsewhere it is emulated
    or missing."""
    if not torch.backends.mkldnn.is_available():
        return False
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    flags = torch.backends.cpu.get_cpu_capability()
    if flags in ('AVX512', 'AVX2', 'DEFAULT'):  # x86: oneDNN also emulates it
        return 'avx512bf16' in allowed_sets() and torch.cpu._is_avx512_bf16_supported()
    return True


class PackedLinear(nn.Module):
    """A product with bias, activation or sum inside; weights in `dtype` and oneDNN's own layout.

    The operators are torch.compile's own (private, hence engines.py checks that they work).
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: str, dtype: torch.dtype) -> None:
        super().__init__()
        ops = torch.ops.mkldnn
        self.activation = activation
        self.bias = bias.to(dtype)
        # Not a buffer: an opaque tensor that neither moves nor casts.
        self.weight = ops._reorder_linear_weight(weight.to(dtype).contiguous(), ROWS)

    def forward(self, x: Tensor, add: Tensor | None) -> Tensor:
        ops = torch.ops.mkldnn
        if add is not None:
            return ops._linear_pointwise.binary(x, add, self.weight, self.bias, 'add')
        exact = 'none'  # of gelu: no approximation by tanh
        return ops._linear_pointwise(x, self.weight, self.bias, self.activation, [], exact)


class PlainLinear(nn.Module):
    """A product in torch's own operators: any device, and what torch.export can follow."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.register_buffer('weight', weight.contiguous(), persistent=False)
        self.register_buffer('bias', bias, persistent=False)

    def forward(self, x: Tensor, add: Tensor | None) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        if self.activation == 'gelu':
            y = F.gelu(y)
        elif self.activation == 'relu':
            y = F.relu(y)
        return y if add is None else y + add


def packed_linear(dtype: torch.dtype) -> Callable[[Tensor, Tensor, str], nn.Module]:
    """What makes products in `dtype`: PackedLinear, or PlainLinear where torch has no oneDNN."""
    if dtype == torch.float32 and not torch.backends.mkldnn.is_available():
        return PlainLinear
    return partial(PackedLinear, dtype=dtype)
