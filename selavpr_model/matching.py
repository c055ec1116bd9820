# SPDX-License-Identifier: MIT
"""Mutual nearest neighbours of local features, tiled so that no full matrix ever exists.

A query cell and a reference cell match when each is the other's most similar cell (SelaVPR,
section 3.4). The score of a candidate is the number of such pairs; argmax takes the first on ties.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from selavpr_model.vit import PATCH

TILE = 1024  # query cells a tile; against 3721 cells of float32 that is 15 MB
BATCH_CELLS = 4096  # reference cells compared at once: several token grids, or one dense one


def nearest_both_ways(
    query: Tensor, references: Tensor, tile: int = TILE
) -> tuple[Tensor, Tensor]:
    """For each cell of one side the most similar cell of the other.

    query (Nq, C), references (K, Nr, C) -> best reference cell of each query cell (K, Nq) and best
    query cell of each reference cell (K, Nr), int64. Column maxima run along the tiles: strictly
    greater replaces, so the first on ties stays.
    """
    count, cells = references.shape[:2]
    to_reference = query.new_empty((count, len(query)), dtype=torch.long)
    to_query = query.new_zeros((count, cells), dtype=torch.long)
    best = query.new_full((count, cells), -torch.inf)
    transposed = references.transpose(1, 2)
    for start in range(0, len(query), tile):
        similarity = query[start : start + tile] @ transposed  # (K, tile, Nr)
        to_reference[:, start : start + tile] = similarity.argmax(dim=2)
        value, row = similarity.max(dim=1)
        to_query = torch.where(value > best, row + start, to_query)
        best = torch.maximum(value, best)
    return to_reference, to_query


def mutual(query: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Which query cells match mutually (K, Nq) bool, and their best reference cells (K, Nq)."""
    to_reference, to_query = nearest_both_ways(query, references)
    back = to_query.gather(1, to_reference)
    return back == torch.arange(len(query), device=query.device), to_reference


def mutual_matches(query: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Pairs (query cell, reference cell), (M, 2) int64, in query order.

    query (Nq, C) and reference (Nr, C) float32 with unit rows; cells are row-major grid indices.
    """
    matched, to_reference = mutual(_tensor(query), _tensor(reference)[None])
    cells = matched[0].nonzero()[:, 0]
    return torch.stack([cells, to_reference[0, cells]], dim=1).numpy()


def count_mutual(query: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Number of mutual matches of query (Nq, C) with each of references (K, Nr, C): (K,) int64."""
    cells, others = _tensor(query), _tensor(references)
    step = max(1, BATCH_CELLS // max(1, others.shape[1]))
    counts = [mutual(cells, batch)[0].sum(dim=1) for batch in others.split(step) if len(batch)]
    return torch.cat(counts).numpy() if counts else np.zeros(0, dtype=np.int64)


def cell_pixels(
    grid: tuple[int, int], input_size: tuple[int, int], image_size: tuple[int, int]
) -> np.ndarray:
    """Where the grid's cells lie in the original image: (h * w, 2) float32, x then y in pixels.

    grid (h, w): cells; input_size (H, W): pixels seen by the network; image_size (H, W): pixels of
    the image before it was resized. Pixel centres are integers: token i covers input pixels
    14 i to 14 i + 13, so it sits at 6.5 + 14 i, and a dense cell u at 6.5 + 3.5 u.
    """
    axes = []
    for cells, pixels, original in zip(grid, input_size, image_size, strict=True):
        tokens = pixels // PATCH
        step = PATCH if cells == tokens else PATCH * (tokens - 1) / max(cells - 1, 1)
        at = (PATCH - 1) / 2 + step * np.arange(cells)
        axes.append(
            (at + 0.5) * original / pixels - 0.5
        )  # as bilinear resizing maps pixel centres
    y, x = np.meshgrid(*axes, indexing='ij')
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _tensor(cells: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(cells, dtype=np.float32))
