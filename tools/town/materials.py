# SPDX-License-Identifier: MIT
"""Procedural Cycles materials of walls, roofs, glass and ground."""

from __future__ import annotations

from typing import Any

import bpy

from town.nodes import Colour, Graph
from town.seasons import Season


def new(name: str) -> tuple[bpy.types.Material, Graph]:
    """Empty node material and its graph."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    return material, Graph(material.node_tree)


def finish(
    g: Graph,
    colour: Any,
    roughness: Any,
    season: Season,
    snow: float = 1.0,
    metallic: float = 0.0,
    snow_edge: float = 0.0,
) -> None:
    """Wire a surface and let snow lie where it looks up; `snow` scales the cover."""
    cover = season.snow * snow
    if cover > 0.0:
        normal = g.split(g.add('NewGeometry').outputs['Normal'])[2]
        up = g.ramp(normal, 0.35, 0.75)
        patch = g.noise(g.position(), 0.33, 4.0)
        level = 0.5 + 0.32 * (0.5 - cover) + snow_edge
        factor = g.math('MULTIPLY', up, g.ramp(patch, level - 0.02, level + 0.03))
        colour = g.mix(factor, colour, (0.78, 0.81, 0.86))
        roughness = g.math('ADD', roughness, g.math('MULTIPLY', factor, 0.6), clamp=True)
    g.surface(Base_Color=colour, Roughness=roughness, Metallic=metallic)


def aged(g: Graph, colour: Any, dirt: float) -> Any:
    """Darken by stains, rain streaks and splashes near the ground; dirt in [0, 1]."""
    where = g.position()
    stains = g.ramp(g.noise(where, 0.45, 5.0), 0.42, 0.7)
    streaks = g.ramp(g.noise(g.stretch(where, (2.2, 2.2, 0.12)), 1.0, 3.0), 0.5, 0.75)
    low = g.ramp(g.split(where)[2], 1.3, 0.1)
    sum_ = g.math('ADD', g.math('MULTIPLY', stains, 0.6), g.math('MULTIPLY', streaks, 0.5))
    sum_ = g.math('ADD', sum_, g.math('MULTIPLY', low, 0.5))
    return g.mix(g.math('MULTIPLY', sum_, dirt, clamp=True), colour, (0.06, 0.055, 0.05))


def bricks(
    season: Season,
    name: str,
    colour: Colour,
    mortar: Colour,
    size: tuple[float, float] = (0.3, 0.11),
    spread: float = 0.45,
) -> bpy.types.Material:
    """Brick, stone or panel wall; size is length and height of one in metres."""
    material, g = new(name)
    dark = tuple(c * (1.0 - spread) for c in colour)
    brick = g.add(
        'TexBrick',
        {
            'Vector': g.uv(),
            'Color1': colour,
            'Color2': dark,
            'Mortar': mortar,
            'Scale': 1.0,
            'Mortar Size': size[1] * 0.09,
            'Brick Width': size[0],
            'Row Height': size[1],
        },
    )
    tint = g.ramp(g.noise(g.position(), 0.9, 3.0), 0.3, 0.7)
    base = g.mix(g.math('MULTIPLY', tint, 0.35), brick.outputs['Color'], dark)
    finish(g, aged(g, base, 0.55), 0.85, season)
    return material


def plaster(
    season: Season, name: str, colour: Colour, dirt: float, bare: float = 0.0
) -> bpy.types.Material:
    """Painted render; `bare` is the share that has come off the bricks below."""
    material, g = new(name)
    mottle = g.ramp(g.noise(g.position(), 1.7, 6.0), 0.3, 0.7)
    base = g.mix(g.math('MULTIPLY', mottle, 0.3), colour, tuple(c * 0.62 for c in colour))
    if bare > 0.0:
        brick = g.add(
            'TexBrick',
            {
                'Vector': g.uv(),
                'Color1': (0.27, 0.1, 0.06),
                'Color2': (0.17, 0.07, 0.05),
                'Mortar': (0.3, 0.27, 0.23),
                'Scale': 1.0,
                'Brick Width': 0.3,
                'Row Height': 0.11,
                'Mortar Size': 0.012,
            },
        )
        gone = g.ramp(g.noise(g.position(), 0.55, 6.0), 0.66 - 0.2 * bare, 0.68 - 0.2 * bare)
        base = g.mix(gone, base, brick.outputs['Color'])
    finish(g, aged(g, base, dirt), 0.8, season)
    return material


def paint(
    season: Season,
    name: str,
    colour: Colour,
    roughness: float = 0.5,
    metallic: float = 0.0,
    snow: float = 1.0,
) -> bpy.types.Material:
    """Plain paint with a little unevenness."""
    material, g = new(name)
    uneven = g.ramp(g.noise(g.position(), 3.0, 4.0), 0.3, 0.7)
    base = g.mix(g.math('MULTIPLY', uneven, 0.35), colour, tuple(c * 0.55 for c in colour))
    finish(g, base, roughness, season, snow, metallic)
    return material


def object_paint(
    season: Season, name: str, roughness: float, snow: float = 1.0, coat: float = 0.0
) -> bpy.types.Material:
    """Paint whose colour is the object's own colour (cars, clothes)."""
    material, g = new(name)
    colour = g.add('ObjectInfo').outputs['Color']
    uneven = g.ramp(g.noise(g.position(), 4.0, 3.0), 0.3, 0.7)
    base = g.mix(g.math('MULTIPLY', uneven, 0.25), colour, (0.05, 0.045, 0.04))
    finish(g, base, roughness, season, snow, coat)
    return material


