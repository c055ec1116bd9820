# SPDX-License-Identifier: MIT
"""From matched cells of two grids to unit rays of two cameras."""

from __future__ import annotations

import cv2
import numpy as np

from selavpr_model.matching import cell_pixels, mutual_matches
from selavpr_model.records import Camera

FISHEYE = ('equidistant', 'fisheye')
WIDEST_RAD = 1.4  # rays further off the axis leave the plane z = 1 that the solvers work in


def pixel_rays(pixels: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 2) pixels -> (N, 3) unit rays of the optical frame; NaN where they cannot be used."""
    points = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
    if len(points) == 0:
        return np.zeros((0, 3))
    bent = np.asarray(camera.distortion, np.float64).ravel()
    if camera.model in FISHEYE:
        flat = cv2.fisheye.undistortPoints(points, camera.K, np.resize(np.r_[bent, [0.0] * 4], 4))
    else:
        flat = cv2.undistortPoints(points, camera.K, bent if len(bent) else None)
    plane = flat.reshape(-1, 2)
    with np.errstate(all='ignore'):
        rays = np.c_[plane, np.ones(len(plane))] / np.hypot(1.0, np.hypot(*plane.T))[:, None]
        rays[~(rays[:, 2] > np.cos(WIDEST_RAD)) | (np.abs(plane) > 1e3).any(axis=1)] = np.nan
    return rays


def match_pixels(
    query: np.ndarray,
    reference: np.ndarray,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    input_size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mutual matches with sub-cell positions: cells (M, 2), pixels (M, 2) of each image.

    query, reference: (h, w, C); sizes: (width, height) of each image; input_size: (H, W).
    """
    grid = query.shape[0], query.shape[1]
    mine, other = (x.reshape(-1, x.shape[-1]) for x in (query, reference))
    cells = mutual_matches(mine, other)
    found = []
    for side, (a, b) in enumerate(((other, mine), (mine, other))):
        at = cell_pixels(grid, input_size, sizes[side][::-1]).astype(np.float64)
        step = (at[-1] - at[0]) / np.maximum([grid[1] - 1, grid[0] - 1], 1)
        shift = _peak(a[cells[:, 1 - side]], b.reshape(query.shape), cells[:, side])
        # Either side may be moved: each takes half, as both are equally coarse.
        found.append(at[cells[:, side]] + 0.5 * step * shift)
    return cells, found[0], found[1]


def _peak(values: np.ndarray, grid: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(M, 2) x, y offsets in cells, [-0.5, 0.5]: peak of a parabola through the neighbours."""
    height, width, _ = grid.shape
    row, column = np.divmod(cells, width)

    def similarity(down: int, right: int) -> np.ndarray:
        r, c = row + down, column + right
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        near = grid[np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)]
        return np.where(inside, np.einsum('ij,ij->i', values, near), np.nan)

    middle = similarity(0, 0)
    sides = [(similarity(0, -1), similarity(0, 1)), (similarity(-1, 0), similarity(1, 0))]
    return np.stack([_vertex(low, middle, high) for low, high in sides], axis=1)


def _vertex(low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> np.ndarray:
    bend = low - 2.0 * middle + high
    known = np.isfinite(bend) & (bend < -1e-6)
    shift = np.where(known, 0.5 * (low - high) / np.where(known, bend, 1.0), 0.0)
    return np.clip(shift, -0.5, 0.5)
