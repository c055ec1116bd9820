# SPDX-License-Identifier: MIT
"""Short lists for large maps: vectors of half a byte for two values (faiss), kept as arrays.

Each pair of values is replaced by the nearest of 16 (a product quantiser), and all rows are
compared so: from tables that fit into registers, which is far quicker than reading the vectors.
What comes out best is compared exactly afterwards, so codes only have to be right about who is
worth a look. Clusters (IVF) would spare nothing: whitened features have none to speak of.
Euclidean distances, as they order unit vectors like inner products and lose less to the common
part of all images: without whitening that is most of a vector.

A map stores them as plain arrays, and faiss never parses a file: of 600 changed ones that it
parsed, 77 ended the process. Any codes are safe to search with; the values are checked here.
Opening 100,000 rows of 384 so takes 0.03 s, choosing the values anew 6.5 s.
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
VALUES = 16  # that a pair may stand for
MOST_VALUE = 4.0  # of unit vectors none is above 1
BLOCK = 32  # rows that faiss packs together
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
    def from_arrays(
        cls, values: np.ndarray, codes: np.ndarray, trained: int, dim: int, refine: int
    ) -> CoarseIndex:
        """What `values` and `codes` gave, of vectors of `dim`; ValueError if it is something else.

        values: (pairs, 16, 2) float32; codes: (n, pairs / 2) uint8, whose bits may be anything.
        """
        import faiss

        pairs = -(-dim // PAIR)
        _require(values, (pairs, VALUES, PAIR), '<f4')
        _require(codes, (len(codes), -(-pairs // 2)), '|u1')
        if not np.abs(values).max() <= MOST_VALUE:  # also NaN
            raise ValueError(f'expected finite values up to {MOST_VALUE}')
        if not 1 <= len(codes) <= GROWTH * trained <= GROWTH * 2**40:
            raise ValueError(f'chosen for {trained} rows, got codes of {len(codes)}')
        plain: Any = faiss.IndexPQ(PAIR * pairs, pairs, 4, faiss.METRIC_L2)
        faiss.copy_array_to_vector(np.array(values, '<f4').ravel(), plain.pq.centroids)
        faiss.copy_array_to_vector(np.array(codes).ravel(), plain.codes)
        plain.ntotal, plain.is_trained = len(codes), True
        padding: Any = faiss.RemapDimensionsTransform
        index: Any = faiss.IndexPreTransform(
            padding(dim, PAIR * pairs, False), faiss.IndexPQFastScan(plain)
        )
        return cls(index, trained, refine)

    @property
    def trained(self) -> int:
        """Rows of the map that the values were chosen for."""
        return self._trained

    def values(self) -> np.ndarray:
        """(pairs, 16, 2) float32: what the codes of each pair stand for."""
        import faiss

        quantiser: Any = faiss.downcast_index(self._index.index)
        values = faiss.vector_to_array(quantiser.pq.centroids)
        return values.reshape(-1, VALUES, PAIR).astype('<f4')

    def codes(self) -> np.ndarray:
        """(n, pairs / 2) uint8: two codes a byte, the first in its lower half."""
        import faiss

        scan: Any = faiss.downcast_index(self._index.index)
        packer, blocks = scan.get_CodePacker(), -(-len(self) // BLOCK)
        packed = faiss.rev_swig_ptr(scan.codes.get(), scan.codes.size()).copy()
        packed = packed[: blocks * packer.block_size].reshape(blocks, packer.block_size)
        codes = np.zeros((blocks * BLOCK, packer.code_size), np.uint8)
        for block in range(blocks):
            rows = codes[BLOCK * block : BLOCK * (block + 1)]
            packer.unpack_all(faiss.swig_ptr(packed[block]), faiss.swig_ptr(rows))
        return codes[: len(self)]

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


def _require(array: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype):
        got = f'{array.shape} {array.dtype.str}'
        raise ValueError(f'expected {shape} {dtype}, got {got}')
