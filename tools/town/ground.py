# SPDX-License-Identifier: MIT
"""Materials of what one drives and walks on."""

from __future__ import annotations

from typing import Any

import bpy

from town.materials import finish, new
from town.nodes import Colour, Graph
from town.seasons import Season


def _cracks(g: Graph, scale: float, width: float) -> Any:
    """1 on cracks: edges of distorted cells, only in some areas; scale in 1/m."""
    where = g.position()
    bend = g.add('TexNoise', {'Vector': where, 'Scale': 0.9, 'Detail': 4.0}).outputs['Color']
    bent = g.add('VectorMath', {0: where, 1: bend}, operation='ADD').outputs[0]
    cells = g.add('TexVoronoi', {'Vector': bent, 'Scale': scale}, feature='DISTANCE_TO_EDGE')
    line = g.ramp(cells.outputs['Distance'], width, width * 0.3)
    return g.math('MULTIPLY', line, g.ramp(g.noise(where, 0.11, 2.0), 0.45, 0.55))


def _wet(g: Graph, colour: Any, roughness: float, season: Season) -> tuple[Any, Any]:
    """Darken and polish where water stands."""
    if season.wet <= 0.0:
        return colour, roughness
    level = 0.62 - 0.22 * season.wet
    puddle = g.ramp(g.noise(g.position(), 0.25, 3.0), level, level + 0.12)
    colour = g.mix(
        g.math('ADD', 0.35, g.math('MULTIPLY', puddle, 0.4)), colour, (0.012, 0.012, 0.014)
    )
    return colour, g.math('SUBTRACT', roughness - 0.35, g.math('MULTIPLY', puddle, 0.3))


def asphalt(season: Season) -> bpy.types.Material:
    """Worn asphalt: repairs, cracks, oil, tyre tracks."""
    material, g = new('asphalt')
    where = g.position()
    grain = g.noise(where, 9.0, 4.0)
    base = g.mix(g.ramp(grain, 0.3, 0.7), (0.075, 0.074, 0.073), (0.14, 0.138, 0.132))
    patches = g.add(
        'TexVoronoi', {'Vector': where, 'Scale': 0.16}, feature='F1', distance='CHEBYCHEV'
    ).outputs['Color']
    repair = g.ramp(g.split(patches)[0], 0.62, 0.64)
    base = g.mix(g.math('MULTIPLY', repair, 0.6), base, (0.05, 0.05, 0.052))
    base = g.mix(g.ramp(g.noise(where, 0.13, 3.0), 0.45, 0.7), base, (0.2, 0.19, 0.175))
    base = g.mix(_cracks(g, 0.4, 0.007), base, (0.015, 0.015, 0.015))
    base = g.mix(g.ramp(g.noise(where, 0.8, 2.0), 0.68, 0.74), base, (0.03, 0.03, 0.032))
    base, roughness = _wet(g, base, 0.85, season)
    finish(g, base, roughness, season, 0.8, snow_edge=0.09)
    return material


def paving(
    season: Season, name: str, colour: Colour, size: tuple[float, float]
) -> bpy.types.Material:
    """Slabs or setts; size is length and width of one in metres."""
    material, g = new(name)
    brick = g.add(
        'TexBrick',
        {
            'Vector': g.position(),
            'Color1': colour,
            'Scale': 1.0,
            'Color2': tuple(c * 0.7 for c in colour),
            'Mortar Size': 0.02,
            'Mortar': tuple(c * 0.35 for c in colour),
            'Brick Width': size[0],
            'Row Height': size[1],
        },
    )
    dirt = g.ramp(g.noise(g.position(), 0.4, 5.0), 0.4, 0.75)
    base = g.mix(g.math('MULTIPLY', dirt, 0.6), brick.outputs['Color'], (0.08, 0.075, 0.065))
    base, roughness = _wet(g, base, 0.85, season)
    finish(g, base, roughness, season, 1.0, snow_edge=0.01)
    return material


def grass(season: Season) -> bpy.types.Material:
    """Lawn with worn and fresh places."""
    material, g = new('grass')
    colour = season.grass
    fine = g.ramp(g.noise(g.position(), 6.0, 5.0), 0.3, 0.7)
    worn = g.ramp(g.noise(g.position(), 0.25, 4.0), 0.5, 0.75)
    base = g.mix(fine, tuple(c * 0.55 for c in colour), tuple(c * 1.35 for c in colour))
    base = g.mix(g.math('MULTIPLY', worn, 0.7), base, (0.19, 0.15, 0.085))
    finish(g, base, 0.95, season, 1.0, snow_edge=-0.05)
    return material


def marking(season: Season) -> bpy.types.Material:
    """Worn white road paint."""
    material, g = new('marking')
    worn = g.ramp(g.noise(g.position(), 3.0, 5.0), 0.5, 0.64)
    base = g.mix(worn, (0.62, 0.62, 0.6), (0.14, 0.14, 0.14))
    base, roughness = _wet(g, base, 0.7, season)
    finish(g, base, roughness, season, 0.8, snow_edge=0.09)
    return material


def far_land(season: Season) -> bpy.types.Material:
    """Wooded hills that fade into the haze."""
    material, g = new('far_land')
    wood = g.ramp(g.noise(g.position(), 0.035, 8.0), 0.42, 0.58)
    dark = (0.03, 0.055, 0.025) if season.leaves == 'green' else (0.07, 0.06, 0.05)
    base = g.mix(wood, dark, tuple(0.8 * c for c in season.grass))
    if season.snow > 0.0:
        base = g.mix(g.ramp(g.noise(g.position(), 0.02, 5.0), 0.5, 0.56), base, (0.6, 0.63, 0.68))
    base = g.mix(0.55, base, tuple(0.6 * c for c in season.haze))
    g.surface(Base_Color=base, Roughness=1.0)
    return material
