# SPDX-License-Identifier: MIT
"""Compact local features: coding, decoding, and rows kept in blocks (RAM or memory-mapped)."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.matching.local_codec import LocalCodec, PRESETS, reach_of
from selavpr_model.matching.token_matcher import LocalHead, token_grid
from selavpr_model.maps.storage.writer import DataWriter
from selavpr_model.records import Features

NOTHING = 1e-6  # a cell whose largest value is below this has no direction: stored as zeros
STORED_DTYPE = {'int8': '|i1', 'fp16': '<f2', 'exact': '<f4'}
TOKENS = 'compact'  # the storage that keeps tokens, where the local features are made of them


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


def stored_form(
    dtype: str, local_shape: tuple[int, int, int], head: LocalHead | None
) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a place as stored: (cells, channels), or (tokens,) of coded ones."""
    h, w, channels = local_shape
    if dtype == TOKENS and head is not None:
        rows, columns = token_grid((h, w))
        return (rows * columns,), head.codec.cell
    if dtype not in PRESETS:
        return (h * w, channels), np.dtype(STORED_DTYPE[dtype])
    shape, kind = LocalCodec(dtype, local_shape).stored
    return shape, np.dtype(kind)


def _same(a: LocalHead | None, b: LocalHead | None) -> bool:
    """Whether codes of one mean the same to the other: axes are computed where a map is built."""
    if a is None or b is None or a is b:
        return a is b
    mine, its = a.vector(), b.vector()
    return mine.shape == its.shape and bool(np.allclose(mine, its, atol=1e-4))


def tokens_of(features: Features, shape: tuple[int, ...]) -> np.ndarray:
    """(N, T) float32; InputError where whoever extracted them kept no such tokens."""
    tokens = features.tokens
    if tokens is None or tokens.shape != shape:
        got = None if tokens is None else tokens.shape
        raise InputError(
            f'features: expected tokens {shape} for a map stored as {TOKENS}, got {got}; use the '
            'model of the map'
        )
    if not np.isfinite(tokens).all():
        raise InputError('features: tokens are not finite; run the model in fp32')
    return tokens


class LocalStore:
    """Rows of local features, append-only; a row is read from its block only when asked for.

    dtype: see MapConfig.local_dtype; local_shape (h, w, C): of the features of the model; head:
    what makes them of tokens, None where they are the tokens.
    """

    def __init__(
        self, dtype: str, local_shape: tuple[int, int, int], head: LocalHead | None = None
    ) -> None:
        h, w, channels = local_shape
        self._dtype = dtype
        self.head = head if dtype == TOKENS else None  # of rows that are tokens
        whole = self.head is not None or dtype not in PRESETS
        self.codec = None if whole else LocalCodec(dtype, local_shape)
        self.grid = self.codec.grid if self.codec else (h, w)
        self.reach = reach_of((h, w)) if self.grid == (h, w) else 1
        self.channels = channels
        self.shape, self._stored = stored_form(dtype, local_shape, head)
        self.blocks: list[Block] = []
        self._starts: list[int] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def require_alike(self, other: LocalStore) -> None:
        """InputError unless rows of `other` mean the same here."""
        if self._dtype != other._dtype:
            raise InputError(f'maps stored as {other._dtype} and {self._dtype} cannot be joined')
        if not _same(self.head, other.head):
            raise InputError(
                f'maps stored as {self._dtype} on different machines or by different versions '
                'cannot be joined; build one of them again where the other was built'
            )

    def append(self, block: Block) -> None:
        form = block.codes.shape[1:], block.codes.dtype
        assert form == (self.shape, self._stored), (form, self.shape, self._stored)
        self._starts.append(self._rows)
        self.blocks.append(block)
        self._rows += len(block)

    def add(self, features: Features) -> None:
        """As the next row."""
        if self.codec:
            self.append(Block(self.codec.store(features.local)[None]))
        elif self.head:
            self.append(Block(self.code(features)[None]))
        else:
            self.append(encode(self.code(features), self._dtype))

    def code(self, features: Features) -> np.ndarray:
        """Of a query: what a Matcher compares with `codes`."""
        if self.head is not None:
            return self.head.encode(tokens_of(features, (*self.shape, self.head.codec.channels)))
        local = np.asarray(features.local, np.float32)
        return self.codec.encode(local) if self.codec else local.reshape(self.shape)

    def codes(self, rows: np.ndarray) -> list[np.ndarray]:
        """(n,) rows -> what a Matcher compares: (cells, channels) each, int8 or float32, or coded
        tokens; where they lie, unless they have to be decoded to be compared.
        """
        if self._dtype in ('int8', 'fp16'):
            return list(self.read(rows))
        stored = [block.codes[j] for block, j in map(self._find, rows)]
        return [self.codec.view(row) for row in stored] if self.codec else stored

    def stored(self, row: int) -> Block:
        """One row as it is stored."""
        block, j = self._find(row)
        scales = None if block.scales is None else block.scales[j : j + 1]
        return Block(block.codes[j : j + 1], scales)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(n,) row numbers -> (n, cells, C) float32 unit vectors, decoded."""
        out = np.empty((len(rows), self.grid[0] * self.grid[1], self.channels), np.float32)
        for i, row in enumerate(rows):
            block, j = self._find(row)
            if self.head is not None:
                hidden = self.head.hidden([block.codes[j]], self.grid)
                out[i] = self.head.dense(hidden)[0]
            elif self.codec:
                out[i] = self.codec.decode(self.codec.view(block.codes[j]))
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
