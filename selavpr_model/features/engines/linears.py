# SPDX-License-Identifier: MIT
"""The products of a fused network, with oneDNN's weights laid out once instead of every frame."""

from __future__ import annotations

import torch
from torch import nn, Tensor

ROWS = 257  # of a product the layout is chosen for: a 224 x 224 image


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bf16 itself; elsewhere it is emulated or missing."""
    if not torch.backends.mkldnn.is_available():
        return False
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    flags = torch.backends.cpu.get_cpu_capability()
    if flags in ('AVX512', 'AVX2', 'DEFAULT'):  # x86: oneDNN also emulates it
        return bool(torch.cpu._is_avx512_bf16_supported())
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
