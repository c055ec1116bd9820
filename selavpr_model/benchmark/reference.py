# SPDX-License-Identifier: MIT
"""The paper's pipeline in its plain form, as what every figure of the benchmark is compared with.

Eager float32 network with separate adapters, float32 local features in memory, for each candidate
the whole similarity matrix and two argmax, and a flat L2 index. Nothing here is used elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from selavpr_model.features.network import SelaVPR
from selavpr_model.runtime.stages import StageClock


class Reference:
    """A map and a model; row i of the map has the local features of `local[i % n]`."""

    def __init__(self, network: SelaVPR, global_: np.ndarray, local: np.ndarray) -> None:
        """global_: (N, D) float32; local: (n, cells, C) float32, n <= N."""
        import faiss

        self.network = network
        self.local = torch.from_numpy(local)
        self.index = faiss.IndexFlatL2(global_.shape[1])
        self.index.add(np.ascontiguousarray(global_))

    @torch.inference_mode()
    def process(self, image: Tensor, k: int) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
        """(3, H, W) in [0, 1] -> rows (k,) in re-ranked order, their counts, and ms a stage."""
        clock = StageClock()
        with clock.stage('forward'):
            global_, local, _ = self.network(image[None])
        with clock.stage('retrieve'):
            rows = self.search(global_.numpy(), k)
        with clock.stage('rerank'):
            ordered = self.order(local[0], rows)
        return *ordered, {name: ns / 1e6 for name, ns in clock.ns.items()}

    def search(self, global_: np.ndarray, k: int) -> np.ndarray:
        """(1, D) -> rows (k,)."""
        rows: np.ndarray = self.index.search(global_, k)[1][0]
        return rows

    def order(self, local: Tensor, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(h, w, C), rows (k,) -> the rows by their mutual matches, and these."""
        query = local.flatten(0, 1)
        counts = np.array([count(query, self.local[row % len(self.local)]) for row in rows])
        best = np.argsort(-counts, kind='stable')
        return rows[best], counts[best]

    @torch.inference_mode()
    def rerank(
        self, global_: np.ndarray, local: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """(D,), (h, w, C) -> rows and counts in order, and the ms of ordering them."""
        rows = self.search(global_[None], k)
        clock = StageClock()
        with clock.stage('rerank'):
            ordered = self.order(torch.from_numpy(local), rows)
        return *ordered, clock.ns['rerank'] / 1e6


def count(query: Tensor, reference: Tensor) -> int:
    """Mutual nearest neighbours of (Nq, C) and (Nr, C), from their whole similarity matrix."""
    similarity = query @ reference.T
    to_reference, to_query = similarity.argmax(dim=1), similarity.argmax(dim=0)
    return int((to_query[to_reference] == torch.arange(len(query))).sum())
