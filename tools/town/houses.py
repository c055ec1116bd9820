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
BRICKS = ((.32, .1, .055), (.24, .075, .05), (.4, .19, .1), (.42, .3, .16), (.2, .12, .1),
          (.36, .33, .3))
PLASTERS = ((.6, .52, .36), (.62, .42, .26), (.56, .28, .2), (.38, .48, .42), (.36, .44, .55),
            (.66, .62, .54), (.55, .5, .48), (.62, .55, .18), (.46, .22, .24), (.3, .36, .26))
STONES = ((.42, .38, .31), (.33, .32, .3), (.5, .43, .32))
TRIMS = ((.66, .64, .58), (.5, .45, .37), (.2, .19, .17), (.09, .11, .1), (.3, .14, .08))
DOORS = ((.25, .03, .025), (.03, .11, .06), (.02, .06, .17), (.15, .075, .03), (.36, .3, .2),
         (.05, .05, .055), (.4, .2, .04), (.1, .2, .22))
ROOFS = (((.27, .08, .04), (.3, .34)), ((.34, .14, .07), (.34, .3)),
         ((.07, .075, .085), (.4, .25)), ((.16, .1, .07), (.3, .28)))
CURTAINS = ((.6, .58, .52), (.5, .4, .28), (.4, .45, .5))


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
            return m.bricks(s, name, BRICKS[k], (.42, .39, .34) if k % 2 else (.2, .18, .16))
        if kind == 'plaster':
            bare = 0.6 if k % 10 in (1, 6) else 0.0
            return m.plaster(s, name, PLASTERS[k % 10], 0.35 + 0.3 * (k % 3) / 2, bare)
        if kind == 'timber':
            return m.plaster(s, name, ((.68, .64, .55), (.66, .55, .36), (.6, .6, .58))[k], 0.4)
        if kind == 'stone':
            return m.bricks(s, name, STONES[k], (.15, .14, .12), (0.75, 0.36), 0.3)
        if kind == 'panel':
            return m.bricks(s, name, ((.4, .39, .37), (.5, .42, .33), (.28, .32, .35))[k],
                            (.08, .08, .08), (2.9, 1.6), 0.12)
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
            m.finish(g, g.mix(band, (.62, .6, .54), colour), 0.9, self.season, 0.5)
            self.made[name] = material
        return self.made[name]


def _wall_kind(style: str) -> tuple[str, int]:
    """Material kind of a style and how many there are of it."""
    return {'brick': ('brick', 6), 'plaster': ('plaster', 10), 'timber': ('timber', 3),
            'stone': ('stone', 3), 'panel': ('panel', 3), 'curtain': ('panel', 3)}[style]


def _dress(palette: Palette, design: Design, twin: np.random.Generator,
           own: np.random.Generator) -> list[bpy.types.Material]:
    """Materials by slot: `twin` draws what look-alikes share, `own` what tells them apart."""
    kind, count = _wall_kind(design.style)
    number = int(twin.integers(count))
    if kind == 'plaster' and own.random() < 0.3:
        number = int(own.integers(count))
    wall = palette.get(kind, number)
    base = palette.get('stone', int(twin.integers(3))) if twin.random() < 0.4 else wall
    door = int(own.integers(len(DOORS)))
    metal = palette.get('trim', 2 + int(twin.integers(3)))
    sign = m.picture(palette.season, 'shop', pictures.to_blender('shop', pictures.shop_sign(own)),
                     0.15 if palette.season.lit_windows > 0.1 else 0.0) \
        if design.ground == 'shop' else wall
    cloth = palette.stripes(door) if own.random() < 0.6 else palette.get('awning', door)
    side = palette.get('brick', int(twin.integers(6))) if twin.random() < 0.5 else wall
    return [wall, base, palette.get('trim', int(twin.integers(4 if kind != 'timber' else 2))),
            palette.get('glass', int(own.integers(3))), palette.get('roof', int(twin.integers(4))),
            palette.get('door', door), metal, sign, cloth, side]


def _designs(row: Row, seed: int) -> list[tuple[float, Design]]:
    """Designs along a row with the position of their left edge."""
    rng = rng_of(seed, row.twin)
    found, x = [], 0.0
    end = row.length - CORNER
    while end - x > 6.4:
        design = _modern(rng) if row.kind == 'modern' else draw(rng, row.kind == 'houses')
        gap = rng.uniform(2.5, 5.0) if row.kind == 'houses' else (
            rng.uniform(1.8, 3.5) if rng.random() < 0.16 else 0.0)
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


def _extras(palette: Palette, row: Row, d: Design, rng: np.random.Generator, at: np.ndarray
            ) -> None:
    """Murals on blind sides, hanging signs and posters of one building."""
    b, pictures_of = MeshBuilder(), []
    unit = [(0, 0), (1, 0), (1, 1), (0, 1)]
    if not d.detached and rng.random() < 0.45:
        y, z = 1.5, 1.6
        size = min(d.depth - 3, d.eaves - z - 0.4, 5.5)
        b.face([(-0.04, y + size, z), (-0.04, y, z), (-0.04, y, z + size),
                (-0.04, y + size, z + size)], len(pictures_of), unit)
        pictures_of.append(pictures.mural(rng))
        b.face([(d.width + 0.04, y, z), (d.width + 0.04, y + size, z),
                (d.width + 0.04, y + size, z + size), (d.width + 0.04, y, z + size)],
               len(pictures_of), unit)
        pictures_of.append(pictures.mural(rng))
    if d.ground == 'shop' and rng.random() < 0.7:
        x, z = rng.uniform(0.4, d.width - 0.4), d.ground_height + 0.2
        word = np.rot90(pictures.shop_sign(rng)).copy() if rng.random() < 0.5 else \
            pictures.poster(rng)
        for shift, points in ((-0.04, ((-0.95, 0), (-0.15, 0))), (0.04, ((-0.15, 0), (-0.95, 0)))):
            (y0, _), (y1, _) = points if shift > 0 else points[::-1]
            b.face([(x + shift, y0, z), (x + shift, y1, z), (x + shift, y1, z + 1.5),
                    (x + shift, y0, z + 1.5)], len(pictures_of), unit)
        pictures_of.append(word)
    if pictures_of:
        made = [m.picture(palette.season, 'art', pictures.to_blender('art', p))
                for p in pictures_of]
        place(b.mesh('art', made), pose(*at, row.yaw, 0.13))

