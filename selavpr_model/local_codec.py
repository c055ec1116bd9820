# SPDX-License-Identifier: MIT
"""Local features as int8 codes of one scale, whole or as knots that are interpolated when read.

Dense cells are up-convolved from a coarse grid, so those between knots are nearly an
interpolation. One scale for all cells keeps the products of codes comparable as integers; a fixed
rotation spreads each cell's value evenly over its channels, so that few are clipped.
"""

from __future__ import annotations

import functools

import numpy as np

PEAK = 4.0  # deviations of a unit vector's channel (1 / sqrt(C)) that become 127


@functools.lru_cache(maxsize=8)
def rotation(channels: int) -> np.ndarray:
    """(C, C) float32 orthonormal, the same in every process: products stay what they were."""
    noise = np.random.default_rng(0).standard_normal((channels, channels))
    q, r = np.linalg.qr(noise)
    return (q * np.sign(np.diag(r))).astype(np.float32)


def encode(cells: np.ndarray) -> np.ndarray:
    """(..., C) float32 unit vectors -> int8 codes; a cell of zeros stays zero."""
    return _quantise(np.asarray(cells, np.float32) @ rotation(cells.shape[-1]))


def _quantise(cells: np.ndarray) -> np.ndarray:
    scale = 127 * np.sqrt(cells.shape[-1]) / PEAK
    return np.clip(np.rint(cells * scale), -127, 127).astype(np.int8)


def decode(codes: np.ndarray) -> np.ndarray:
    """Codes (..., C) -> float32 unit vectors in the channels of the features."""
    return _unit(codes.astype(np.float32)) @ rotation(codes.shape[-1]).T


def _unit(cells: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(cells, axis=-1, keepdims=True)
    return cells / np.where(lengths > 0, lengths, 1.0)


def knots(cells: int, count: int) -> np.ndarray:
    """`count` cells of an axis, the first and the last among them, as evenly as whole ones are."""
    return np.rint(np.linspace(0, cells - 1, count)).astype(np.int64)


def thin(grid: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The knots of a grid (h, w, C): (*shape, C)."""
    rows, columns = (knots(n, m) for n, m in zip(grid.shape[:2], shape, strict=True))
    return grid[np.ix_(rows, columns)]


def expand(codes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Codes of knots (m, n, C) -> codes of all cells (h, w, C), interpolated and rescaled."""
    rows, columns = (_weights(n, m) for n, m in zip(shape, codes.shape[:2], strict=True))
    tall = np.tensordot(rows, codes.astype(np.float32), axes=(1, 0))
    return _quantise(_unit(np.matmul(columns, tall)))


@functools.lru_cache(maxsize=16)
def _weights(cells: int, count: int) -> np.ndarray:
    """(cells, count) float32: how much of each knot is in each cell."""
    identity = np.eye(count)
    at = knots(cells, count)
    return np.stack([np.interp(np.arange(cells), at, row) for row in identity], 1).astype('f4')
