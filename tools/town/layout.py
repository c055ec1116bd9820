# SPDX-License-Identifier: MIT
"""Streets, blocks and building rows of the town as plain numbers (metres, map frame)."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

COLUMNS = (0.0, 58.0, 114.0, 174.0, 220.0, 278.0)  # x of the junctions
ROWS = (0.0, 54.0, 106.0, 160.0)  # y of the junctions
HALF_ROAD = 4.9
PAVEMENT = 2.6
CORNER = 9.5  # length of a row's end left to the side of the next row's first house

# Rows that share their designs: (block column, block row, edge) -> name of the pair.
TWINS = {
    (1, 1, 0): 'p-left',
    (2, 1, 2): 'p-left',
    (1, 0, 2): 'p-right',
    (2, 2, 0): 'p-right',
    (2, 1, 1): 'q-left',
    (3, 1, 1): 'q-left',
    (3, 1, 3): 'q-right',
    (4, 1, 3): 'q-right',
}
KINDS = {
    (2, 1, 0): 'open',
    (2, 1, 3): 'open',
    (0, 1, 1): 'park',
    (0, 1, 0): 'park',
    (0, 1, 2): 'park',
    (0, 1, 3): 'park',
    (2, 0, 2): 'houses',
    (2, 0, 3): 'houses',
    (1, 2, 0): 'modern',
    (1, 2, 1): 'modern',
    (3, 0, 2): 'houses',
}


def rng_of(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on the town's seed and a name only."""
    return np.random.default_rng([seed, crc32(name.encode())])


@dataclass(frozen=True, slots=True)
class Row:
    """One side of a block: from `start` along `yaw`, the block lies to the left."""

    block: tuple[int, int]
    edge: int  # 0 south, 1 east, 2 north, 3 west
    start: tuple[float, float]
    yaw: float
    length: float
    kind: str  # terrace, houses, modern, open or park
    twin: str  # name that seeds the designs; equal for look-alike rows
    variant: int

    @property
    def name(self) -> str:
        """Unique name, seeds what differs between twins."""
        return f'row-{self.block[0]}-{self.block[1]}-{self.edge}'


@dataclass(frozen=True, slots=True)
class Block:
    """Ground between streets: kerb polygon and building line, counter-clockwise (4, 2)."""

    cell: tuple[int, int]
    kerb: np.ndarray
    line: np.ndarray
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Junctions (columns, rows, 2) and blocks."""

    seed: int
    junctions: np.ndarray
    blocks: tuple[Block, ...]


def inset(polygon: np.ndarray, distance: float) -> np.ndarray:
    """Move the edges of a counter-clockwise polygon (n, 2) inwards."""
    n = len(polygon)
    edges = np.roll(polygon, -1, axis=0) - polygon
    normals = np.stack([-edges[:, 1], edges[:, 0]], 1) / np.linalg.norm(edges, axis=1)[:, None]
    corners = []
    for k in range(n):
        a, b = normals[k - 1], normals[k]
        matrix = np.stack([a, b])
        corners.append(np.linalg.solve(matrix, matrix @ polygon[k] + distance))
    return np.array(corners)


def _row(cell: tuple[int, int], edge: int, line: np.ndarray) -> Row:
    """The building row along one edge of a block."""
    start, end = line[edge], line[(edge + 1) % 4]
    along = end - start
    key = (*cell, edge)
    twin = TWINS.get(key, f'row-{cell[0]}-{cell[1]}-{edge}')
    variant = sorted(k for k, v in TWINS.items() if v == twin).index(key) if key in TWINS else 0
    return Row(
        cell,
        edge,
        tuple(start),
        float(np.arctan2(along[1], along[0])),
        float(np.linalg.norm(along)),
        KINDS.get(key, 'terrace'),
        twin,
        variant,
    )


def make(seed: int) -> Layout:
    """The town of a seed."""
    rng = rng_of(seed, 'junctions')
    grid = np.stack(np.meshgrid(COLUMNS, ROWS, indexing='ij'), axis=-1)
    grid = grid + rng.uniform(-2.5, 2.5, grid.shape)
    blocks = []
    for i in range(len(COLUMNS) - 1):
        for j in range(len(ROWS) - 1):
            outline = np.array([grid[i, j], grid[i + 1, j], grid[i + 1, j + 1], grid[i, j + 1]])
            line = inset(outline, HALF_ROAD + PAVEMENT)
            rows = tuple(_row((i, j), edge, line) for edge in range(4) if _inner(i, j, edge))
            blocks.append(Block((i, j), inset(outline, HALF_ROAD), line, rows))
    return Layout(seed, grid, tuple(blocks))


def _inner(i: int, j: int, edge: int) -> bool:
    """False for edges on the rim of the town, where nobody drives."""
    last_i, last_j = len(COLUMNS) - 2, len(ROWS) - 2
    return not (
        (edge == 0 and j == 0)
        or (edge == 2 and j == last_j)
        or (edge == 3 and i == 0)
        or (edge == 1 and i == last_i)
    )


def streets(layout: Layout) -> list[tuple[np.ndarray, np.ndarray]]:
    """Centre lines between neighbouring junctions."""
    g = layout.junctions
    lines = [(g[i, j], g[i + 1, j]) for i in range(g.shape[0] - 1) for j in range(g.shape[1])]
    return lines + [
        (g[i, j], g[i, j + 1]) for i in range(g.shape[0]) for j in range(g.shape[1] - 1)
    ]
