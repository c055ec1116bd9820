# SPDX-License-Identifier: MIT
"""Short lists for large maps: vectors of half a byte for two values (faiss), a file of the map.

Each pair of values is replaced by the nearest of 16 (a product quantiser), and all rows are
compared so: from tables that fit into registers, which is far quicker than reading the vectors.
What comes out best is compared exactly afterwards, so codes only have to be right about who is
worth a look. Clusters (IVF) would spare nothing: whitened features have none to speak of.
Euclidean distances, as they order unit vectors like inner products and lose less to the common
part of all images: without whitening that is most of a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from selavpr_model.maps.vectors import Vectors

PAIR = 2  # values that share 4 bits
SAMPLES = 16 * 256  # training vectors: more are not looked at
ROUNDS = 8  # of k-means
SEED = 1234
GROWTH = 2  # a map this many times as large as the one its codes were chosen for gets others
ADD_ROWS = 65536
LEAST_SHORTLIST = 500  # short lists are cheap, so that few candidates are found as surely as many
TAIL = 8  # bytes behind faiss' own
WORTHWHILE = 4  # a short list is shorter than the map by this factor, or all is compared in place


class CoarseIndex:
    """The first `len(self)` rows of a map, in short."""

    def __init__(self, index: Any, trained: int, refine: int) -> None:
        """index: faiss', as `train` makes it for `trained` rows; refine: see MapConfig."""
        self._index, self._trained, self._refine = index, trained, refine

    @classmethod
    def train(cls, vectors: Vectors, rows: int, refine: int) -> CoarseIndex:
        """Choose the values of the codes by an even sample of the first `rows` rows, 16 at least.

        No row is in it yet.
        """
        import faiss

        pairs = -(-vectors.dim // PAIR)
        index: Any = faiss.index_factory(
            vectors.dim, f'Pad{PAIR * pairs},PQ{pairs}x4fs', faiss.METRIC_L2
        )
        quantiser: Any = faiss.downcast_index(index.index)
        clustering = quantiser.pq.cp
        clustering.niter, clustering.seed = ROUNDS, SEED
        clustering.min_points_per_centroid = 1  # no warning
        sample = np.linspace(0, rows - 1, min(rows, SAMPLES)).astype(np.int64)
        index.train(vectors.take(sample))
        return cls(index, rows, refine)

    @classmethod
    def from_bytes(cls, raw: np.ndarray, refine: int) -> CoarseIndex:
        """What `to_bytes` gave: (n,) uint8. ValueError if it is something else."""
        import faiss

        try:
            index: Any = faiss.deserialize_index(raw)
        except RuntimeError as error:
            raise ValueError('not an index of this program') from error
        padded = isinstance(index, faiss.IndexPreTransform)
        if not padded or not isinstance(faiss.downcast_index(index.index), faiss.IndexPQFastScan):
            raise ValueError('not an index of this kind')
        return cls(index, int.from_bytes(raw[-TAIL:].tobytes(), 'little'), refine)

    def to_bytes(self) -> np.ndarray:
        """(n,) uint8: faiss' own, which ends where it says, and the rows it was trained for."""
        import faiss

        tail = np.frombuffer(self._trained.to_bytes(TAIL, 'little'), np.uint8)
        return np.concatenate([faiss.serialize_index(self._index), tail])

    @property
    def dim(self) -> int:
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def fits(self, rows: int) -> bool:
        """Whether the first `rows` rows can be all that is in it, and its codes are of such."""
        return len(self) <= rows <= GROWTH * self._trained

    def copy(self) -> CoarseIndex:
        import faiss

        return CoarseIndex(faiss.clone_index(self._index), self._trained, self._refine)

    def catch_up(self, vectors: Vectors, rows: int | None = None) -> None:
        """Add the rows from here to `rows`, all if None; the values of the codes stay."""
        end = len(vectors) if rows is None else rows
        for start in range(len(self), end, ADD_ROWS):
            self._index.add(vectors.take(np.arange(start, min(start + ADD_ROWS, end))))

    def shortlist(self, query: np.ndarray, k: int) -> np.ndarray | None:
        """query (1, D) -> rows (n,) int64, rising: about `refine` times k; None: all are worth it.

        Of rows with the same code all are in it or none, so that equal vectors keep their order.
        """
        count = max(LEAST_SHORTLIST, self._refine * k)
        while WORTHWHILE * count < len(self):
            distances, rows = (part[0] for part in self._index.search(query, count))
            whole = rows[distances < distances[-1]]  # others as far as the last were cut off
            if len(whole) >= k:
                return np.sort(whole)
            count *= 2
        return None
