# SPDX-License-Identifier: MIT
"""Local features as int8 codes of one scale, all of them or fewer cells and channels.

One scale for all cells keeps the products of codes comparable as integers. A fixed rotation
spreads each cell's value evenly over its channels, so that few are clipped, and the first ones
are a random projection of all: nothing has to be learnt from a map that is still to be driven.
"""

from __future__ import annotations

from dataclasses import dataclass
import functools
import math

import numpy as np

PEAK = 4.0  # deviations of a unit vector's channel (1 / sqrt(C)) that become 127
# Bytes a place at most. Here compact is of models whose local features are their tokens; of the
# others it keeps the tokens, see token_matcher.py.
PRESETS = {'compact': 119_000, 'dense': None, 'fast': 119_000, 'tiny': 60_000, 'tiny8': 60_000}
NIBBLES = 'tiny'  # is stored in four bits a number, so that all channels find room
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
class LocalCodec:
    """preset: of PRESETS; local_shape (h, w, C): of the features that the model makes."""

    preset: str
    local_shape: tuple[int, int, int]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells that are kept."""
        h, w, _ = self.local_shape
        whole = PRESETS[self.preset] is None or h * w <= FEW_CELLS
        return (h, w) if whole else ((h + 1) // 2, (w + 1) // 2)

    @property
    def channels(self) -> int:
        """As many as the cells leave room for."""
        limit = PRESETS[self.preset]
        rows, columns = self.grid
        all_ = self.local_shape[2]
        if limit is None:
            return all_
        bytes_ = limit // (rows * columns)
        return max(1, min(all_, 2 * bytes_ if self.preset == NIBBLES else bytes_))

    @property
    def stored(self) -> tuple[tuple[int, int], str]:
        """Shape and dtype of what is stored of a place."""
        cells = self.grid[0] * self.grid[1]
        if self.preset == NIBBLES:
            return (cells, (self.channels + 1) // 2), '|u1'
        return (cells, self.channels), '|i1'

    def encode(self, local: np.ndarray) -> np.ndarray:
        """(h, w, C) float32 unit vectors -> (cells, channels) int8; a grid of zeros stays zero."""
        return rounded(self._cells(local)).astype(np.int8)

    def store(self, local: np.ndarray) -> np.ndarray:
        """The same -> what is stored, of `stored`."""
        if self.preset != NIBBLES:
            return self.encode(local)
        codes = rounded(self._cells(local), LARGEST, PEAK_NIBBLES) + 8
        padded = np.pad(codes, ((0, 0), (0, self.channels % 2))).astype(np.uint8)
        return padded[:, ::2] << 4 | padded[:, 1::2]

    def view(self, stored: np.ndarray) -> np.ndarray:
        """What was stored -> (cells, channels) int8, to be compared with what `encode` gives."""
        if self.preset != NIBBLES:
            return stored
        codes = np.empty((len(stored), 2 * stored.shape[1]), np.int8)
        codes[:, ::2], codes[:, 1::2] = stored >> 4, stored & 15
        return np.subtract(codes, 8, out=codes)[:, : self.channels]

    def _cells(self, local: np.ndarray) -> np.ndarray:
        """(cells, channels) float32, unit, rotated and projected."""
        cells = np.asarray(local, np.float32)
        if self.grid != self.local_shape[:2]:
            cells = _halved(_halved(cells).swapaxes(0, 1)).swapaxes(0, 1)
        return unit(cells.reshape(-1, self.local_shape[2]) @ self._axes())

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes (..., channels) -> (..., C) float32 unit vectors in the model's channels."""
        return unit(codes.astype(np.float32)) @ self._axes().T

    def _axes(self) -> np.ndarray:
        return rotation(self.local_shape[2])[:, : self.channels]


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