def glass(season: Season, name: str, curtain: Colour) -> bpy.types.Material:
    """Window pane from outside; uv counts windows, so each has its own curtains or light."""
    material, g = new(name)
    u, v, _ = g.split(g.uv())
    cell = g.add('CombineXYZ', {0: g.math('FLOOR', u), 1: g.math('FLOOR', v)}).outputs[0]
    dice = g.add(
        'TexWhiteNoise',
        {
            'Vector': g.add(
                'VectorMath',
                {0: cell, 1: g.add('ObjectInfo').outputs['Location']},
                operation='ADD',
            ).outputs[0]
        },
        noise_dimensions='3D',
    )
    chance, hue = dice.outputs['Value'], dice.outputs['Color']
    aside = g.math('ABSOLUTE', g.math('SUBTRACT', g.math('FRACT', u), 0.5))
    drawn = g.math(
        'GREATER_THAN', aside, g.math('SUBTRACT', 0.62, g.math('MULTIPLY', chance, 0.45))
    )
    folds = g.ramp(g.math('SINE', g.math('MULTIPLY', u, 90.0)), -1.0, 1.0)
    cloth = g.mix(g.math('MULTIPLY', folds, 0.35), curtain, (0.16, 0.15, 0.13))
    blind_edge = g.math('SUBTRACT', 1.0, g.math('MULTIPLY', g.split(hue)[1], 0.8))
    blind = g.math(
        'MULTIPLY',
        g.math('GREATER_THAN', g.math('FRACT', v), blind_edge),
        g.math('GREATER_THAN', g.split(hue)[0], 0.6),
    )
    base = g.mix(drawn, (0.018, 0.021, 0.025), cloth)
    base = g.mix(blind, base, (0.42, 0.4, 0.34))
    room = g.math('MULTIPLY', g.ramp(g.noise(g.position(), 1.6, 2.0), 0.3, 0.7), 0.75)
    lit = g.math('MULTIPLY', room, g.math('LESS_THAN', g.split(hue)[2], season.lit_windows))
    shader = g.surface(
        Base_Color=base,
        Roughness=0.06,
        Specular_IOR_Level=0.7,
        Emission_Color=(1.0, 0.68, 0.32),
        Emission_Strength=g.math('MULTIPLY', lit, 0.9),
    )
    shader.inputs['Coat Weight'].default_value = 0.5
    return material


def roof(
    season: Season, name: str, colour: Colour, tile: tuple[float, float]
) -> bpy.types.Material:
    """Tiles or slates with moss."""
    material, g = new(name)
    brick = g.add(
        'TexBrick',
        {
            'Vector': g.uv(),
            'Color1': colour,
            'Scale': 1.0,
            'Color2': tuple(c * 0.6 for c in colour),
            'Mortar Size': 0.025,
            'Mortar': tuple(c * 0.25 for c in colour),
            'Brick Width': tile[0],
            'Row Height': tile[1],
        },
    )
    moss = g.ramp(g.noise(g.position(), 0.6, 5.0), 0.52, 0.72)
    base = g.mix(g.math('MULTIPLY', moss, 0.6), brick.outputs['Color'], (0.07, 0.075, 0.03))
    finish(g, base, 0.75, season, 1.0, snow_edge=-0.06)
    return material


def leaves(season: Season, name: str, colour: Colour, snow: float = 0.6) -> bpy.types.Material:
    """Leaves that let some light through; hue differs per tree and within it."""
    material, g = new(name)
    own = g.add('ObjectInfo').outputs['Random']
    spot = g.ramp(g.noise(g.position(), 1.1, 3.0), 0.3, 0.7)
    second = (colour[0] * 1.7 + 0.02, colour[1] * 1.25, colour[2] * 0.6)
    base = g.mix(g.math('MULTIPLY', g.math('ADD', own, spot), 0.5), colour, second)
    if season.snow > 0.0:
        up = g.ramp(g.split(g.add('NewGeometry').outputs['Normal'])[2], 0.5, 0.9)
        base = g.mix(g.math('MULTIPLY', up, snow * season.snow), base, (0.75, 0.78, 0.83))
    diffuse = g.add('BsdfDiffuse', {'Color': base}).outputs[0]
    through = g.add('BsdfTranslucent', {'Color': base}).outputs[0]
    g.output(g.add('MixShader', {0: 0.35, 1: diffuse, 2: through}).outputs[0])
    return material


def picture(
    season: Season, name: str, image: bpy.types.Image, glow: float = 0.0
) -> bpy.types.Material:
    """A painted sign, poster or plate; uv in [0, 1]."""
    material, g = new(name)
    colour = g.add('TexImage', {'Vector': g.uv()}, image=image).outputs['Color']
    g.surface(Base_Color=colour, Roughness=0.45, Emission_Color=colour, Emission_Strength=glow)
    return material
