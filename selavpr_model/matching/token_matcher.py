# SPDX-License-Identifier: MIT
"""Patch tokens as a map keeps them, and the dense local features that they become again.

The dense features are a function of the patch tokens (network.LocalAdaptation): 16 x 16 x 384
numbers make 61 x 61 x 128. So a map may keep the tokens (token_codec.py) with the function beside
them, and its rows are the features of the float32 map up to a rounding of less than 0.1 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import copy
from dataclasses import dataclass
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from selavpr_model.config import ModelConfig
from selavpr_model.features.network import LocalAdaptation, SelaVPR
from selavpr_model.features.vit import SIZES
from selavpr_model.matching.local_codec import scale_of
from selavpr_model.matching.matcher import Matcher
from selavpr_model.matching.token_codec import axes_of, TokenCodec

AT_ONCE = 16  # places whose dense features are made at once: 30 MB
BY_TOKENS, BY_HALF = 32, 10  # references that go on, see TokenMatcher
"""By the training parts of sped and ietower, 20 candidates: the place that float32 puts first is
among the 10 best by every second cell in all of 170 queries, among the 16 best by tokens in 99 %.
"""


class LocalHead:
    """The local adaptation of a network by itself, on the CPU in float32, and codes it reads."""

    def __init__(self, up: LocalAdaptation) -> None:
        self._plain = copy.deepcopy(up).cpu().float().eval().requires_grad_(False)

    @classmethod
    def of(cls, network: SelaVPR) -> LocalHead | None:
        """None where the local features are the tokens themselves."""
        return None if network.local is None else cls(network.local)

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
        made = cls(up)
        made._parts = basis.reshape(dim, dim), made._plain
        return made

    @functools.cached_property
    def _parts(self) -> tuple[np.ndarray, LocalAdaptation]:
        """(T, T) that takes a token to the axes of its codes, and the head for tokens in these."""
        up = copy.deepcopy(self._plain)
        weight = up.up1.weight  # (T, H, 3, 3)
        basis, turned = axes_of(weight.flatten(1).numpy())
        up.up1.weight = torch.nn.Parameter(torch.from_numpy(turned).view_as(weight), False)
        return basis, up

    def vector(self) -> np.ndarray:
        """(P,) float32: the axes, then all weights and biases."""
        basis, up = self._parts
        return np.concatenate([basis.ravel(), parameters_to_vector(up.parameters()).numpy()])

    @property
    def codec(self) -> TokenCodec:
        return TokenCodec(self._plain.up1.in_channels)

    def encode(self, tokens: np.ndarray) -> np.ndarray:
        """(N, T) float32 -> (N,) of TokenCodec.cell."""
        return self.codec.encode(np.asarray(tokens, np.float32) @ self._parts[0])

    @torch.inference_mode()
    def hidden(self, rows: Sequence[np.ndarray], grid: tuple[int, int]) -> Tensor:
        """n rows of coded tokens (N,) -> (n, (h + 1) / 2, (w + 1) / 2, H): half of the way.

        grid (h, w): of the dense cells.
        """
        turned = torch.from_numpy(TokenCodec.decode(np.stack(rows)))
        tokens = turned.unflatten(1, token_grid(grid)).permute(0, 3, 1, 2)
        return self._parts[1].up1(tokens).relu_().permute(0, 2, 3, 1)

    @torch.inference_mode()
    def half(self, hidden: Tensor) -> np.ndarray:
        """Every second cell of `dense`, each way, of one product a cell, as codes of LocalCodec:
        (n, cells, C) int8."""
        up2 = self._parts[1].up2
        cells = _unit(F.linear(hidden, up2.weight[:, :, 1, 1].T, up2.bias))
        cells.mul_(scale_of(up2.out_channels)).round_().clamp_(-127, 127)
        return cells.to(torch.int8).numpy()

    @torch.inference_mode()
    def dense(self, hidden: Tensor) -> np.ndarray:
        """(n, h * w, C) float32, unit or zero."""
        made = self._parts[1].up2(hidden.permute(0, 3, 1, 2))
        return _unit(made.permute(0, 2, 3, 1)).numpy()


def _unit(made: Tensor) -> Tensor:
    """(n, h, w, C) -> (n, h * w, C) of unit length, in place."""
    cells = made.flatten(1, 2)
    return cells.div_(cells.norm(dim=-1, keepdim=True).clamp_min_(1e-12))


def token_grid(grid: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the tokens of which up-convolution makes `grid`: 4 n - 3 of n."""
    return (grid[0] + 3) // 4, (grid[1] + 3) // 4


@dataclass(frozen=True, slots=True)
class TokenMatcher(Matcher):
    """Compares views that are coded tokens by the dense features that they become.

    quick: many references are counted from coarse to fine. The BY_TOKENS whose tokens match best
    go on, of these the BY_HALF best by every second cell; the others are not compared further and
    get what their coarser matches stand for, by what they stood for in the best, but no more than
    the best of these.
    """

    head: LocalHead | None = None
    quick: bool = False

    def matched(
        self, query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As Matcher.matched; query (N,), references K of (N,): TokenCodec.cell. The cells that
        match are those of `grid`."""
        found = np.zeros((len(references), self.grid[0] * self.grid[1]), bool)
        partner = np.zeros(found.shape, np.int32)
        mine = self._dense(self._hidden([query]))[0]
        for start in range(0, len(references), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            theirs = self._dense(self._hidden(references[part]))
            found[part], partner[part] = Matcher.matched(self, mine, theirs, threads)
        return found, partner

    def count(
        self, query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
    ) -> np.ndarray:
        """As Matcher.count; arguments as for matched."""
        if not self.quick or len(references) <= BY_HALF:
            return Matcher.count(self, query, references, threads)
        rows: np.ndarray = np.arange(len(references))
        coarse: np.ndarray = np.zeros(len(references))
        if len(rows) > BY_TOKENS:
            tokens = Matcher(token_grid(self.grid), score=self.score)
            coarse = 4.0 * tokens.count(query, references, threads)  # in cells of the half grid
            rows = _best(coarse, BY_TOKENS)
        mine, theirs = self._hidden([query]), self._hidden([references[int(row)] for row in rows])
        coarse[rows] = self._count_half(mine, theirs, threads)
        best = rows[among := _best(coarse[rows], BY_HALF)]
        dense = self._dense(mine)[0], self._dense(theirs[among])
        found = Matcher.matched(self, *dense, threads)[0].sum(axis=1, dtype=np.int64)
        stands_for = found.sum() / max(coarse[best].sum(), 1)
        counts = np.minimum(np.rint(stands_for * coarse), max(found.max() - 1, 0)).astype(np.int64)
        counts[best] = found
        return counts

    def _hidden(self, rows: Sequence[np.ndarray]) -> Tensor:
        assert self.head is not None
        return self.head.hidden(rows, self.grid)

    def _count_half(self, query: Tensor, references: Tensor, threads: int | None) -> np.ndarray:
        assert self.head is not None
        grid = (self.grid[0] + 1) // 2, (self.grid[1] + 1) // 2
        mine, theirs = self.head.half(query)[0], list(self.head.half(references))
        return Matcher(grid, score=self.score).count(mine, theirs, threads)

    def _dense(self, hidden: Tensor) -> list[np.ndarray]:
        assert self.head is not None
        return list(self.head.dense(hidden))


def _best(counts: np.ndarray, most: int) -> np.ndarray:
    """Which `most` are the largest, in order of their number."""
    return np.sort(np.argsort(-counts, kind='stable')[:most])
