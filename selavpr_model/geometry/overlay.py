# SPDX-License-Identifier: MIT
"""Which cells of a frame match which of a place: for pictures, not for decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selavpr_model.geometry.rays import dense_size
from selavpr_model.geometry.two_view import TwoView
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.matching.matcher import Matcher
from selavpr_model.matching.nearest import cell_pixels


@dataclass(frozen=True, slots=True, eq=False)
class MatchOverlay:
    """pairs: (M, 2) matched cells of frame and place, on a grid (h, w) of an input (H, W) px.

    fits: (M,) bool, whether geometry takes a pair for an inlier; None where it has not looked.
    """

    pairs: np.ndarray
    grid: tuple[int, int]
    input_size: tuple[int, int]
    fits: np.ndarray | None = None

    def pixels(self, side: int, size: tuple[int, int]) -> np.ndarray:
        """(M, 2) x, y of the frame's (side 0) or the place's (1) cells in a picture (H, W)."""
        return cell_pixels(self.grid, self.input_size, size)[self.pairs[:, side]]


def by_codes(
    view: np.ndarray,
    row: int,
    place_map: PlaceMap,
    input_size: tuple[int, int],
    matcher: Matcher,
) -> MatchOverlay:
    """The matches that count; view: PlaceMap.code of a frame."""
    pairs = matcher.pairs(view, place_map.codes([row])[0])
    return MatchOverlay(pairs, place_map.grid, input_size)


def by_geometry(view: TwoView, input_size: tuple[int, int]) -> MatchOverlay | None:
    """The matches that geometry looked at; None where there were too few to look."""
    if view.cells is None:
        return None
    return MatchOverlay(view.cells, dense_size(input_size), input_size, view.mask)
