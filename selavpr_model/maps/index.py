# SPDX-License-Identifier: MIT
"""Nearest places by inner product, with faiss: exact, in large maps among a short list."""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Any

import numpy as np

from selavpr_model.maps.coarse_index import CoarseIndex
from selavpr_model.maps.vectors import Vectors

logger = logging.getLogger(__name__)
GPU_MAX_K = 2048  # limit of faiss' GPU k-selection
FLAT_VALUES = 25_000_000  # about 8 ms of comparing on one core
LEAST_ROWS = 100  # fewer say too little about what codes should be
LEAST_OF_SPREAD, MOST_OF_SPREAD = 10, 256  # rows that tell what products vary by
SPREAD, LEAST_SPREAD = 0.1, 0.01
ABSORB_ROWS = 4096  # added rows that are compared one by one before they join the short lists

Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


class VectorIndex:
    """Row i of the index is row i of the map. Rows are only ever appended.

    Products are always those of the float32 vectors. Without `coarse` every row is compared; with
    it, only the rows it names and those added since. Where there is a GPU all rows lie there and
    all are compared.
    """

    def __init__(
        self,
        dim: int,
        use_gpu: bool = True,
        stored: np.ndarray | None = None,
        coarse: CoarseIndex | None = None,
    ) -> None:
        """stored: (n, D) float32, kept as it is; coarse: of the first of these rows."""
        self.dim = dim
        self.coarse = coarse
        self._vectors = Vectors(dim, stored)
        self._spread, self._spread_of = SPREAD, 0  # measured on so many rows
        self._gpu: Any = _gpu_index(dim) if use_gpu else None
        if self._gpu is not None and stored is not None:
            self._gpu.add(np.ascontiguousarray(stored, np.float32))

    @property
    def device(self) -> str:
        return 'cpu' if self._gpu is None else 'cuda:0'

    def __len__(self) -> int:
        return len(self._vectors)

    def add(self, vectors: np.ndarray) -> None:
        """vectors: (n, D) float32."""
        rows = np.ascontiguousarray(vectors, np.float32)
        self._vectors.append(rows)
        if self._gpu is not None:
            self._gpu.add(rows)
        if self.coarse is not None and len(self) - len(self.coarse) >= ABSORB_ROWS:
            self.coarse.catch_up(self._vectors)

    def blocks(self, rows: int | None = None) -> list[np.ndarray]:
        """The first `rows` vectors, all if None: (n, D) float32 each, in order, no copies."""
        end = len(self) if rows is None else rows
        return [block[: max(0, end - first)] for first, block in self._vectors.blocks()]

    def vector(self, row: int) -> np.ndarray:
        """(D,) float32 of one row."""
        return self._vectors.take(np.array([row]))[0]

    def trained(self, rows: int, refine: int) -> CoarseIndex:
        """Short lists for the first `rows` rows; those in use go on as they are.

        Their codes are kept until the map has grown to twice what they were chosen for.
        """
        if self.coarse is None or not self.coarse.fits(rows):
            coarse = CoarseIndex.train(self._vectors, rows, refine)
        else:
            coarse = self.coarse.copy()
        coarse.catch_up(self._vectors, rows)
        return coarse

    @property
    def spread(self) -> float:
        """Standard deviation of the products of rows: what a cosine is worth in this map.

        Measured anew when there are twice as many rows; SPREAD where there are few.
        """
        if len(self) < LEAST_OF_SPREAD:
            return SPREAD
        if not self._spread_of <= len(self) < 2 * self._spread_of:
            rows = np.unique(np.linspace(0, len(self) - 1, MOST_OF_SPREAD).astype(int))
            vectors = np.array([self.vector(int(row)) for row in rows])
            products = (vectors @ vectors.T)[np.triu_indices(len(rows), 1)]
            self._spread = max(float(products.std()), LEAST_SPREAD)
            self._spread_of = len(self)
        return self._spread

    def search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(D,) -> rows (k',) int64 and inner products (k',) float32, k' = min(k, N).

        Best first; equal products in the order of the rows, also across the cut at k.
        """
        k = min(k, len(self))
        if k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        blocks = self._search(np.ascontiguousarray(query[None], np.float32), k)
        rows, products = (np.concatenate(side) for side in zip(*blocks, strict=True))
        order = np.lexsort((rows, -products))[:k]
        return rows[order], products[order]

    def _search(self, query: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """(rows, products) that hold the k best between them."""
        if self._gpu is not None:
            return [tied(self._gpu_search, query, k, len(self))]
        best, first, coarse = [], 0, self.coarse
        rows = None if coarse is None else coarse.shortlist(query, k)
        if coarse is not None and rows is not None:
            first = len(coarse)
            at, products = exact(query, self._vectors.take(rows), k)
            best.append((rows[at], products))
        for start, block in self._vectors.blocks(first):
            at, products = exact(query, block, k)
            best.append((start + at, products))
        return best

    def _gpu_search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if k > GPU_MAX_K:
            import faiss

            return faiss.index_gpu_to_cpu(self._gpu).search(query, k)
        return self._gpu.search(query, k)


def needs_index(rows: int, dim: int, kind: str) -> bool:
    """Whether a map is large enough for short lists; kind: see MapConfig.index."""
    large = rows * dim > FLAT_VALUES
    return rows >= LEAST_ROWS and (kind == 'codes' or (kind == 'auto' and large))


def exact(query: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """query (1, D), vectors (n, D) -> rows and products: the k best, and all as good as those."""
    import faiss

    def search(query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return faiss.knn(query, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)

    return tied(search, query, min(k, len(vectors)), len(vectors))


def tied(search: Search, query: np.ndarray, k: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """At least the k best, and all that are as good as the k-th: faiss breaks ties freely."""
    more = k + 1
    while True:
        products, rows = search(query, min(more, count))
        if more >= count or products[0, -1] < products[0, k - 1]:
            return rows[0], products[0]
        more *= 2


def _gpu_index(dim: int) -> Any:
    """A flat index on the GPU, or None with the reason in the log. Never run: no GPU was here."""
    import faiss

    if not hasattr(faiss, 'StandardGpuResources'):
        logger.info('map search on the CPU: this faiss (%s) has no GPU part', faiss.__version__)
        return None
    if faiss.get_num_gpus() < 1:
        logger.info('map search on the CPU: faiss sees no GPU')
        return None
    logger.info('map search on the GPU')
    return faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), dim)
