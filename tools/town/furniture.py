# SPDX-License-Identifier: MIT
"""Street furniture (metres; x along the kerb, -y towards the carriageway, z up)."""

from __future__ import annotations

import bpy
import numpy as np

from town.materials import object_paint, paint, picture
from town.meshes import MeshBuilder
from town.pictures import to_blender, traffic_sign
from town.seasons import Season


def _materials(season: Season) -> list[bpy.types.Material]:
    """Metal, wood, object colour, lamp glass."""
    return [
        paint(season, 'iron', (0.035, 0.045, 0.04), 0.45),
        paint(season, 'wood', (0.2, 0.11, 0.055), 0.7),
        object_paint(season, 'painted', 0.5),
        paint(season, 'lamp', (0.75, 0.72, 0.62), 0.3),
    ]


def lamp(b: MeshBuilder, kind: int) -> None:
    """Old lantern (0) or tall arm over the road (1)."""
    if kind == 0:
        b.lathe([(0.16, 0), (0.16, 0.5), (0.07, 0.7), (0.05, 3.3), (0.1, 3.35)], 8, 0)
        b.lathe([(0.13, 3.35), (0.22, 3.85)], 6, 3)
        b.lathe([(0.28, 3.85), (0.12, 4.05), (0.02, 4.2)], 6, 0)
        b.tube((-0.4, 0, 3.05), (0.4, 0, 3.05), (0.025, 0.025), 5, 0)
        return
    b.lathe([(0.12, 0), (0.1, 1.2), (0.06, 6.6)], 8, 0)
    b.tube((0, 0, 6.5), (0, -1.7, 7.0), (0.05, 0.04), 6, 0)
    b.box((-0.14, -2.3, 6.95), (0.14, -1.6, 7.1), 0)
    b.box((-0.1, -2.2, 6.92), (0.1, -1.7, 6.955), 3)


def bench(b: MeshBuilder) -> None:
    """Slatted bench that looks at the road."""
    for x in (0.1, 1.6):
        b.box((x, 0, 0), (x + 0.08, 0.45, 0.42), 0)
        b.box((x, 0.42, 0.4), (x + 0.08, 0.5, 0.9), 0)
    for k in range(4):
        b.box((0, k * 0.12, 0.42), (1.8, k * 0.12 + 0.09, 0.46), 1)
    for z in (0.55, 0.7, 0.84):
        b.box((0, 0.38, z), (1.8, 0.42, z + 0.1), 1)


def bin_(b: MeshBuilder) -> None:
    """Litter bin in the object's colour."""
    b.lathe([(0.24, 0.1), (0.28, 0.95), (0.3, 0.95), (0.22, 1.08)], 10, 2)


def bollard(b: MeshBuilder) -> None:
    """Iron post."""
    b.lathe([(0.09, 0), (0.07, 0.75), (0.1, 0.8), (0.1, 0.9), (0.04, 0.98)], 8, 0)


def post_box(b: MeshBuilder) -> None:
    """Box on legs in the object's colour."""
    b.box((-0.25, -0.2, 0.0), (0.25, 0.2, 0.15), 0)
    b.box((-0.28, -0.22, 0.15), (0.28, 0.22, 1.35), 2)
    b.box((-0.2, -0.26, 1.05), (0.2, -0.2, 1.12), 0)


def planter(b: MeshBuilder) -> None:
    """Stone tub (its bush is put in separately)."""
    b.box((-0.6, -0.4, 0), (0.6, 0.4, 0.55), 2)


def fence(b: MeshBuilder) -> None:
    """Two metres of iron railing."""
    for z in (0.2, 1.0):
        b.box((0, -0.02, z), (2, 0.02, z + 0.05), 0)
    for x in np.arange(0, 2, 0.18):
        b.box((x, -0.015, 0), (x + 0.03, 0.015, 1.15), 0)


def shelter(b: MeshBuilder) -> None:
    """Bus shelter with a bench."""
    for x in (0, 3.4):
        for y in (0, 1.2):
            b.box((x, y, 0), (x + 0.08, y + 0.08, 2.35), 0)
    b.box((-0.2, -0.3, 2.35), (3.7, 1.5, 2.47), 2)
    b.box((0.4, 0.9, 0.45), (3.0, 1.2, 0.5), 1)
    b.box((0.05, 1.22, 0.3), (1.2, 1.25, 2.2), 3)


def kiosk(b: MeshBuilder) -> None:
    """Newspaper kiosk with an overhanging roof."""
    b.lathe([(1.3, 0), (1.3, 2.4)], 6, 2)
    b.lathe([(1.9, 2.35), (1.9, 2.5), (0.9, 3.1), (0.1, 3.6)], 6, 0)
    b.box((-0.7, -1.35, 1.0), (0.7, -1.0, 1.9), 3)


def parasol(b: MeshBuilder) -> None:
    """Cafe table with two chairs under a parasol."""
    b.lathe([(0.03, 0), (0.03, 2.4)], 6, 0)
    b.lathe([(1.4, 2.1), (1.4, 2.2), (0.03, 2.75)], 8, 2)
    b.lathe([(0.45, 0.72), (0.45, 0.76)], 10, 3)
    for x in (-0.8, 0.8):
        b.box((x - 0.2, -0.2, 0.42), (x + 0.2, 0.2, 0.47), 1)
        b.box((x - 0.2 + 0.36 * (x > 0), -0.2, 0.45), (x - 0.16 + 0.36 * (x > 0), 0.2, 0.9), 1)


MAKERS = {
    'lantern': lambda b: lamp(b, 0),
    'arm': lambda b: lamp(b, 1),
    'bench': bench,
    'bin': bin_,
    'bollard': bollard,
    'post_box': post_box,
    'planter': planter,
    'fence': fence,
    'shelter': shelter,
    'kiosk': kiosk,
    'parasol': parasol,
}


def shapes(season: Season) -> dict[str, bpy.types.Mesh]:
    """Every piece of furniture and the traffic signs `sign0` to `sign5`."""
    materials, made = _materials(season), {}
    for name, maker in MAKERS.items():
        b = MeshBuilder()
        maker(b)
        made[name] = b.mesh(name, materials)
    for kind in range(6):
        made[f'sign{kind}'] = _sign(season, kind, materials[0])
    return made


def _sign(season: Season, kind: int, iron: bpy.types.Material) -> bpy.types.Mesh:
    """Traffic sign on a post; it looks along -x (at the oncoming driver)."""
    b = MeshBuilder()
    b.tube((0, 0, 0), (0, 0, 2.9), (0.035, 0.035), 6, 0)
    if kind == 1:
        turn = np.deg2rad([90, 210, 330])
        uv = np.array([(0.5, 0.96), (0.02, 0.08), (0.98, 0.08)])
    else:
        turn = np.deg2rad(np.arange(45, 405, 90) if kind in (3, 4) else np.arange(0, 360, 22.5))
        uv = 0.5 + 0.48 * np.stack([np.cos(turn), np.sin(turn)], 1) * (
            np.sqrt(2) if kind in (3, 4) else 1
        )
    shape = (uv - 0.5) * 0.85
    # Seen by the driver the picture's left is the sign's +y side.
    b.face([(-0.05, -u, 2.45 + v) for u, v in shape], 1, uv)
    b.face([(-0.03, -u, 2.45 + v) for u, v in shape[::-1]], 0)
    image = to_blender(f'sign{kind}', traffic_sign(kind))
    return b.mesh(f'sign{kind}', [iron, picture(season, f'sign{kind}', image)])
