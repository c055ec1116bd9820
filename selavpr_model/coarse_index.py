# SPDX-License-Identifier: MIT
"""Short lists for large maps: inverted lists of 4-bit product codes (faiss), a map file.

The lists are those of the nearest cluster centres, the codes take D/8 bytes a place and are
compared 32 at a time in registers (Andre et al. 2015, "Cache locality is not enough"). What they
name is compared exactly afterwards, so they only have to be right about who is worth a look.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from selavpr_model.vectors import Vectors

LISTS_PER_ROOT = 2.0  # clusters: this many times the square root of the rows
SAMPLES_PER_LIST = 40  # training vectors; faiss asks for 39
ROUNDS = 6  # of k-means
SEED = 1234
ADD_ROWS = 65536


class CoarseIndex:
    """The first `len(self)` rows of a map, in short."""

    def __init__(self, index: Any, probes: int, refine: int) -> None:
        """index: faiss' IVF over inner products; probes: lists looked into; refine: see
        MapConfig.
        """
        self._index = index
        self._probes, self._refine = probes, refine

    @classmethod
    def train(cls, vectors: Vectors, rows: int, probes: int, refine: int) -> CoarseIndex:
        """Cluster an even sample of the first `rows` rows; no row is in it yet."""
        import faiss

        lists = lists_for(rows)
        words = f'IVF{lists},PQ{vectors.dim // 4}x4fs'
        index: Any = faiss.index_factory(vectors.dim, words, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.seed = ROUNDS, SEED
        index.cp.max_points_per_centroid = SAMPLES_PER_LIST
        count = min(rows, max(lists * SAMPLES_PER_LIST, 16 * 256))
        index.train(vectors.take(np.linspace(0, rows - 1, count).astype(np.int64)))
        return cls(index, probes, refine)

    @classmethod
    def from_bytes(cls, raw: np.ndarray, probes: int, refine: int) -> CoarseIndex:
        """What `to_bytes` gave: (n,) uint8. ValueError if it is something else."""
        import faiss

        try:
            index = faiss.deserialize_index(raw)
        except RuntimeError as error:
            raise ValueError('not a faiss index') from error
        if not isinstance(index, faiss.IndexIVF):
            raise ValueError(f'expected inverted lists, got {type(index).__name__}')
        return cls(index, probes, refine)

    def to_bytes(self) -> np.ndarray:
        import faiss

        return faiss.serialize_index(self._index)

    @property
    def dim(self) -> int:
        return self._index.d

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def fits(self, rows: int) -> bool:
        """Whether the first `rows` rows can be all that is in it, with clusters of a good size."""
        return len(self) <= rows and lists_for(rows) <= 1.5 * self._index.nlist

    def copy(self) -> CoarseIndex:
        return self.from_bytes(self.to_bytes(), self._probes, self._refine)

    def catch_up(self, vectors: Vectors, rows: int | None = None) -> None:
        """Add the rows from here to `rows`, all if None; the clusters stay what they are."""
        end = len(vectors) if rows is None else rows
        for start in range(len(self), end, ADD_ROWS):
            self._index.add(vectors.take(np.arange(start, min(start + ADD_ROWS, end))))

    def shortlist(self, query: np.ndarray, k: int) -> np.ndarray:
        """query (1, D) -> rows (n,) int64, rising: `refine` times k, or what the lists hold."""
        import faiss

        options: Any = faiss.SearchParametersIVF()
        options.nprobe = min(self._probes, self._index.nlist)
        found = self._index.search(
            query,
            min(len(self), self._refine * k),
            params=options,
        )[1][0]
        return np.sort(found[found >= 0])


def lists_for(rows: int) -> int:
    """How many clusters `rows` rows are worth."""
    return max(1, min(rows // SAMPLES_PER_LIST, round(LISTS_PER_ROOT * math.sqrt(rows))))
