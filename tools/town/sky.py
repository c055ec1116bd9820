# SPDX-License-Identifier: MIT
"""Sun lamp and a sky with procedural clouds."""

from __future__ import annotations

import bpy
from mathutils import Vector
import numpy as np

from town.nodes import Graph
from town.seasons import Season


def _direction(season: Season) -> Vector:
    """From the ground to the sun."""
    a, e = np.deg2rad(season.sun_azimuth_deg), np.deg2rad(season.sun_elevation_deg)
    return Vector((np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)))


def _sun(season: Season) -> None:
    """Directional light with a soft edge."""
    data = bpy.data.lights.new('sun', 'SUN')
    data.energy, data.color = season.sun_strength, season.sun_colour
    data.angle = np.deg2rad(0.6 + 5.0 * season.cloud_cover**2)
    lamp = bpy.data.objects.new('sun', data)
    lamp.rotation_mode = 'QUATERNION'
    lamp.rotation_quaternion = _direction(season).to_track_quat('Z', 'Y')
    bpy.context.scene.collection.objects.link(lamp)


def add(season: Season) -> None:
    """Light of the season."""
    _sun(season)
    world = bpy.data.worlds.new('sky')
    bpy.context.scene.world = world
    world.use_nodes = True
    g = Graph(world.node_tree)
    look = g.add('TexCoord').outputs['Generated']
    x, y, z = g.split(look)
    up = g.math('ABSOLUTE', z)
    zenith, horizon = (0.09, 0.24, 0.62), season.haze
    blue = g.mix(g.ramp(up, 0.0, 0.55), horizon, zenith)
    glow = g.math(
        'POWER',
        g.math(
            'MAXIMUM',
            g.add(
                'VectorMath', {0: look, 1: tuple(_direction(season))}, operation='DOT_PRODUCT'
            ).outputs['Value'],
            0.0,
        ),
        9.0,
    )
    blue = g.mix(
        g.math('MULTIPLY', glow, 0.7, clamp=True), blue, tuple(1.3 * c for c in season.sun_colour)
    )
    far = g.math('DIVIDE', 1.0, g.math('ADD', up, 0.13))
    plane = g.add(
        'CombineXYZ',
        {
            0: g.math('MULTIPLY', x, far),
            1: g.math('MULTIPLY', y, far),
            2: season.cloud_cover * 7.0,
        },
    ).outputs[0]
    thick = g.noise(plane, 0.85, 8.0)
    level = 0.66 - 0.3 * season.cloud_cover
    cover = g.ramp(thick, level, level + 0.16)
    shade = g.ramp(thick, level + 0.04, level + 0.34)
    white, grey = season.cloud_grey, season.cloud_grey * 0.5
    cloud = g.mix(shade, (white,) * 3, (grey, grey, grey * 1.08))
    colour = g.mix(cover, blue, cloud)
    background = g.add('Background', {'Color': colour, 'Strength': season.sky_strength})
    g.add('OutputWorld', {'Surface': background.outputs[0]})
    world.cycles.sampling_method = 'MANUAL'
    world.cycles.sample_map_resolution = 256
