# SPDX-License-Identifier: MIT
"""Exact nearest neighbours by inner product, with faiss; on the GPU where there is one."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)
GPU_MAX_K = 2048  # limit of faiss' GPU k-selection


class FlatIndex:
    """Row i of the index is row i of the map. Rows are only ever appended."""

    def __init__(self, dim: int, use_gpu: bool = True) -> None:
        import faiss

        self.dim = dim
        self._gpu = _gpu_resources(faiss) if use_gpu else None
        if self._gpu is None:
            self._index: Any = faiss.IndexFlatIP(dim)
        else:
            self._index = faiss.GpuIndexFlatIP(self._gpu, dim)

    @property
    def device(self) -> str:
        return 'cpu' if self._gpu is None else 'cuda:0'

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, vectors: np.ndarray) -> None:
        """vectors: (n, D) float32."""
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    def vectors(self) -> np.ndarray:
        """(N, D) float32 copy of everything added, bit for bit."""
        if len(self) == 0:
            return np.empty((0, self.dim), np.float32)
        return self._index.reconstruct_n(0, len(self))

    def vector(self, row: int) -> np.ndarray:
        """(D,) float32 of one row."""
        return self._index.reconstruct(int(row))

    def search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(D,) -> rows (k',) int64 and inner products (k',) float32, k' = min(k, N).

        Best first; equal products in the order of the rows, also across the cut at k.
        """
        k = min(k, len(self))
        if k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        rows, products = self._tied_search(np.ascontiguousarray(query[None], np.float32), k)
        order = np.lexsort((rows, -products))[:k]
        return rows[order], products[order]

    def _tied_search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """At least the k best, and all that are as good as the k-th: faiss breaks ties freely."""
        wanted = k + 1
        while True:
            products, rows = self._raw_search(query, min(wanted, len(self)))
            if wanted >= len(self) or products[0, -1] < products[0, k - 1]:
                return rows[0], products[0]
            wanted *= 2

    def _raw_search(self, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self._gpu is not None and k > GPU_MAX_K:
            import faiss

            return faiss.index_gpu_to_cpu(self._index).search(query, k)
        return self._index.search(query, k)


def _gpu_resources(faiss: Any) -> Any:
    """faiss' GPU resources, or None with the reason in the log."""
    if not hasattr(faiss, 'StandardGpuResources'):
        logger.info('map search on the CPU: this faiss (%s) has no GPU part', faiss.__version__)
        return None
    if faiss.get_num_gpus() < 1:
        logger.info('map search on the CPU: faiss sees no GPU')
        return None
    logger.info('map search on the GPU')
    return faiss.StandardGpuResources()
