# SPDX-License-Identifier: MIT
"""Which mutual matches count: those whose neighbours in the image moved alike.

The paper scores a candidate by all mutual nearest neighbours. Between images of different places
these are many, too, and scattered; between images of one place neighbouring cells lead to
neighbouring cells. So a match counts when at least SUPPORT of the eight cells around it match,
too, and moved as it did, up to one cell: a local form of the spatial verification that retrieval
has always gained by (Philbin et al., CVPR 2007), without a model of the motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.matching.nearest import as_cells, mutual

SUPPORT = 2  # neighbours that must agree; of 1, 2, 3, 4, 6, 8 the best mean on the training parts
AROUND = ((0, 1), (1, -1), (1, 0), (1, 1))  # half of the eight: agreement is mutual


@dataclass(frozen=True, slots=True)
class Matcher:
    """How views of one map are compared.

    grid: (h, w) of the cells; reach: cells to a neighbour, and how far two motions that are alike
    may differ; score: 'consistent', or 'mutual' where all mutual matches count, as in the paper.
    robot: (h, w) bool, the cells in which the robot sees itself, None where it does not: they
    match nothing.
    """

    grid: tuple[int, int]
    reach: int = 1
    score: str = RecognizerConfig().score
    robot: np.ndarray | None = field(default=None, compare=False)

    @property
    def narrows(self) -> bool:
        """Whether many references are counted from coarse to fine."""
        return False

    @property
    def overlap(self) -> int:
        """Cells that show the same bit of an image: neighbours that do not are `reach` apart."""
        return self.reach**2

    def matched(
        self, query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which cells of the query match each of K references (K, N) bool, and with which (K, N).

        query (N, C), references K of (N, C): int8 codes of one codec, or float32 unit rows.
        """
        matches, partner = mutual(as_cells(query), [as_cells(row) for row in references], threads)
        if self.robot is not None:
            robot = self.robot.ravel()
            matches &= ~robot & ~robot[partner]
        if self.score == 'mutual':
            return matches, partner
        return consistent(matches, partner, self.grid, self.reach), partner

    def count(
        self, query: np.ndarray, references: Sequence[np.ndarray], threads: int | None = None
    ) -> np.ndarray:
        """Number of matches with each of K references: (K,) int64; arguments as for matched."""
        return self.matched(query, references, threads)[0].sum(axis=1, dtype=np.int64)

    def pairs(self, query: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """(M, 2) int64 cells of query and reference that match, in query order."""
        matches, partner = self.matched(query, [reference])
        cells = matches[0].nonzero()[0]
        return np.stack([cells, partner[0, cells]], axis=1).astype(np.int64)


def mask_at(mask: np.ndarray | None, grid: tuple[int, int]) -> np.ndarray | None:
    """(H, W) bool -> (h, w) bool, the nearest cell of each; grids span the same image."""
    if mask is None or mask.shape == grid:
        return mask
    rows, columns = (
        np.rint(np.linspace(0, many - 1, few)).astype(int)
        for many, few in zip(mask.shape, grid, strict=True)
    )
    return mask[np.ix_(rows, columns)]


def consistent(
    matched: np.ndarray, partner: np.ndarray, grid: tuple[int, int], reach: int = 1
) -> np.ndarray:
    """(K, N) bool: of the matched cells those with SUPPORT neighbours that moved alike.

    matched (K, N) bool; partner (K, N) int: cell of the reference that each cell of the query
    leads to. Both images have the grid (h, w), N = h * w, row-major.
    """
    h, w = grid
    down, right = (a.astype(np.int16) for a in np.divmod(np.arange(h * w), w))
    y = (down[partner] - down).reshape(-1, h, w)
    x = (right[partner] - right).reshape(-1, h, w)
    live = matched.reshape(-1, h, w)
    support = np.zeros(live.shape, np.int8)
    for dy, dx in AROUND:
        here, there = _shifted(h, w, dy * reach, dx * reach)
        alike = live[here] & live[there]
        alike &= np.abs(y[here] - y[there]) <= reach
        alike &= np.abs(x[here] - x[there]) <= reach
        support[here] += alike
        support[there] += alike
    return (live & (support >= SUPPORT)).reshape(matched.shape)


Slices = tuple[slice, slice, slice]


def _shifted(h: int, w: int, dy: int, dx: int) -> tuple[Slices, Slices]:
    """Views of (K, h, w): cells that have a neighbour (dy >= 0, dx) away, and these neighbours."""
    left, right = max(0, -dx), w - max(0, dx)
    every = slice(None)
    return (
        (every, slice(0, max(0, h - dy)), slice(left, max(left, right))),
        (every, slice(dy, max(dy, h)), slice(left + dx, max(left, right) + dx)),
    )
