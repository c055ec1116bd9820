# SPDX-License-Identifier: MIT
"""Short lists for large maps: clusters of bytes-small vectors (faiss), a file of the map.

Vectors are turned onto the principal axes of the map, of which two thirds are kept, at a byte each
(IVF, scalar quantisation). Compared are those of the nearest clusters; what they name is compared
exactly afterwards, so they only have to be right about who is worth a look. Euclidean distances,
as they order unit vectors like inner products and lose less to the common part of all images.
Product codes of 4 bits and RaBitQ were smaller, but missed more of the 100 nearest in that time.
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
LEAST_SHORTLIST = 500  # short lists are cheap, so that few candidates are found as surely as many


class CoarseIndex:
    """The first `len(self)` rows of a map, in short."""

    def __init__(self, index: Any, probes: int, refine: int) -> None:
        """index: faiss', with inverted lists; probes, refine: see MapConfig."""
        import faiss

        self._index, self._refine = index, refine
        self._lists = faiss.extract_index_ivf(index)
        self._lists.nprobe = min(probes, self._lists.nlist)

    @classmethod
    def train(cls, vectors: Vectors, rows: int, probes: int, refine: int) -> CoarseIndex:
        """Cluster an even sample of the first `rows` rows; no row is in it yet."""
        import faiss

        lists = lists_for(rows)
        index: Any = faiss.index_factory(
            vectors.dim, f'PCAR{axes_for(vectors.dim)},IVF{lists},SQ8', faiss.METRIC_L2
        )
        clustering = faiss.extract_index_ivf(index).cp
        clustering.niter, clustering.seed = ROUNDS, SEED
        sample = np.linspace(0, rows - 1, min(rows, lists * SAMPLES_PER_LIST)).astype(np.int64)
        index.train(vectors.take(sample))
        return cls(index, probes, refine)

    @classmethod
    def from_bytes(cls, raw: np.ndarray, probes: int, refine: int) -> CoarseIndex:
        """What `to_bytes` gave: (n,) uint8. ValueError if it is something else."""
        import faiss

        try:
            return cls(faiss.deserialize_index(raw), probes, refine)
        except RuntimeError as error:
            raise ValueError('not an index of this program') from error

    def to_bytes(self) -> np.ndarray:
        import faiss

        return faiss.serialize_index(self._index)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def fits(self, rows: int) -> bool:
        """Whether the first `rows` rows can be all that is in it, with clusters of a good size."""
        return len(self) <= rows and lists_for(rows) <= 1.5 * self._lists.nlist

    def copy(self) -> CoarseIndex:
        return self.from_bytes(self.to_bytes(), self._lists.nprobe, self._refine)

    def catch_up(self, vectors: Vectors, rows: int | None = None) -> None:
        """Add the rows from here to `rows`, all if None; the clusters stay what they are."""
        end = len(vectors) if rows is None else rows
        for start in range(len(self), end, ADD_ROWS):
            self._index.add(vectors.take(np.arange(start, min(start + ADD_ROWS, end))))

    def shortlist(self, query: np.ndarray, k: int) -> np.ndarray:
        """query (1, D) -> rows (n,) int64, rising: `refine` times k, or what the lists hold."""
        count = min(len(self), max(LEAST_SHORTLIST, self._refine * k))
        found = self._index.search(query, count)[1][0]
        return np.sort(found[found >= 0])


def lists_for(rows: int) -> int:
    """How many clusters `rows` rows are worth."""
    return max(1, min(rows // SAMPLES_PER_LIST, round(LISTS_PER_ROOT * math.sqrt(rows))))


def axes_for(dim: int) -> int:
    """How many principal axes are kept: whitened features have none that can be spared."""
    return min(dim, max(64, min(256, 2 * dim // 3)))
