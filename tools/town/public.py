# SPDX-License-Identifier: MIT
"""Ground, road paint, trees and furniture of the public space (metres)."""

from __future__ import annotations

import numpy as np

from town import furniture, plants
from town import ground as gr
from town.houses import Palette, SETBACK
from town.layout import (
    Block,
    COLUMNS,
    HALF_ROAD,
    inset,
    Layout,
    PAVEMENT,
    rng_of,
    Row,
    ROWS,
    streets,
)
from town.materials import paint
from town.meshes import MeshBuilder, place, pose
from town.seasons import Season

ROAD, PAVING, KERB, GRASS, PAINT, SQUARE, IRON = range(7)
KERB_HEIGHT = 0.13


def _level(polygon: np.ndarray, z: float) -> np.ndarray:
    """(n, 2) to (n, 3)."""
    return np.column_stack([polygon, np.full(len(polygon), z)])


def _block(b: MeshBuilder, block: Block) -> None:
    """Kerb, pavement, and the ground inside the building line."""
    outer, inner = _level(block.kerb, 0.0), _level(inset(block.kerb, 0.28), KERB_HEIGHT)
    top = _level(block.kerb, KERB_HEIGHT)
    line = _level(block.line, KERB_HEIGHT)
    for k in range(4):
        j = (k + 1) % 4
        b.face([outer[k], outer[j], top[j], top[k]], KERB)
        b.face([top[k], top[j], inner[j], inner[k]], KERB)
        b.face([inner[k], inner[j], line[j], line[k]], PAVING)
    kinds = {row.kind for row in block.rows}
    b.face(line, SQUARE if 'open' in kinds else GRASS)


def _roads(b: MeshBuilder, layout: Layout) -> None:
    """Asphalt, dashed centre lines, stop lines and zebra crossings."""
    x, y = COLUMNS[-1], ROWS[-1]
    b.flat((-30, x + 30), (-30, y + 30), 0.0, ROAD)
    b.face(
        [
            (-600, -600, -0.15),
            (x + 600, -600, -0.15),
            (x + 600, y + 600, -0.15),
            (-600, y + 600, -0.15),
        ],
        GRASS,
    )
    for number, (a, c) in enumerate(streets(layout)):
        rng = rng_of(layout.seed, f'paint-{number}')
        length = float(np.linalg.norm(c - a))
        yaw = float(np.arctan2(*(c - a)[::-1]))
        b.at(pose(*a, yaw, 0.012))
        near = HALF_ROAD + 1.0
        for s in np.arange(near + 6, length - near - 6, 4.5):
            b.flat((s, s + 2.2), (-0.07, 0.07), 0, PAINT)
        for end in (near, length - near - 3):
            if rng.random() < 0.6:
                for k in np.arange(-HALF_ROAD + 0.5, HALF_ROAD - 0.6, 1.0):
                    b.flat((end, end + 3), (k, k + 0.5), 0, PAINT)
        b.flat((near + 4, near + 4.4), (0.2, HALF_ROAD - 2.2), 0, PAINT)
        b.flat((length - near - 4.4, length - near - 4), (-HALF_ROAD + 2.2, -0.2), 0, PAINT)
        for side in (-1, 1):
            edge = side * (HALF_ROAD - 2.15)
            if rng.random() < 0.5:
                b.flat((near + 7, length - near - 7), (edge - 0.05, edge + 0.05), 0, PAINT)
        for s in rng.uniform(12, length - 12, 3):
            _manhole(b, s, float(rng.uniform(-2, 2)))
    b.at(np.eye(4))


def _manhole(b: MeshBuilder, x: float, y: float) -> None:
    """Iron cover."""
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    b.face([(x + 0.36 * np.cos(t), y + 0.36 * np.sin(t), 0.004) for t in turn], IRON)


def add_ground(layout: Layout, palette: Palette) -> None:
    """Everything flat."""
    s = palette.season
    b = MeshBuilder()
    _roads(b, layout)
    for block in layout.blocks:
        _block(b, block)
    place(
        b.mesh(
            'ground',
            [
                gr.asphalt(s),
                gr.paving(s, 'slabs', (0.3, 0.28, 0.25), (0.9, 0.6)),
                paint(s, 'kerb', (0.36, 0.35, 0.33), 0.8),
                gr.grass(s),
                gr.marking(s),
                gr.paving(s, 'setts', (0.33, 0.27, 0.2), (0.42, 0.3)),
                paint(s, 'cover', (0.05, 0.05, 0.05), 0.5),
            ],
        ),
        np.eye(4),
    )


