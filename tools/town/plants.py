# SPDX-License-Identifier: MIT
"""Trees, hedges and bushes grown from a seed (metres)."""

from __future__ import annotations

import bpy
import numpy as np

from town.materials import leaves, paint
from town.meshes import MeshBuilder
from town.seasons import Season

BARK, LEAF = 0, 1


def _grow(
    b: MeshBuilder,
    rng: np.random.Generator,
    start: np.ndarray,
    direction: np.ndarray,
    length: float,
    radius: float,
    level: int,
    tips: list[np.ndarray],
) -> None:
    """One bent branch and its children; ends are collected in `tips`."""
    pieces = 3 if level < 2 else 2
    at, heading = start, direction
    for k in range(pieces):
        heading = heading + rng.normal(0, 0.13, 3) + (0, 0, 0.06)
        heading /= np.linalg.norm(heading)
        end = at + heading * length / pieces
        thin = radius * (1 - 0.2 * (k + 1))
        b.tube(at, end, (radius * (1 - 0.2 * k), thin), 6 if level < 2 else 4, BARK)
        if level >= 2:
            tips.append(end)
        if level < 4 and (k > 0 or level > 0):
            for _ in range(2 if level < 3 else 1):
                side = rng.normal(0, 1, 3)
                side -= side @ heading * heading
                side /= np.linalg.norm(side)
                out = 0.55 * heading + (0.75 if level else 0.85) * side
                _grow(
                    b,
                    rng,
                    end,
                    out / np.linalg.norm(out),
                    length * rng.uniform(0.5, 0.68),
                    thin * 0.6,
                    level + 1,
                    tips,
                )
        at = end


def _clump(
    b: MeshBuilder,
    rng: np.random.Generator,
    centre: np.ndarray,
    count: int,
    spread: float,
    size: float,
) -> None:
    """Randomly turned leaf blades about a point."""
    for _ in range(count):
        at = centre + rng.normal(0, spread, 3)
        u, v = rng.normal(0, 1, (2, 3))
        u = u / np.linalg.norm(u) * size * rng.uniform(0.6, 1.2)
        v = v / np.linalg.norm(v) * size * 0.55
        b.face([at - u, at - v, at + u, at + v], LEAF)


def tree(season: Season, kind: int) -> bpy.types.Mesh:
    """One of the broad-leaved trees, about 7 to 9 m high."""
    rng = np.random.default_rng([kind, 77])
    b, tips = MeshBuilder(), []
    trunk = rng.uniform(2.9, 3.6)
    top = np.array([rng.normal(0, 0.1), rng.normal(0, 0.1), trunk])
    b.tube((0, 0, 0), top, (0.22, 0.17), 8, BARK)
    for k in range(5):
        turn = 2 * np.pi * (k + rng.uniform(-0.2, 0.2)) / 4
        out = np.array([np.cos(turn), np.sin(turn), 1.3 if k < 4 else 4.0])
        _grow(b, rng, top, out / np.linalg.norm(out), rng.uniform(2.0, 2.7), 0.12, 1, tips)
    share = {'green': 1.0, 'brown': 0.35, 'bare': 0.06}[season.leaves]
    for tip in tips:
        if rng.random() < share * 0.8:
            _clump(b, rng, tip, 16 if season.leaves == 'green' else 7, 0.34, 0.17)
    green = [(0.08, 0.2, 0.03), (0.13, 0.22, 0.035), (0.06, 0.15, 0.045)][kind % 3]
    colour = green if season.leaves == 'green' else (0.16, 0.08, 0.025)
    return b.mesh(
        f'tree{kind}',
        [
            paint(season, f'bark{kind}', (0.12, 0.09, 0.07), 0.9),
            leaves(season, f'leaves{kind}', colour),
        ],
    )


def conifer(season: Season) -> bpy.types.Mesh:
    """A fir of about 8 m with drooping whorls."""
    rng = np.random.default_rng(78)
    b = MeshBuilder()
    b.tube((0, 0, 0), (0, 0, 8.0), (0.2, 0.03), 6, BARK)
    for z in np.arange(0.9, 7.8, 0.42):
        reach = 2.3 * (1 - z / 8.3)
        for k in range(9):
            turn = 2 * np.pi * (k + rng.uniform(-0.3, 0.3)) / 9
            way = np.array([np.cos(turn), np.sin(turn), -0.22])
            for part in np.linspace(0.25, 1.0, 5):
                _clump(b, rng, np.array([0, 0, z]) + way * reach * part, 3, 0.1, 0.2)
    return b.mesh(
        'conifer',
        [
            paint(season, 'fir_bark', (0.1, 0.07, 0.05), 0.9),
            leaves(season, 'needles', (0.02, 0.05, 0.022), 0.9),
        ],
    )


def hedge(season: Season) -> bpy.types.Mesh:
    """Two metres of clipped hedge along x, 1.1 m high, evergreen."""
    rng = np.random.default_rng(79)
    b = MeshBuilder()
    b.box((0, -0.28, 0), (2, 0.28, 1.0), LEAF)
    for _ in range(420):
        x, y, z = rng.uniform((0, -0.33, 0.05), (2, 0.33, 1.12))
        if abs(y) > 0.22 or z > 0.95:
            _clump(b, rng, np.array([x, y, z]), 1, 0.02, 0.09)
    return b.mesh(
        'hedge',
        [
            paint(season, 'hedge_wood', (0.1, 0.08, 0.06), 0.9),
            leaves(season, 'hedge_leaves', (0.03, 0.065, 0.022), 0.8),
        ],
    )


def bush(season: Season) -> bpy.types.Mesh:
    """Round shrub, about 1.2 m."""
    rng = np.random.default_rng(80)
    b = MeshBuilder()
    for _ in range(70):
        way = rng.normal(0, 1, 3)
        way[2] = abs(way[2])
        way = way / np.linalg.norm(way) * rng.uniform(0.3, 0.7) * (1, 1, 1.3)
        b.tube((0, 0, 0), way, (0.02, 0.008), 3, BARK)
        if season.leaves == 'green' or rng.random() < 0.25:
            _clump(b, rng, way, 9, 0.12, 0.11)
    colour = (0.05, 0.12, 0.03) if season.leaves == 'green' else (0.14, 0.08, 0.03)
    return b.mesh(
        'bush',
        [
            paint(season, 'bush_wood', (0.13, 0.09, 0.07), 0.9),
            leaves(season, 'bush_leaves', colour),
        ],
    )
