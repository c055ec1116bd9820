# SPDX-License-Identifier: MIT
"""Rows of vectors that only grow: those of a map on disk stay there, memory-mapped."""

from __future__ import annotations

import numpy as np


class Vectors:
    """(N, D) float32 in two blocks: `stored`, read-only, and what was appended, in RAM."""

    def __init__(self, dim: int, stored: np.ndarray | None = None) -> None:
        """stored: (n, D) float32, kept as it is; a plain view, as memmap's own slices are slow."""
        self.dim = dim
        self._stored = np.empty((0, dim), np.float32) if stored is None else np.asarray(stored)
        self._buffer = np.empty((0, dim), np.float32)
        self._appended = 0

    def __len__(self) -> int:
        return len(self._stored) + self._appended

    def append(self, vectors: np.ndarray) -> None:
        """vectors: (n, D)."""
        end = self._appended + len(vectors)
        if end > len(self._buffer):
            grown = np.empty((max(end, 2 * len(self._buffer)), self.dim), np.float32)
            grown[: self._appended] = self._buffer[: self._appended]
            self._buffer = grown
        self._buffer[self._appended : end] = vectors
        self._appended = end

    def blocks(self, start: int = 0) -> list[tuple[int, np.ndarray]]:
        """(first row, rows) of what lies from row `start` on, without a copy."""
        split = len(self._stored)
        stored, added = self._stored[start:], self._buffer[max(0, start - split) : self._appended]
        both = ((min(start, split), stored), (max(start, split), added))
        return [(first, block) for first, block in both if len(block)]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """(n,) int64 -> (n, D), a copy of just these."""
        out = np.empty((len(rows), self.dim), np.float32)
        added = rows >= len(self._stored)
        out[~added] = self._stored[rows[~added]]
        out[added] = self._buffer[rows[added] - len(self._stored)]
        return out
