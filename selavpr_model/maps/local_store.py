# SPDX-License-Identifier: MIT
"""Rows of local features in blocks, in RAM or memory-mapped."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.matching.codec import Codec
from selavpr_model.records import Features


class LocalStore:
    """Rows as `codec` stores them, append-only; one is read from its block when asked for."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.blocks: list[np.ndarray] = []  # (n, *codec.shape) each
        self._starts: list[int] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.codec.shape)) * self.codec.dtype.itemsize

    def require_alike(self, other: LocalStore) -> None:
        """InputError unless rows of `other` mean the same here."""
        mine, its = self.codec, other.codec
        if mine.name != its.name:
            raise InputError(f'maps stored as {its.name} and {mine.name} cannot be joined')
        if mine.head is not None and its.head is not None and not mine.head.like(its.head):
            raise InputError(
                f'maps stored as {mine.name} on different machines or by different versions '
                'cannot be joined; build one of them again where the other was built'
            )

    def append(self, block: np.ndarray) -> None:
        """block: (n, *codec.shape) of codec.dtype, kept as it is."""
        form, expected = (block.shape[1:], block.dtype), (self.codec.shape, self.codec.dtype)
        assert form == expected, (form, expected)
        self._starts.append(self._rows)
        self.blocks.append(block)
        self._rows += len(block)

    def add(self, features: Features) -> None:
        """As the next row."""
        self.append(self.codec.store(features)[None])

    def views(self, rows: np.ndarray) -> list[np.ndarray]:
        """(n,) rows -> what the codec's matcher compares, where it lies."""
        return [self.codec.view(block[at]) for block, at in map(self._find, rows)]

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(n,) rows -> (n, cells, C) float32 unit vectors, decoded."""
        h, w = self.codec.grid
        out = np.empty((len(rows), h * w, self.codec.local_shape[2]), np.float32)
        for decoded, view in zip(out, self.views(rows), strict=True):
            decoded[:] = self.codec.decode(view)
        return out

    def stored(self, row: int) -> np.ndarray:
        """(1, *codec.shape): one row as it is stored, not copied."""
        block, at = self._find(row)
        return block[at : at + 1]

    def _find(self, row: int) -> tuple[np.ndarray, int]:
        if not 0 <= row < self._rows:
            raise InputError(f'row: expected 0 to {self._rows - 1}, got {row}')
        number = bisect.bisect_right(self._starts, row) - 1
        return self.blocks[number], int(row) - self._starts[number]

    def parts(self, rows: int) -> Iterator[np.ndarray]:
        """The first `rows` rows, block by block."""
        for start, block in zip(self._starts, self.blocks, strict=True):
            if rows > start:
                yield block[: rows - start]
