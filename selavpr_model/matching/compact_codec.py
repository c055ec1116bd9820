# SPDX-License-Identifier: MIT
"""The patch tokens of a place, of which its local features are made again when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.matching.local_codec import reach_of
from selavpr_model.matching.local_head import LocalHead, token_grid
from selavpr_model.matching.token_matcher import TokenMatcher
from selavpr_model.records import Features


@dataclass(frozen=True, slots=True)
class CompactCodec:
    """Storage `compact`: coded tokens (token_codec.py).

    local_shape (h, w, C): of the features that the model makes; head: what makes them of tokens.
    """

    local_shape: tuple[int, int, int]
    head: LocalHead
    name: ClassVar[str] = 'compact'

    @property
    def grid(self) -> tuple[int, int]:
        """Of the cells that the tokens become."""
        return self.local_shape[:2]

    @property
    def shape(self) -> tuple[int, ...]:
        rows, columns = token_grid(self.grid)
        return (rows * columns,)

    @property
    def dtype(self) -> np.dtype:
        return self.head.codec.cell

    def encode(self, features: Features) -> np.ndarray:
        """(N,) of TokenCodec.cell; InputError where whoever extracted them kept no such tokens."""
        shape, tokens = (*self.shape, self.head.codec.channels), features.tokens
        if tokens is None or tokens.shape != shape:
            got = None if tokens is None else tokens.shape
            raise InputError(
                f'features: expected tokens {shape} for a map stored as {self.name}, got {got}; '
                'use the model of the map'
            )
        if not np.isfinite(tokens).all():
            raise InputError('features: tokens are not finite; run the model in fp32')
        return self.head.encode(tokens)

    def store(self, features: Features) -> np.ndarray:
        """The same: places and queries are coded alike."""
        return self.encode(features)

    def view(self, row: np.ndarray) -> np.ndarray:
        return row

    def decode(self, view: np.ndarray) -> np.ndarray:
        """(N,) -> (h * w, C) float32, unit or zero."""
        return self.head.dense(self.head.hidden([view], self.grid))[0]

    def matcher(self, score: str, quick: bool = False) -> TokenMatcher:
        """quick: many references are counted from coarse to fine."""
        return TokenMatcher(self.grid, reach_of(self.grid), score, head=self.head, quick=quick)
