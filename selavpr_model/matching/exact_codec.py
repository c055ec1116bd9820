# SPDX-License-Identifier: MIT
"""Local features as the model makes them: float32, compared where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from selavpr_model.matching.local_codec import reach_of
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Features


@dataclass(frozen=True, slots=True)
class ExactCodec:
    """Storage `exact`: all cells and channels; the counts are the paper's to the last match.

    local_shape (h, w, C): of the features that the model makes.
    """

    local_shape: tuple[int, int, int]
    name: ClassVar[str] = 'exact'
    head: ClassVar[None] = None

    @property
    def grid(self) -> tuple[int, int]:
        return self.local_shape[:2]

    @property
    def shape(self) -> tuple[int, ...]:
        h, w, channels = self.local_shape
        return h * w, channels

    @property
    def dtype(self) -> np.dtype:
        return np.dtype('<f4')

    def encode(self, features: Features) -> np.ndarray:
        """(cells, C) float32, not copied."""
        return np.asarray(features.local, np.float32).reshape(self.shape)

    def store(self, features: Features) -> np.ndarray:
        """The same, a copy."""
        return self.encode(features).astype(self.dtype)

    def view(self, row: np.ndarray) -> np.ndarray:
        return row

    def decode(self, view: np.ndarray) -> np.ndarray:
        return view

    def matcher(self, score: str, quick: bool = False) -> Matcher:
        """quick changes nothing: every reference is compared in full."""
        return Matcher(self.grid, reach_of(self.grid), score)
