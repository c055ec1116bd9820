# SPDX-License-Identifier: MIT
"""Compact local features: coding, decoding, and rows kept in blocks (RAM or memory-mapped)."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.local_codec import LocalCodec, PRESETS, reach_of
from selavpr_model.map_writer import DataWriter

NOTHING = 1e-6  # a cell whose largest value is below this has no direction: stored as zeros
STORED_DTYPE = {**dict.fromkeys(PRESETS, '|i1'), 'int8': '|i1', 'fp16': '<f2', 'exact': '<f4'}


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive rows. codes: (n, cells, channels); scales: (n, cells) float32, int8 only."""

    codes: np.ndarray
    scales: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.codes)


def encode(local: np.ndarray, dtype: str) -> Block:
    """(cells, C) float32, unit vectors -> a block of one row, with no preset.

    int8: each cell's largest value becomes +-127. Its scale is the inverse length of the codes,
    so one multiplication decodes to a unit vector: the rounding's change of length is gone and
    only its direction error stays (at most sqrt(C) / 254 of the cell's largest value).
    """
    if dtype != 'int8':
        return Block(local[None].astype(STORED_DTYPE[dtype]))
    peak = np.abs(local).max(axis=-1, keepdims=True)
    codes = np.rint(local * np.where(peak > NOTHING, 127.0 / np.maximum(peak, NOTHING), 0.0))
    lengths = np.linalg.norm(codes, axis=-1)
    scales = np.where(lengths > 0, 1.0 / np.maximum(lengths, 1.0), 0.0)
    return Block(codes[None].astype(np.int8), scales[None].astype('<f4'))


def decode(codes: np.ndarray, scales: np.ndarray | None, out: np.ndarray) -> None:
    """Stored codes (cells, C) -> float32 unit vectors in `out`; cells of zeros stay zero."""
    np.copyto(out, codes)
    if scales is not None:
        out *= np.asarray(scales)[:, None]
    elif codes.dtype == np.float16:
        lengths = np.linalg.norm(out, axis=-1, keepdims=True)
        out /= np.where(lengths > 0, lengths, 1.0)


def stored_shape(dtype: str, local_shape: tuple[int, int, int]) -> tuple[int, int]:
    """(cells, channels) of a place as stored."""
    h, w, channels = local_shape
    if dtype not in PRESETS:
        return h * w, channels
    codec = LocalCodec(dtype, local_shape)
    return codec.grid[0] * codec.grid[1], codec.channels


class LocalStore:
    """Rows of local features, append-only; a row is read from its block only when asked for.

    dtype: see MapConfig.local_dtype; local_shape (h, w, C): of the features of the model.
    """

    def __init__(self, dtype: str, local_shape: tuple[int, int, int]) -> None:
        h, w, channels = local_shape
        self._dtype = dtype
        self.codec = LocalCodec(dtype, local_shape) if dtype in PRESETS else None
        self.grid = self.codec.grid if self.codec else (h, w)
        self.reach = reach_of((h, w)) if self.grid == (h, w) else 1
        self.channels = channels
        self.shape = stored_shape(dtype, local_shape)
        self.blocks: list[Block] = []
        self._starts: list[int] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, block: Block) -> None:
        assert block.codes.shape[1:] == self.shape, (block.codes.shape, self.shape)
        self._starts.append(self._rows)
        self.blocks.append(block)
        self._rows += len(block)

    def add(self, local: np.ndarray) -> None:
        """(h, w, C) float32 as the next row."""
        if self.codec:
            self.append(Block(self.codec.encode(local)[None]))
        else:
            self.append(encode(local.reshape(self.shape), self._dtype))

    def code(self, local: np.ndarray) -> np.ndarray:
        """(h, w, C) float32 of a query -> what its mutual matches with `codes` are counted of."""
        return self.codec.encode(local) if self.codec else local.reshape(self.shape)

    def codes(self, rows: np.ndarray) -> list[np.ndarray]:
        """(n,) rows -> (cells, channels) each, int8 or float32: where they lie, if they can be
        compared as they are, else decoded.
        """
        if self.codec is None and self._dtype != 'exact':
            return list(self.read(rows))
        return [block.codes[j] for block, j in map(self._find, rows)]

    def stored(self, row: int) -> Block:
        """One row as it is stored."""
        block, j = self._find(row)
        scales = None if block.scales is None else block.scales[j : j + 1]
        return Block(block.codes[j : j + 1], scales)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(n,) row numbers -> (n, cells, C) float32 unit vectors, decoded."""
        out = np.empty((len(rows), self.shape[0], self.channels), np.float32)
        for i, row in enumerate(rows):
            block, j = self._find(row)
            if self.codec:
                out[i] = self.codec.decode(block.codes[j])
            else:
                decode(block.codes[j], None if block.scales is None else block.scales[j], out[i])
        return out

    def _find(self, row: int) -> tuple[Block, int]:
        if not 0 <= row < self._rows:
            raise InputError(f'row: expected 0 to {self._rows - 1}, got {row}')
        at = bisect.bisect_right(self._starts, row) - 1
        return self.blocks[at], int(row) - self._starts[at]

    def write(self, writer: DataWriter, rows: int) -> None:
        """The first `rows` rows to local.npy and, for int8, local_scales.npy."""
        writer.array('local.npy', (codes for codes, _ in self._parts(rows)), rows)
        if self.blocks[0].scales is not None:
            scales = (scales for _, scales in self._parts(rows) if scales is not None)
            writer.array('local_scales.npy', scales, rows)

    def _parts(self, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for start, block in zip(self._starts, self.blocks, strict=True):
            left = rows - start
            if left > 0:
                yield block.codes[:left], None if block.scales is None else block.scales[:left]
