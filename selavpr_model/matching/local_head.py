# SPDX-License-Identifier: MIT
"""What makes dense local features of patch tokens, by itself, for maps that keep the tokens.

The dense features are a function of the patch tokens (network.LocalAdaptation): 16 x 16 x 384
numbers make 61 x 61 x 128. So a map may keep the tokens (token_codec.py) with the function beside
them, and its rows are the features of the float32 map up to a rounding of less than 0.1 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import copy
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from selavpr_model.config import ModelConfig
from selavpr_model.features.network import LocalAdaptation
from selavpr_model.features.vit import SIZES
from selavpr_model.matching.local_codec import scale_of
from selavpr_model.matching.token_codec import axes_of, TokenCodec


class LocalHead:
    """The local adaptation of a network by itself, on the CPU in float32, and codes it reads."""

    def __init__(self, basis: np.ndarray, up: LocalAdaptation) -> None:
        """basis (T, T): takes a token to the axes of its codes; up: of tokens in these axes."""
        self._basis = basis
        self._up = up.eval().requires_grad_(False)

    @classmethod
    def from_vector(cls, vector: np.ndarray, model: Mapping[str, Any]) -> LocalHead:
        """vector (P,) float32, as `vector` gives; model: ModelConfig.to_dict of the network.

        Raises ConfigError, KeyError, TypeError or ValueError where the two do not fit.
        """
        config = ModelConfig.from_dict(model)
        dim = SIZES[config.backbone].dim
        with torch.device('meta'):  # neither memory nor random numbers are spent on it
            up = LocalAdaptation(dim, config.local_hidden, config.local_channels)
        count = dim * dim + sum(p.numel() for p in up.parameters())
        if (vector.shape, vector.dtype) != ((count,), np.float32) or not np.isfinite(vector).all():
            got = f'{vector.shape} {vector.dtype}'
            raise ValueError(f'local head: expected ({count},) finite float32, got {got}')
        basis, weights = np.split(np.array(vector), [dim * dim])
        up = up.to_empty(device='cpu')
        vector_to_parameters(torch.from_numpy(weights), up.parameters())
        return cls(basis.reshape(dim, dim), up)

    def vector(self) -> np.ndarray:
        """(P,) float32: the axes, then all weights and biases."""
        weights = parameters_to_vector(self._up.parameters()).numpy()
        return np.concatenate([self._basis.ravel(), weights])

    def like(self, other: LocalHead) -> bool:
        """Whether codes of one mean the same to the other: axes differ a little by machine."""
        if self is other:
            return True
        mine, its = self.vector(), other.vector()
        return mine.shape == its.shape and bool(np.allclose(mine, its, atol=1e-4))

    @property
    def codec(self) -> TokenCodec:
        return TokenCodec(self._up.up1.in_channels)

    def encode(self, tokens: np.ndarray) -> np.ndarray:
        """(N, T) float32 -> (N,) of TokenCodec.cell."""
        return self.codec.encode(np.asarray(tokens, np.float32) @ self._basis)

    @torch.inference_mode()
    def hidden(self, rows: Sequence[np.ndarray], grid: tuple[int, int]) -> Tensor:
        """n rows of coded tokens (N,) -> (n, (h + 1) / 2, (w + 1) / 2, H): half of the way.

        grid (h, w): of the dense cells.
        """
        turned = torch.from_numpy(TokenCodec.decode(np.stack(rows)))
        tokens = turned.unflatten(1, token_grid(grid)).permute(0, 3, 1, 2)
        return self._up.up1(tokens).relu_().permute(0, 2, 3, 1)

    @torch.inference_mode()
    def half(self, hidden: Tensor) -> np.ndarray:
        """Every second cell of `dense`, each way, of one product a cell, as codes of DenseCodec:
        (n, cells, C) int8."""
        up2 = self._up.up2
        cells = _unit(F.linear(hidden, up2.weight[:, :, 1, 1].T, up2.bias))
        cells.mul_(scale_of(up2.out_channels)).round_().clamp_(-127, 127)
        return cells.to(torch.int8).numpy()

    @torch.inference_mode()
    def dense(self, hidden: Tensor) -> np.ndarray:
        """(n, h * w, C) float32, unit or zero."""
        dense = self._up.up2(hidden.permute(0, 3, 1, 2))
        return _unit(dense.permute(0, 2, 3, 1)).numpy()


@functools.lru_cache(maxsize=2)  # the axes of a large model take seconds
def head_of(local: LocalAdaptation) -> LocalHead:
    """The head of a network, which stays as it is."""
    up = copy.deepcopy(local).cpu().float()
    weight = up.up1.weight.detach()  # (T, H, 3, 3)
    basis, turned = axes_of(weight.flatten(1).numpy())
    up.up1.weight = torch.nn.Parameter(torch.from_numpy(turned).view_as(weight), False)
    return LocalHead(basis, up)


def _unit(grids: Tensor) -> Tensor:
    """(n, h, w, C) -> (n, h * w, C) of unit length, in place."""
    cells = grids.flatten(1, 2)
    return cells.div_(cells.norm(dim=-1, keepdim=True).clamp_min_(1e-12))


def token_grid(grid: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the tokens of which up-convolution makes `grid`: 4 n - 3 of n."""
    return (grid[0] + 3) // 4, (grid[1] + 3) // 4