class Dresser:
    """Puts furniture and plants along the rows."""

    def __init__(self, layout: Layout, season: Season) -> None:
        self.layout = layout
        self.shapes = furniture.shapes(season)
        self.trees = [plants.tree(season, kind) for kind in range(4)]
        self.conifer, self.hedge = plants.conifer(season), plants.hedge(season)
        self.bush = plants.bush(season)

    def put(
        self,
        row: Row,
        name: str,
        x: float,
        y: float,
        turn: float = 0.0,
        colour: np.ndarray | None = None,
    ) -> None:
        """Furniture at (x, y) of a row; y = 0 is the building line, the kerb is below it."""
        mesh = getattr(self, name, None) or self.shapes[name]
        self._stand(row, mesh, x, y, turn, 1.0, colour)

    def _stand(
        self,
        row: Row,
        mesh: object,
        x: float,
        y: float,
        turn: float,
        scale: float,
        colour: np.ndarray | None = None,
    ) -> None:
        c, s = np.cos(row.yaw), np.sin(row.yaw)
        at = np.add(row.start, (c * x - s * y, s * x + c * y))
        place(mesh, pose(*at, row.yaw + turn, KERB_HEIGHT, scale), colour=colour)

    def plant(
        self, row: Row, rng: np.random.Generator, x: float, y: float, fir: float = 0.12
    ) -> None:
        """A tree of random kind, size and turn."""
        mesh = self.conifer if rng.random() < fir else self.trees[int(rng.integers(4))]
        self._stand(row, mesh, x, y, rng.uniform(0, 6), rng.uniform(0.85, 1.3))

    def row(self, row: Row) -> None:
        """Everything that stands before one row."""
        rng = rng_of(self.layout.seed, 'street-' + row.name)
        kerb = -PAVEMENT + 0.55
        lantern = 'lantern' if rng.random() < 0.5 else 'arm'
        for x in np.arange(rng.uniform(2, 8), row.length - 2, rng.uniform(14, 20)):
            self.put(row, lantern, x, kerb)
        if rng.random() < (0.9 if row.kind in ('park', 'houses') else 0.45):
            for x in np.arange(rng.uniform(5, 9), row.length - 4, rng.uniform(10, 16)):
                self.plant(row, rng, x, kerb + 0.15, 0.0)
        for name, chance in (
            ('bench', 0.6),
            ('bin', 0.8),
            ('post_box', 0.4),
            ('shelter', 0.3),
            ('planter', 0.5),
            ('kiosk', 0.12),
            ('bollard', 0.5),
        ):
            if rng.random() < chance and row.length > 20:
                self._piece(row, rng, name, kerb)
        for _ in range(int(rng.integers(1, 4))):
            way = 0.0 if rng.random() < 0.5 else np.pi
            self.put(
                row, f'sign{int(rng.integers(6))}', rng.uniform(1, row.length - 1), kerb - 0.2, way
            )
        {'houses': self._gardens, 'park': self._park, 'open': self._square}.get(
            row.kind, self._terrace
        )(row, rng)

    def _piece(self, row: Row, rng: np.random.Generator, name: str, kerb: float) -> None:
        colour = rng.uniform(0.02, 0.4, 3)
        x = rng.uniform(4, row.length - 8)
        if name == 'bollard':
            for k in range(8):
                self.put(row, name, x + 1.6 * k if x + 1.6 * k < row.length else x, kerb)
        elif name == 'planter':
            for k in range(3):
                self.put(row, name, x + 2.4 * k, kerb + 0.3, 0, np.array([0.3, 0.28, 0.25]))
                self.put(row, 'bush', x + 2.4 * k, kerb + 0.3)
        else:
            self.put(row, name, x, {'shelter': -1.4, 'kiosk': -1.3}.get(name, kerb), 0, colour)

    def _terrace(self, row: Row, rng: np.random.Generator) -> None:
        if rng.random() < 0.3:
            x = rng.uniform(6, max(7, row.length - 16))
            for k in range(3):
                self.put(row, 'parasol', x + 3.2 * k, -1.2, 0, rng.uniform(0.05, 0.5, 3))

    def _gardens(self, row: Row, rng: np.random.Generator) -> None:
        kind = 'hedge' if rng.random() < 0.6 else 'fence'
        for x in np.arange(0, row.length - 2, 2.0):
            if rng.random() < 0.85:
                self.put(row, kind, x, 0.3)
        for x in rng.uniform(2, row.length - 2, int(row.length / 7)):
            self.put(row, 'bush', x, rng.uniform(1, SETBACK - 1))
            if rng.random() < 0.4:
                self.plant(row, rng, x, rng.uniform(1.4, SETBACK - 0.6), 0.5)

    def _park(self, row: Row, rng: np.random.Generator) -> None:
        for x in np.arange(0, row.length - 2, 2.0):
            if not 12 < x < 17:
                self.put(row, 'hedge' if x < row.length * 0.6 else 'fence', x, 0.3)
        for _ in range(16):
            self.plant(row, rng, rng.uniform(2, row.length), rng.uniform(2.5, 22), 0.3)
        for _ in range(5):
            self.put(row, 'bush', rng.uniform(2, row.length), rng.uniform(1.5, 12))
            self.put(row, 'bench', rng.uniform(2, row.length), rng.uniform(2, 8))

    def _square(self, row: Row, rng: np.random.Generator) -> None:
        for x in np.arange(3, row.length - 14, 7.5):
            self.plant(row, rng, x, 2.5, 0.0)
            self.put(row, 'bench', x + 2.5, 1.2)
        for k in range(4):
            self.put(row, 'parasol', 8 + 3.4 * k, 6.0, 0, rng.uniform(0.05, 0.5, 3))


def add_dressing(layout: Layout, season: Season) -> None:
    """Furniture and plants of all rows, and trees in the courtyards."""
    dresser = Dresser(layout, season)
    for block in layout.blocks:
        for row in block.rows:
            dresser.row(row)
            rng = rng_of(layout.seed, 'yard-' + row.name)
            for _ in range(2):
                if row.kind == 'terrace':
                    dresser.plant(row, rng, rng.uniform(12, row.length - 12), 18.0)
