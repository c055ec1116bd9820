# SPDX-License-Identifier: MIT
"""Local features as int8 codes of one scale, all of them or fewer cells and channels.

One scale for all cells keeps the products of codes comparable as integers. A fixed rotation
spreads each cell's value evenly over its channels, so that few are clipped. The first channels
are then a random projection of all: nothing has to be learnt from a map that is still to be
driven.
"""

from __future__ import annotations

from dataclasses import dataclass
import functools
import math
from typing import ClassVar

import numpy as np

from selavpr_model.matching.matcher import Matcher
from selavpr_model.records import Features

PEAK = 4.0  # deviations of a unit vector's channel (1 / sqrt(C)) that become the largest number
COMPARED = 63  # largest of codes that are compared: with 7 bits AVX2 is faster (native/mutual.cpp)
LARGEST, PEAK_NIBBLES = 7, 2.5  # of four bits: least error for normal numbers (Max 1960)
FEW_CELLS = 1024  # grids up to this are kept whole; of larger ones every second cell, each way


def reach_of(grid: tuple[int, int]) -> int:
    """Cells that are half a token or a token apart, so that every storage compares neighbours
    that show something else: of a large grid every second cell, as where it is thinned."""
    return 2 if grid[0] * grid[1] > FEW_CELLS else 1


@functools.lru_cache(maxsize=8)
def rotation(channels: int) -> np.ndarray:
    """(C, C) float32 orthonormal, the same in every process: products stay what they were."""
    noise = np.random.default_rng(0).standard_normal((channels, channels))
    q, r = np.linalg.qr(noise)
    return (q * np.sign(np.diag(r))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class DenseCodec:
    """Storage `dense`: all cells, all channels, a byte each.

    local_shape (h, w, C): of the features that the model makes.
    """

    local_shape: tuple[int, int, int]
    name: ClassVar[str] = 'dense'
    limit: ClassVar[int | None] = None  # bytes a place at most
    per_byte: ClassVar[int] = 1  # numbers
    head: ClassVar[None] = None  # nothing but the rotation makes the features again

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells that are kept."""
        h, w, _ = self.local_shape
        whole = self.limit is None or h * w <= FEW_CELLS
        return (h, w) if whole else ((h + 1) // 2, (w + 1) // 2)

    @property
    def channels(self) -> int:
        """As many as the cells leave room for."""
        every = self.local_shape[2]
        if self.limit is None:
            return every
        rows, columns = self.grid
        return max(1, min(every, self.per_byte * (self.limit // (rows * columns))))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.grid[0] * self.grid[1], self.channels

    @property
    def dtype(self) -> np.dtype:
        return np.dtype('|i1')

    def encode(self, features: Features) -> np.ndarray:
        """A query: (cells, channels) int8; a grid of zeros stays zero."""
        return self.codes(features.local)

    def store(self, features: Features) -> np.ndarray:
        """A place: of `shape` and `dtype`."""
        return self.packed(features.local)

    def view(self, row: np.ndarray) -> np.ndarray:
        """What was stored -> (cells, channels) int8, to be compared with what `encode` gives."""
        return row

    def decode(self, view: np.ndarray) -> np.ndarray:
        """(..., channels) int8 -> (..., C) float32 unit vectors in the model's channels."""
        return unit(view.astype(np.float32)) @ self._axes().T

    def matcher(self, score: str, quick: bool = False) -> Matcher:
        """quick changes nothing: codes are compared as quickly as they are read."""
        whole = self.grid == self.local_shape[:2]
        return Matcher(self.grid, reach_of(self.grid) if whole else 1, score)

    def codes(self, local: np.ndarray) -> np.ndarray:
        """(h, w, C) float32 unit vectors -> (cells, channels) int8, 7 bits of it."""
        return rounded(self._cells(local), COMPARED).astype(np.int8)

    def packed(self, local: np.ndarray) -> np.ndarray:
        """The same -> what is stored."""
        return self.codes(local)

    def _cells(self, local: np.ndarray) -> np.ndarray:
        """(cells, channels) float32, unit, rotated and projected."""
        cells = np.asarray(local, np.float32)
        if self.grid != self.local_shape[:2]:
            cells = _halved(_halved(cells).swapaxes(0, 1)).swapaxes(0, 1)
        return unit(cells.reshape(-1, self.local_shape[2]) @ self._axes())

    def _axes(self) -> np.ndarray:
        return rotation(self.local_shape[2])[:, : self.channels]


class FastCodec(DenseCodec):
    """Storage `fast`: every second cell of large grids, each way, and the channels that fit."""

    __slots__ = ()
    name: ClassVar[str] = 'fast'
    limit: ClassVar[int | None] = 119_000


class TinyCodec(DenseCodec):
    """Storage `tiny`: as `fast` in half the bytes. Places have four bits a number, queries seven.

    Two numbers lie in a byte, plus 8 each, the first in the upper half.
    """

    __slots__ = ()
    name: ClassVar[str] = 'tiny'
    limit: ClassVar[int | None] = 60_000
    per_byte: ClassVar[int] = 2

    @property
    def shape(self) -> tuple[int, ...]:
        return self.grid[0] * self.grid[1], (self.channels + 1) // 2

    @property
    def dtype(self) -> np.dtype:
        return np.dtype('|u1')

    def packed(self, local: np.ndarray) -> np.ndarray:
        codes = rounded(self._cells(local), LARGEST, PEAK_NIBBLES) + 8
        padded = np.pad(codes, ((0, 0), (0, self.channels % 2))).astype(np.uint8)
        return padded[:, ::2] << 4 | padded[:, 1::2]

    def view(self, row: np.ndarray) -> np.ndarray:
        codes = np.empty((len(row), 2 * row.shape[1]), np.int8)
        codes[:, ::2], codes[:, 1::2] = row >> 4, row & 15
        return np.subtract(codes, 8, out=codes)[:, : self.channels]


def rounded(cells: np.ndarray, largest: int = 127, peak: float = PEAK) -> np.ndarray:
    """(n, C) unit vectors -> whole numbers of one scale, int16, at most `largest`."""
    scale = scale_of(cells.shape[-1], largest, peak)
    return np.clip(np.rint(cells * scale), -largest, largest).astype(np.int16)


def scale_of(channels: int, largest: int = 127, peak: float = PEAK) -> float:
    """What the numbers of a unit vector are multiplied by before they are rounded."""
    return largest * math.sqrt(channels) / peak


def _halved(x: np.ndarray) -> np.ndarray:
    """Every second row of (n, ...), each with a quarter of the rows beside it: what lies between
    two kept cells must not be lost, or other cells match than in the whole grid."""
    kept = (len(x) + 1) // 2
    p = np.concatenate([x[:1], x, x[-1:]])
    return (
        0.25 * p[: 2 * kept - 1 : 2] + 0.5 * p[1 : 2 * kept : 2] + 0.25 * p[2 : 2 * kept + 1 : 2]
    )


def unit(cells: np.ndarray) -> np.ndarray:
    """Of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(cells, axis=-1, keepdims=True)
    return cells / np.where(lengths > 0, lengths, 1.0)
