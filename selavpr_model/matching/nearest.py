# SPDX-License-Identifier: MIT
"""Mutual nearest neighbours of local features; no full similarity matrix ever exists.

A query cell and a reference cell match when each is the other's most similar cell (SelaVPR,
section 3.4); argmax takes the first on ties. Which of them count is matcher.py's to say.
The work is done by a compiled kernel (kernel.py) and by torch where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from selavpr_model.features.vit import PATCH
from selavpr_model.matching import kernel

TILE = 1024  # query cells a tile; against 3721 cells of float32 that is 15 MB
BATCH_CELLS = 4096  # reference cells compared at once: several token grids, or one dense one


def nearest_both_ways(
    query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """For each cell of one side the most similar cell of the other, the first of equals.

    query (Nq, C); references: K of (Nr, C), one array or several; all int8 or all float32. Gives
    best reference cells (K, Nq) and best query cells (K, Nr), int32. Codes of int8 are compared
    as integers, exactly, on every machine. threads: None for as many as torch uses.
    """
    if kernel.library() is None:
        return _nearest_by_torch(query, references)
    return kernel.nearest(query, references, threads or torch.get_num_threads())


def _nearest_by_torch(
    query: np.ndarray, references: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The same without the kernel. Sums of products of int8 are whole numbers below 2^24."""
    others = np.stack(list(references)) if len(references) else np.zeros((0, 0, 0), np.float32)
    if min(query.size, others.size) == 0:
        rows = others.shape[:2]
        return np.zeros((rows[0], len(query)), np.int32), np.zeros(rows, np.int32)
    exact = np.float32 if query.dtype != np.int8 or query.shape[1] < 1024 else np.float64
    cells, stack = (torch.from_numpy(a.astype(exact)) for a in (query, others))
    step = max(1, BATCH_CELLS // others.shape[1])
    parts = [nearest_tiled(cells, batch) for batch in stack.split(step)]
    to_reference, to_query = (torch.cat(side).int().numpy() for side in zip(*parts, strict=True))
    return to_reference, to_query


def nearest_tiled(query: Tensor, references: Tensor, tile: int = TILE) -> tuple[Tensor, Tensor]:
    """The same with torch, on any device: (Nq, C), (K, Nr, C) -> (K, Nq), (K, Nr) int64.

    Column maxima run along the tiles: strictly greater replaces, so the first of equals stays.
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


def mutual(
    query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which query cells match mutually (K, Nq) bool, and their best reference cells (K, Nq)."""
    to_reference, to_query = nearest_both_ways(query, references, threads)
    if min(to_reference.size, to_query.size) == 0:
        return np.zeros(to_reference.shape, bool), to_reference
    back = np.take_along_axis(to_query, to_reference, axis=1)
    return back == np.arange(len(query)), to_reference


def mutual_matches(query: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Pairs (query cell, reference cell), (M, 2) int64, in query order.

    query (Nq, C) and reference (Nr, C): float32 with unit rows, or int8 codes of one codec; cells
    are row-major grid indices.
    """
    matched, to_reference = mutual(as_cells(query), [as_cells(reference)])
    cells = matched[0].nonzero()[0]
    return np.stack([cells, to_reference[0, cells]], axis=1).astype(np.int64)


def count_mutual(
    query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
) -> np.ndarray:
    """Number of mutual matches of query (Nq, C) with each of K references (Nr, C): (K,) int64.

    float32 or int8, as for mutual_matches; memory-mapped references are not copied.
    """
    matched, _ = mutual(as_cells(query), [as_cells(row) for row in references], threads)
    return matched.sum(axis=1, dtype=np.int64)


def as_cells(cells: np.ndarray) -> np.ndarray:
    """Contiguous int8 codes as they are, the main ones of tokens, anything else as float32."""
    cells = cells['main'] if cells.dtype.names else cells
    kind = np.int8 if cells.dtype == np.int8 else np.float32
    return np.ascontiguousarray(cells, dtype=kind)


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
