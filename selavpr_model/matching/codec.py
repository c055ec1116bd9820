# SPDX-License-Identifier: MIT
"""What a storage of local features is to a map, and which there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from selavpr_model.matching.compact_codec import CompactCodec
from selavpr_model.matching.exact_codec import ExactCodec
from selavpr_model.matching.local_codec import DenseCodec, FastCodec, TinyCodec
from selavpr_model.matching.local_head import LocalHead
from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Features

Shape = tuple[int, int, int]


class Codec(Protocol):
    """Codes local features for a map and compares them; one class a storage.

    A row is what is stored of a place. A view is what a matcher compares: a coded query, or a
    row as `view` gives it.
    """

    @property
    def name(self) -> str:
        """Of the storage, see MapConfig.local_dtype."""

    @property
    def head(self) -> LocalHead | None:
        """What makes the features of rows, where rows are tokens; the map keeps it."""

    @property
    def local_shape(self) -> Shape:
        """(h, w, C) of the features that the model makes."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells of a view; fewer than the model makes, if thinned."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""

    @property
    def dtype(self) -> np.dtype:
        """Of a row."""

    def encode(self, features: Features) -> np.ndarray:
        """A query -> a view."""

    def store(self, features: Features) -> np.ndarray:
        """A place -> a row, a copy of what it is made of."""

    def view(self, row: np.ndarray) -> np.ndarray:
        """A row -> a view, where it lies unless it has to be unpacked."""

    def decode(self, view: np.ndarray) -> np.ndarray:
        """A view -> (cells, C) float32, unit vectors or zeros."""

    def matcher(self, score: str, quick: bool = False) -> Matcher:
        """What compares views; score: RecognizerConfig.score.

        quick: where comparing takes long, only promising references are compared in full.
        """


def codec_of(storage: str, local_shape: Shape, head: LocalHead | None = None) -> Codec:
    """storage: MapConfig.local_dtype; local_shape (h, w, C) of the model's features.

    head: what makes these of tokens, None where they are the tokens. Then `compact` is `fast`.
    """
    if storage == CompactCodec.name and head is not None:
        return CompactCodec(local_shape, head)
    return _BY_NAME[storage](local_shape)


_BY_NAME: dict[str, Callable[[Shape], Codec]] = {
    CompactCodec.name: FastCodec,
    **{kind.name: kind for kind in (DenseCodec, FastCodec, TinyCodec, ExactCodec)},
}
