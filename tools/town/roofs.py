# SPDX-License-Identifier: MIT
"""Roofs, gables, chimneys and the blind sides of buildings, metres."""

from __future__ import annotations

import numpy as np

from town.designs import Design
from town.facades import bars, DOOR, front, GLASS, METAL, ROOF, SIDE, TRIM, WALL
from town.meshes import MeshBuilder

OVER = 0.4  # how far eaves stand out


def sides(b: MeshBuilder, d: Design) -> None:
    """Side and back walls, with a few windows on detached houses."""
    w, y, z = d.width, d.depth, d.eaves
    b.face([(w, 0, 0), (w, y, 0), (w, y, z), (w, 0, z)], SIDE)
    b.face([(0, y, 0), (0, 0, 0), (0, 0, z), (0, y, z)], SIDE)
    b.face([(w, y, 0), (0, y, 0), (0, y, z), (w, y, z)], SIDE)
    for x, sign in ((0.0, -1), (w, 1)):
        for k, (along, up) in enumerate(((2.2, 1.0), (6.0, 1.0), (2.2, 4.3), (6.0, 4.3))):
            if up + 1.4 > z or not (d.detached or k % 2):
                continue
            out = x + sign * 0.02
            corners = [
                (out, along, up),
                (out, along + 1.1, up),
                (out, along + 1.1, up + 1.3),
                (out, along, up + 1.3),
            ]
            b.face(
                corners if sign > 0 else corners[::-1],
                GLASS,
                [(k, 90), (k + 1, 90), (k + 1, 91), (k, 91)],
            )
            b.box(
                (min(x, out + sign * 0.06), along - 0.1, up - 0.1),
                (max(x, out + sign * 0.06), along + 1.2, up),
                TRIM,
            )


def _slopes(b: MeshBuilder, ridge_along_x: bool, d: Design, rise: float) -> None:
    """Two slopes and two gables over the walls."""
    w, y, z, o = d.width, d.depth, d.eaves, OVER
    top = z + rise
    if ridge_along_x:
        drop = rise * o / (y / 2)
        b.face(
            [
                (-0.1, -o, z - drop),
                (w + 0.1, -o, z - drop),
                (w + 0.1, y / 2, top),
                (-0.1, y / 2, top),
            ],
            ROOF,
        )
        b.face(
            [
                (w + 0.1, y + o, z - drop),
                (-0.1, y + o, z - drop),
                (-0.1, y / 2, top),
                (w + 0.1, y / 2, top),
            ],
            ROOF,
        )
        b.face([(w, 0, z), (w, y, z), (w, y / 2, top)], SIDE)
        b.face([(0, y, z), (0, 0, z), (0, y / 2, top)], SIDE)
        b.tube((-0.1, -o - 0.05, z - drop), (w + 0.1, -o - 0.05, z - drop), (0.08, 0.08), 6, METAL)
        return
    drop = rise * o / (w / 2)
    b.face([(-o, -o, z - drop), (w / 2, -o, top), (w / 2, y, top), (-o, y, z - drop)], ROOF)
    b.face([(w / 2, -o, top), (w + o, -o, z - drop), (w + o, y, z - drop), (w / 2, y, top)], ROOF)
    b.face([(0, 0, z), (w, 0, z), (w / 2, 0, top)], WALL)
    b.face([(w, y, z), (0, y, z), (w / 2, y, top)], SIDE)
    for x0, x1 in ((-o, w / 2), (w + o, w / 2)):
        b.tube((x0, -o - 0.02, z - drop - 0.05), (x1, -o - 0.02, top - 0.05), (0.1, 0.1), 4, TRIM)
    if rise > 2.6:
        hole = ((w / 2 - 0.45, w / 2 + 0.45), (z + 0.4, z + 1.4))
        b.rect(*hole, -0.01, GLASS, [(0, 95), (1, 95), (1, 96), (0, 96)])
        bars(b, hole, (2, 2), 0.0)


def _stepped(b: MeshBuilder, d: Design) -> None:
    """Crow-stepped front gable before a roof of the same rise."""
    _slopes(b, False, d, d.roof_rise)
    steps = 5
    for k in range(steps):
        half = d.width / 2 * (1 - k / steps)
        low = d.eaves + d.roof_rise * k / steps
        high = low + d.roof_rise / steps + 0.7
        b.box(
            (d.width / 2 - half, -0.06 - 0.012 * k, low - 0.1),
            (d.width / 2 + half, 0.3, high),
            WALL,
        )
        for x in (d.width / 2 - half, d.width / 2 + half - 0.55):
            b.box((x - 0.05, -0.14, high), (x + 0.6, 0.36, high + 0.12), TRIM)


