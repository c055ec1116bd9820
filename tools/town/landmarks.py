# SPDX-License-Identifier: MIT
"""Church, clock tower, fountain, monument and what stands on the horizon (metres)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from town import materials as m
from town import pictures
from town.ground import far_land
from town.houses import Palette
from town.layout import COLUMNS, Layout, rng_of, ROWS
from town.meshes import MeshBuilder, place, pose

WALL, TRIM, ROOF, GLASS, CLOCK, WATER = range(6)


def _materials(palette: Palette) -> list:
    """Stone, light stone, copper, glass, clock and water."""
    s = palette.season
    return [
        palette.get('stone', 0),
        palette.get('trim', 0),
        m.roof(s, 'copper', (0.13, 0.27, 0.21), (0.6, 0.9)),
        palette.get('glass', 0),
        m.picture(s, 'clock', pictures.to_blender('clock', pictures.clock_face())),
        m.paint(s, 'water', (0.03, 0.07, 0.08), 0.05),
    ]


def _tower(b: MeshBuilder, half: float, height: float, spire: float) -> None:
    """Square tower about the origin with belfry windows, four clocks and a spire."""
    b.box((-half, -half, 0), (half, half, height), WALL)
    for z in (height * 0.35, height * 0.7, height - 0.3):
        b.box((-half - 0.2, -half - 0.2, z), (half + 0.2, half + 0.2, z + 0.35), TRIM)
    for turn in range(4):
        b.at(pose(0, 0, turn * np.pi / 2))
        y = -half - 0.03
        for x in (-half * 0.45, half * 0.45):
            b.rect((x - 0.4, x + 0.4), (height * 0.75, height * 0.9), y, GLASS)
            b.rect((x - 0.4, x + 0.4), (height * 0.42, height * 0.55), y, GLASS)
        low = height * 0.57
        b.rect(
            (-half * 0.55, half * 0.55),
            (low, low + half * 1.1),
            y - 0.02,
            CLOCK,
            [(0, 0), (1, 0), (1, 1), (0, 1)],
        )
    b.at(np.eye(4))
    ring = [(-half, -half), (half, -half), (half, half), (-half, half)]
    base = np.array([(x * 1.08, y * 1.08, height) for x, y in ring])
    waist = np.array([(x * 0.55, y * 0.55, height + spire * 0.3) for x, y in ring])
    b.prism([base, waist, np.array([(x * 0.02, y * 0.02, height + spire) for x, y in ring])], ROOF)


def church(b: MeshBuilder) -> None:
    """Nave along +x behind a tower at the origin."""
    _tower(b, 2.6, 19.0, 11.0)
    b.box((2.6, -4.5, 0), (20, 4.5, 8.5), WALL)
    for sign in (-1, 1):
        for x in np.arange(4.5, 19, 3.4):
            points = [
                (x, sign * 4.53, 2.2),
                (x + 1.3, sign * 4.53, 2.2),
                (x + 1.3, sign * 4.53, 6.2),
                (x + 0.65, sign * 4.53, 7.1),
                (x, sign * 4.53, 6.2),
            ]
            b.face(points if sign < 0 else points[::-1], GLASS)
            b.box(
                (x - 1.3, min(sign * 4.5, sign * 5.4), 0),
                (x - 0.7, max(sign * 4.5, sign * 5.4), 6.5),
                TRIM,
            )
    b.face([(2.6, -5, 8.3), (20.3, -5, 8.3), (20.3, 0, 13.5), (2.6, 0, 13.5)], ROOF)
    b.face([(20.3, 5, 8.3), (2.6, 5, 8.3), (2.6, 0, 13.5), (20.3, 0, 13.5)], ROOF)
    b.face([(20, -4.5, 8.3), (20, 4.5, 8.3), (20, 0, 13.3)], WALL)
    b.rect((-1.0, 1.0), (0, 3.2), -2.65, GLASS)


def fountain(b: MeshBuilder) -> None:
    """Two basins and a column."""
    b.lathe([(3.6, 0), (3.6, 0.6), (3.8, 0.65), (3.8, 0.75), (3.3, 0.75)], 24, TRIM)
    b.lathe([(3.3, 0.7), (3.29, 0.71)], 24, WATER)
    b.lathe([(0.6, 0.6), (0.35, 1.0), (0.3, 2.0), (1.5, 2.3), (1.6, 2.5), (1.4, 2.5)], 16, TRIM)
    b.lathe([(0.25, 2.3), (0.2, 3.2), (0.45, 3.5), (0.1, 4.1)], 12, WALL)


def column(b: MeshBuilder) -> None:
    """Monument on steps."""
    for k in range(3):
        b.box(
            (-2 + 0.4 * k, -2 + 0.4 * k, 0.25 * k),
            (2 - 0.4 * k, 2 - 0.4 * k, 0.25 * k + 0.25),
            TRIM,
        )
    b.lathe(
        [(0.9, 0.75), (0.8, 2.2), (1.0, 2.3), (0.5, 2.5), (0.42, 8.5), (0.7, 8.8), (0.7, 9.1)],
        14,
        WALL,
    )
    b.lathe(
        [(0.2, 9.1), (0.3, 10.0), (0.35, 10.6), (0.12, 10.8), (0.18, 11.1), (0.02, 11.3)], 8, ROOF
    )


def add(layout: Layout, palette: Palette) -> None:
    """Put the landmarks on the square and in the park, and close the horizon."""
    materials = _materials(palette)
    g = layout.junctions
    square, park = g[2, 1], g[1, 1]
    spots = (
        (church, square, (22.0, 30.0), 0.0),
        (fountain, square, (24.0, 15.5), 0.0),
        (column, square, (40.0, 15.0), 0.4),
        (column, park, (-24.0, 22.0), 0.0),
    )
    for maker, corner, offset, yaw in spots:
        b = MeshBuilder()
        maker(b)
        place(b.mesh(maker.__name__, materials), pose(*np.add(corner, offset), yaw, 0.13))
    b = MeshBuilder()
    _tower(b, 3.2, 24.0, 6.0)
    place(b.mesh('clock_tower', materials), pose(*(g[4, 2] + (22.0, 22.0)), 0.3))
    _hills(layout, palette)
    _skyline(layout, palette)


def _hills(layout: Layout, palette: Palette) -> None:
    """Ring of hills about 500 m away."""
    rng = rng_of(layout.seed, 'hills')
    b = MeshBuilder()
    centre = np.array([COLUMNS[-1], ROWS[-1]]) / 2
    n = 96
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    height = 24 + sum(
        rng.uniform(8, 16) / k * np.sin(k * turn + rng.uniform(0, 6)) for k in (1, 2, 3, 5, 9)
    )
    rings = []
    for reach, share in ((330, -0.05), (430, 0.35), (520, 0.8), (600, 1.0)):
        rough = 1 + 0.1 * rng.normal(size=n)
        rings.append(
            np.stack(
                [
                    centre[0] + reach * np.cos(turn),
                    centre[1] + reach * np.sin(turn),
                    np.maximum(height, 4) * share * rough,
                ],
                1,
            )
        )
    for low, high in pairwise(rings):
        for i in range(n):
            j = (i + 1) % n
            b.face([low[j], low[i], high[i], high[j]], 0)
    place(b.mesh('hills', [far_land(palette.season)]), np.eye(4))


def _skyline(layout: Layout, palette: Palette) -> None:
    """Plain blocks with windows outside the town, between 60 and 200 m from its rim."""
    rng = rng_of(layout.seed, 'skyline')
    walls = [palette.get('panel', k) for k in range(3)] + [palette.get('glass', 1)]
    for _ in range(70):
        side, reach = int(rng.integers(4)), rng.uniform(45, 190)
        x, y = rng.uniform(-60, COLUMNS[-1] + 60), rng.uniform(-60, ROWS[-1] + 60)
        x = (x, COLUMNS[-1] + reach, x, -reach)[side]
        y = (-reach, y, ROWS[-1] + reach, y)[side]
        b = MeshBuilder()
        half, top = rng.uniform(5, 10), rng.uniform(9, 18 + reach / 7)
        b.box((-half, -half, 0), (half, half, top), int(rng.integers(3)))
        for turn in range(4):
            b.at(pose(0, 0, turn * np.pi / 2))
            for k, z in enumerate(np.arange(2.0, top - 1.5, 3.2)):
                uv = [(0, k), (7, k), (7, k + 1), (0, k + 1)]
                b.rect((-half + 0.8, half - 0.8), (z, z + 1.5), -half - 0.03, 3, uv)
        place(b.mesh('far_house', walls), pose(x, y, rng.uniform(0, 6)))
