# SPDX-License-Identifier: MIT
"""From matched cells of two grids to unit rays of two cameras."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from selavpr_model.features.vit import PATCH
from selavpr_model.matching.local_codec import DenseCodec
from selavpr_model.matching.nearest import cell_pixels, mutual_matches
from selavpr_model.records import Camera, FISHEYE

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


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """An image ready to be matched. grid: (h, w, C) float32, unit; codes: (h * w, C) int8 of it,
    which are compared several times as fast."""

    grid: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, local: np.ndarray, input_size: tuple[int, int]) -> Cells:
        """local: (h, w, C), unit, of any number of cells; input_size: (H, W)."""
        grid = densify(local, input_size)
        height, width, channels = grid.shape
        return cls(grid, DenseCodec((height, width, channels)).codes(grid))


def match_pixels(
    query: Cells,
    reference: Cells,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    input_size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mutual matches with sub-cell positions: cells (M, 2), pixels (M, 2) of each image.

    sizes: (width, height) of each image; input_size: (H, W).
    """
    grids = query.grid, reference.grid
    flat = [x.reshape(-1, x.shape[-1]) for x in grids]
    cells = mutual_matches(query.codes, reference.codes)
    pixels = []
    for side, grid in enumerate(grids):
        at = cell_pixels(grid.shape[:2], input_size, sizes[side][::-1]).astype(np.float64)
        step = (at[-1] - at[0]) / np.maximum([grid.shape[1] - 1, grid.shape[0] - 1], 1)
        shift = _peak(flat[1 - side][cells[:, 1 - side]], grid, cells[:, side])
        # Either side may be moved: each takes half, as both are equally coarse.
        pixels.append(at[cells[:, side]] + 0.5 * step * shift)
    return cells, pixels[0], pixels[1]


def densify(local: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    """(h, w, C) of tokens, or of a thinned grid -> 4 cells a token, as the dense head has."""
    size = dense_size(input_size)
    if local.shape[0] >= size[0] or min(local.shape[:2]) < 2:
        return local
    wide = torch.from_numpy(np.ascontiguousarray(local, np.float32)).permute(2, 0, 1)[None]
    dense = F.interpolate(wide, size, mode='bilinear', align_corners=True)
    return F.normalize(dense[0], dim=0).permute(1, 2, 0).contiguous().numpy()


def dense_size(input_size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns that `densify` makes of an input (H, W) px."""
    height, width = (4 * (pixels // PATCH) - 3 for pixels in input_size)
    return height, width


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
    is_peak = np.isfinite(bend) & (bend < -1e-6)
    shift = np.where(is_peak, 0.5 * (low - high) / np.where(is_peak, bend, 1.0), 0.0)
    return np.clip(shift, -0.5, 0.5)
