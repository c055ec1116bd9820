# SPDX-License-Identifier: MIT
"""Puts buildings along the rows: designs, materials and shop signs (metres)."""

from __future__ import annotations

import bpy
import numpy as np

from town import materials as m
from town import pictures
from town.designs import Design, draw
from town.layout import CORNER, Layout, rng_of, Row
from town.meshes import MeshBuilder, place, pose
from town.roofs import building
from town.seasons import Season

SETBACK = 4.0  # front garden of detached houses
BRICKS = (
    (0.32, 0.1, 0.055),
    (0.24, 0.075, 0.05),
    (0.4, 0.19, 0.1),
    (0.42, 0.3, 0.16),
    (0.2, 0.12, 0.1),
    (0.36, 0.33, 0.3),
)
PLASTERS = (
    (0.6, 0.52, 0.36),
    (0.62, 0.42, 0.26),
    (0.56, 0.28, 0.2),
    (0.38, 0.48, 0.42),
    (0.36, 0.44, 0.55),
    (0.66, 0.62, 0.54),
    (0.55, 0.5, 0.48),
    (0.62, 0.55, 0.18),
    (0.46, 0.22, 0.24),
    (0.3, 0.36, 0.26),
)
STONES = ((0.42, 0.38, 0.31), (0.33, 0.32, 0.3), (0.5, 0.43, 0.32))
TRIMS = (
    (0.66, 0.64, 0.58),
    (0.5, 0.45, 0.37),
    (0.2, 0.19, 0.17),
    (0.09, 0.11, 0.1),
    (0.3, 0.14, 0.08),
)
DOORS = (
    (0.25, 0.03, 0.025),
    (0.03, 0.11, 0.06),
    (0.02, 0.06, 0.17),
    (0.15, 0.075, 0.03),
    (0.36, 0.3, 0.2),
    (0.05, 0.05, 0.055),
    (0.4, 0.2, 0.04),
    (0.1, 0.2, 0.22),
)
ROOFS = (
    ((0.27, 0.08, 0.04), (0.3, 0.34)),
    ((0.34, 0.14, 0.07), (0.34, 0.3)),
    ((0.07, 0.075, 0.085), (0.4, 0.25)),
    ((0.16, 0.1, 0.07), (0.3, 0.28)),
)
CURTAINS = ((0.6, 0.58, 0.52), (0.5, 0.4, 0.28), (0.4, 0.45, 0.5))


class Palette:
    """Shared materials of a season, made on first use."""

    def __init__(self, season: Season) -> None:
        self.season = season
        self.made: dict[str, bpy.types.Material] = {}

    def get(self, kind: str, index: int) -> bpy.types.Material:
        """Material number `index` of a kind."""
        name = f'{kind}{index}'
        if name not in self.made:
            self.made[name] = self._make(kind, index, name)
        return self.made[name]

    def _make(self, kind: str, k: int, name: str) -> bpy.types.Material:
        s = self.season
        if kind == 'brick':
            return m.bricks(s, name, BRICKS[k], (0.42, 0.39, 0.34) if k % 2 else (0.2, 0.18, 0.16))
        if kind == 'plaster':
            bare = 0.6 if k % 10 in (1, 6) else 0.0
            return m.plaster(s, name, PLASTERS[k % 10], 0.35 + 0.3 * (k % 3) / 2, bare)
        if kind == 'timber':
            return m.plaster(
                s, name, ((0.68, 0.64, 0.55), (0.66, 0.55, 0.36), (0.6, 0.6, 0.58))[k], 0.4
            )
        if kind == 'stone':
            return m.bricks(s, name, STONES[k], (0.15, 0.14, 0.12), (0.75, 0.36), 0.3)
        if kind == 'panel':
            return m.bricks(
                s,
                name,
                ((0.4, 0.39, 0.37), (0.5, 0.42, 0.33), (0.28, 0.32, 0.35))[k],
                (0.08, 0.08, 0.08),
                (2.9, 1.6),
                0.12,
            )
        if kind == 'glass':
            return m.glass(s, name, CURTAINS[k])
        if kind == 'roof':
            return m.roof(s, name, *ROOFS[k])
        colour = {'trim': TRIMS, 'door': DOORS, 'awning': DOORS}[kind][k]
        return m.paint(s, name, colour, 0.55)

    def stripes(self, index: int) -> bpy.types.Material:
        """Awning cloth with stripes of a door colour on off-white."""
        name = f'stripes{index}'
        if name not in self.made:
            material, g = m.new(name)
            u = g.split(g.uv())[0]
            band = g.math('GREATER_THAN', g.math('FRACT', g.math('MULTIPLY', u, 1.9)), 0.5)
            colour = tuple(min(1.0, c * 1.6) for c in DOORS[index])
            m.finish(g, g.mix(band, (0.62, 0.6, 0.54), colour), 0.9, self.season, 0.5)
            self.made[name] = material
        return self.made[name]


def _wall_kind(style: str) -> tuple[str, int]:
    """Material kind of a style and how many there are of it."""
    return {
        'brick': ('brick', 6),
        'plaster': ('plaster', 10),
        'timber': ('timber', 3),
        'stone': ('stone', 3),
        'panel': ('panel', 3),
        'curtain': ('panel', 3),
    }[style]