def _mansard(b: MeshBuilder, d: Design) -> None:
    """Steep lower roof with a flat top."""
    w, y, z, top = d.width, d.depth, d.eaves, d.eaves + d.roof_rise * 0.75
    b.box((-0.05, -0.35, z - 0.25), (w + 0.05, 0, z + 0.1), TRIM)
    b.face([(0, -0.1, z), (w, -0.1, z), (w, 1.3, top), (0, 1.3, top)], ROOF)
    b.face([(w, y, z), (0, y, z), (0, y - 1.3, top), (w, y - 1.3, top)], ROOF)
    for x in (0.0, w):
        points = [(x, 0, z), (x, y, z), (x, y - 1.3, top), (x, 1.3, top)]
        b.face(points if x else points[::-1], SIDE)
    b.flat((0, w), (1.3, y - 1.3), top, ROOF)


def _flat(b: MeshBuilder, d: Design) -> None:
    """Flat roof behind a parapet with a cornice and boxes on top."""
    w, y, z = d.width, d.depth, d.eaves
    b.flat((0, w), (0, y), z + 0.05, ROOF)
    b.box((0, 0, z), (w, 0.25, z + 0.8), WALL)
    b.box((-0.05, -0.18, z + 0.62), (w + 0.05, 0.3, z + 0.86), TRIM)
    b.box((w * 0.2, y * 0.3, z), (w * 0.2 + 2.2, y * 0.3 + 2, z + 2.0), SIDE)
    b.box((w * 0.65, y * 0.2, z), (w * 0.65 + 1.4, y * 0.2 + 1.2, z + 1.3), METAL)


def _dormers(b: MeshBuilder, d: Design) -> None:
    """Small gabled windows in the street-side slope."""
    mansard = d.roof == 'mansard'
    rise = d.roof_rise * (0.75 if mansard else 1.0)
    slope = rise / (1.4 if mansard else d.depth / 2)
    for k in range(d.dormers):
        x = d.width * (k + 1) / (d.dormers + 1)
        y0 = 0.15 if mansard else 1.1
        z0 = d.eaves + slope * (y0 + (0.1 if mansard else 0.0))
        z1, back = z0 + 1.35, y0 + 2.2
        b.rect((x - 0.7, x + 0.7), (z0 - 0.3, z1), y0, WALL)
        hole = ((x - 0.45, x + 0.45), (z0 + 0.1, z1 - 0.1))
        b.rect(*hole, y0 - 0.01, GLASS, [(k, 97), (k + 1, 97), (k + 1, 98), (k, 98)])
        bars(b, hole, (2, 2), y0)
        b.face([(x - 0.7, y0, z1), (x + 0.7, y0, z1), (x, y0, z1 + 0.55)], WALL)
        b.face(
            [(x - 0.7, back, z0), (x - 0.7, y0, z0 - 0.3), (x - 0.7, y0, z1), (x - 0.7, back, z1)],
            WALL,
        )
        b.face(
            [(x + 0.7, y0, z0 - 0.3), (x + 0.7, back, z0), (x + 0.7, back, z1), (x + 0.7, y0, z1)],
            WALL,
        )
        b.face(
            [
                (x - 0.85, y0 - 0.15, z1 - 0.1),
                (x, y0 - 0.15, z1 + 0.6),
                (x, back, z1 + 0.6),
                (x - 0.85, back, z1 - 0.1),
            ],
            ROOF,
        )
        b.face(
            [
                (x, y0 - 0.15, z1 + 0.6),
                (x + 0.85, y0 - 0.15, z1 - 0.1),
                (x + 0.85, back, z1 - 0.1),
                (x, back, z1 + 0.6),
            ],
            ROOF,
        )


def building(d: Design, with_awning: bool) -> MeshBuilder:
    """All polygons of one building; its front lower left corner is the origin."""
    b = MeshBuilder()
    front(b, d, with_awning)
    sides(b, d)
    if d.roof == 'flat':
        _flat(b, d)
    elif d.roof == 'stepped':
        _stepped(b, d)
    elif d.roof == 'mansard':
        _mansard(b, d)
    else:
        _slopes(b, d.roof == 'side', d, d.roof_rise)
    if d.roof in ('side', 'gable') and d.floors > 0:
        b.box((0, -0.12, d.eaves - 0.25), (d.width, 0, d.eaves - 0.02), TRIM)
    _dormers(b, d)
    for k in range(d.chimneys):
        x = d.width * (0.12 + 0.7 * k / max(1, d.chimneys - 1))
        top = d.eaves + d.roof_rise + 1.0
        b.box((x, d.depth * 0.45, d.eaves), (x + 0.8, d.depth * 0.45 + 0.7, top), SIDE)
        for pot in np.arange(x + 0.2, x + 0.8, 0.35):
            b.tube(
                (pot, d.depth * 0.45 + 0.35, top),
                (pot, d.depth * 0.45 + 0.35, top + 0.4),
                (0.12, 0.1),
                6,
                DOOR,
            )
    b.tube((0.15, -0.08, 0.1), (0.15, -0.08, d.eaves - 0.1), (0.05, 0.05), 5, METAL)
    return b