def _dress(
    palette: Palette, design: Design, twin: np.random.Generator, own: np.random.Generator
) -> list[bpy.types.Material]:
    """Materials by slot: `twin` draws what look-alikes share, `own` what tells them apart."""
    kind, count = _wall_kind(design.style)
    number = int(twin.integers(count))
    if kind == 'plaster' and own.random() < 0.3:
        number = int(own.integers(count))
    wall = palette.get(kind, number)
    base = palette.get('stone', int(twin.integers(3))) if twin.random() < 0.4 else wall
    door = int(own.integers(len(DOORS)))
    metal = palette.get('trim', 2 + int(twin.integers(3)))
    sign = (
        m.picture(
            palette.season,
            'shop',
            pictures.to_blender('shop', pictures.shop_sign(own)),
            0.15 if palette.season.lit_windows > 0.1 else 0.0,
        )
        if design.ground == 'shop'
        else wall
    )
    cloth = palette.stripes(door) if own.random() < 0.6 else palette.get('awning', door)
    side = palette.get('brick', int(twin.integers(6))) if twin.random() < 0.5 else wall
    return [
        wall,
        base,
        palette.get('trim', int(twin.integers(4 if kind != 'timber' else 2))),
        palette.get('glass', int(own.integers(3))),
        palette.get('roof', int(twin.integers(4))),
        palette.get('door', door),
        metal,
        sign,
        cloth,
        side,
    ]


def _designs(row: Row, seed: int) -> list[tuple[float, Design]]:
    """Designs along a row with the position of their left edge."""
    rng = rng_of(seed, row.twin)
    found, x = [], 0.0
    end = row.length - CORNER
    while end - x > 6.4:
        design = _modern(rng) if row.kind == 'modern' else draw(rng, row.kind == 'houses')
        gap = (
            rng.uniform(2.5, 5.0)
            if row.kind == 'houses'
            else (rng.uniform(1.8, 3.5) if rng.random() < 0.16 else 0.0)
        )
        if x + design.width > end + 1.5:
            x += max(0.0, end - x - design.width)
        found.append((x, design))
        x += design.width + gap
    return found


def _modern(rng: np.random.Generator) -> Design:
    """A panel or glass building."""
    while True:
        design = draw(rng)
        if design.style in ('panel', 'curtain'):
            return design


def add(layout: Layout, palette: Palette) -> int:
    """Build every row of the town; returns the number of buildings."""
    count = 0
    for row in (row for block in layout.blocks for row in block.rows):
        if row.kind in ('open', 'park'):
            continue
        back = SETBACK if row.kind == 'houses' else 0.0
        for number, (x, design) in enumerate(_designs(row, layout.seed)):
            twin = rng_of(layout.seed, f'{row.twin}-{number}')
            own = rng_of(layout.seed, f'{row.name}-{number}')
            shape = building(design, bool(own.random() < 0.55))
            mesh = shape.mesh('house', _dress(palette, design, twin, own))
            at = np.array(row.start) + _turn(row.yaw) @ (x, back)
            place(mesh, pose(*at, row.yaw, 0.13))
            _extras(palette, row, design, own, at)
            count += 1
    return count


def _turn(yaw: float) -> np.ndarray:
    """(2, 2) rotation."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s], [s, c]])


def _extras(
    palette: Palette, row: Row, d: Design, rng: np.random.Generator, at: np.ndarray
) -> None:
    """Murals on blind sides, hanging signs and posters of one building."""
    b, pictures_of = MeshBuilder(), []
    unit = [(0, 0), (1, 0), (1, 1), (0, 1)]
    if not d.detached and rng.random() < 0.45:
        y, z = 1.5, 1.6
        size = min(d.depth - 3, d.eaves - z - 0.4, 5.5)
        b.face(
            [
                (-0.04, y + size, z),
                (-0.04, y, z),
                (-0.04, y, z + size),
                (-0.04, y + size, z + size),
            ],
            len(pictures_of),
            unit,
        )
        pictures_of.append(pictures.mural(rng))
        b.face(
            [
                (d.width + 0.04, y, z),
                (d.width + 0.04, y + size, z),
                (d.width + 0.04, y + size, z + size),
                (d.width + 0.04, y, z + size),
            ],
            len(pictures_of),
            unit,
        )
        pictures_of.append(pictures.mural(rng))
    if d.ground == 'shop' and rng.random() < 0.7:
        x, z = rng.uniform(0.4, d.width - 0.4), d.ground_height + 0.2
        word = (
            np.rot90(pictures.shop_sign(rng)).copy()
            if rng.random() < 0.5
            else pictures.poster(rng)
        )
        for shift, points in ((-0.04, ((-0.95, 0), (-0.15, 0))), (0.04, ((-0.15, 0), (-0.95, 0)))):
            (y0, _), (y1, _) = points if shift > 0 else points[::-1]
            b.face(
                [
                    (x + shift, y0, z),
                    (x + shift, y1, z),
                    (x + shift, y1, z + 1.5),
                    (x + shift, y0, z + 1.5),
                ],
                len(pictures_of),
                unit,
            )
        pictures_of.append(word)
    if pictures_of:
        made = [
            m.picture(palette.season, 'art', pictures.to_blender('art', p)) for p in pictures_of
        ]
        place(b.mesh('art', made), pose(*at, row.yaw, 0.13))
