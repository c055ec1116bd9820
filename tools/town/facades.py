# SPDX-License-Identifier: MIT
"""Fronts of buildings as polygons: x along the street, y into the house, z up, metres."""

from __future__ import annotations

import numpy as np

from town.designs import Design, SLOTS
from town.meshes import MeshBuilder, Point

WALL, BASE, TRIM, GLASS, ROOF, DOOR, METAL, SIGN, AWNING, SIDE = range(len(SLOTS))
REVEAL = 0.2  # how deep windows sit in the wall


def opening(
    b: MeshBuilder,
    cell: tuple[Point, Point],
    hole: tuple[Point, Point],
    slot: int,
    fill: int,
    index: Point = (0, 0),
    depth: float = REVEAL,
) -> None:
    """Wall cell ((x0, x1), (z0, z1)) with a hole closed `depth` behind by slot `fill`."""
    (x0, x1), (z0, z1) = cell
    (a, d), (c, e) = hole
    b.rect((x0, a), (z0, z1), 0, slot)
    b.rect((d, x1), (z0, z1), 0, slot)
    b.rect((a, d), (z0, c), 0, slot)
    b.rect((a, d), (e, z1), 0, slot)
    b.face([(a, 0, c), (a, depth, c), (a, depth, e), (a, 0, e)], TRIM)
    b.face([(d, depth, c), (d, 0, c), (d, 0, e), (d, depth, e)], TRIM)
    b.flat((a, d), (0, depth), c, TRIM)
    b.face([(a, depth, e), (d, depth, e), (d, 0, e), (a, 0, e)], TRIM)
    u, v = float(index[0]), float(index[1])
    b.rect((a, d), (c, e), depth, fill, [(u, v), (u + 1, v), (u + 1, v + 1), (u, v + 1)])


def bars(
    b: MeshBuilder,
    hole: tuple[Point, Point],
    count: Point,
    depth: float = REVEAL,
    thick: float = 0.06,
) -> None:
    """Window frame and glazing bars just before the pane."""
    (a, d), (c, e) = hole
    y0, y1 = depth - 0.05, depth - 0.002
    for k in range(int(count[0]) + 1):
        x = a + (d - a) * k / count[0]
        low = min(max(x - thick / 2, a), d - thick)
        b.box((low, y0, c), (low + thick, y1, e), TRIM)
    for k in range(int(count[1]) + 1):
        z = c + (e - c) * k / count[1]
        low = min(max(z - thick / 2, c), e - thick)
        b.box((a, y0, low), (d, y1, low + thick), TRIM)


def _arch(b: MeshBuilder, hole: tuple[Point, Point]) -> None:
    """Segmental arch stones over a window."""
    (a, d), (_, e) = hole
    middle, half = (a + d) / 2, (d - a) / 2
    turn = np.linspace(np.pi * 0.1, np.pi * 0.9, 8)
    inner = [(middle - half * 1.02 * np.cos(t), e - 0.25 + 0.34 * np.sin(t)) for t in turn]
    outer = [(middle - half * 1.25 * np.cos(t), e - 0.2 + 0.55 * np.sin(t)) for t in turn]
    for k in range(len(turn) - 1):
        (p, q), (r, s) = inner[k], inner[k + 1]
        (v, w), (t, u) = outer[k], outer[k + 1]
        b.face([(p, -0.05, q), (r, -0.05, s), (t, -0.05, u), (v, -0.05, w)], TRIM)


def window(
    b: MeshBuilder, d: Design, cell: tuple[Point, Point], index: Point, slot: int = WALL
) -> None:
    """One upper-floor bay with its window, frame, sill, lintel and shutters."""
    (x0, x1), (z0, z1) = cell
    middle = (x0 + x1) / 2
    width, height = d.window
    height = min(height, z1 - z0 - 0.6)
    sill = z0 + (0.35 if height > 1.7 else 0.85)
    hole = ((middle - width / 2, middle + width / 2), (sill, min(sill + height, z1 - 0.15)))
    opening(b, cell, hole, slot, GLASS, index)
    bars(b, hole, d.bars)
    (a, e), (low, high) = hole
    if d.sills:
        b.box((a - 0.12, -0.12, low - 0.12), (e + 0.12, 0.02, low), TRIM)
    if d.arched:
        _arch(b, hole)
    elif d.lintels:
        b.box((a - 0.15, -0.07, high), (e + 0.15, 0.02, high + 0.22), TRIM)
    if d.shutters and x1 - x0 > width * 1.9:
        for x in (a - width * 0.46, e + 0.02):
            b.box((x, -0.06, low), (x + width * 0.44, -0.01, high), DOOR)


def balcony(b: MeshBuilder, x: Point, z: float) -> None:
    """Slab with a railing in front of a bay."""
    b.box((x[0] + 0.1, -1.0, z - 0.12), (x[1] - 0.1, 0, z + 0.06), TRIM)
    b.box((x[0] + 0.1, -1.0, z + 0.98), (x[1] - 0.1, -0.95, z + 1.04), METAL)
    for k in np.arange(x[0] + 0.1, x[1] - 0.1, 0.16):
        b.box((k, -0.99, z), (k + 0.03, -0.96, z + 1.0), METAL)


def oriel(b: MeshBuilder, d: Design, x: Point, z: Point, index: Point) -> None:
    """Bay window that juts out 0.7 m over the upper floors."""
    a, e = x[0] + 0.15, x[1] - 0.15
    p, q = a + 0.35, e - 0.35
    for (x0, y0), (x1, y1) in (((a, 0), (p, -0.7)), ((p, -0.7), (q, -0.7)), ((q, -0.7), (e, 0))):
        for low, high, slot in (
            (z[0], z[0] + 0.8, WALL),
            (z[0] + 0.8, z[1] - 0.5, GLASS),
            (z[1] - 0.5, z[1], TRIM),
        ):
            u, v = index
            uv = [(u, v), (u + 1, v), (u + 1, v + 1), (u, v + 1)] if slot == GLASS else None
            b.face([(x0, y0, low), (x1, y1, low), (x1, y1, high), (x0, y0, high)], slot, uv)
        b.tube((x0, y0, z[0]), (x0, y0, z[1]), (0.06, 0.06), 5, TRIM)
    b.face([(a, 0, z[1]), (p, -0.7, z[1]), (q, -0.7, z[1]), (e, 0, z[1])], ROOF)
    b.face([(e, 0, z[0]), (q, -0.7, z[0]), (p, -0.7, z[0]), (a, 0, z[0])], TRIM)


def shop_front(b: MeshBuilder, d: Design) -> None:
    """Panes to the floor, a door, a name board and an awning."""
    top, width = d.ground_height, d.width
    bay = width / d.bays
    for k in range(d.bays):
        x0, x1 = k * bay, (k + 1) * bay
        door = k == d.door_bay
        half = 0.55 if door else bay / 2 - 0.14
        low, high = (0.0 if door else 0.5), top - 0.95
        hole = (((x0 + x1) / 2 - half, (x0 + x1) / 2 + half), (low, high))
        opening(b, ((x0, x1), (0, top)), hole, BASE, DOOR if door else GLASS, (k, 40), 0.3)
        bars(b, hole, (1, 2) if door else (2, 1), 0.3, 0.08)
    b.box((0.25, -0.14, top - 0.85), (width - 0.25, 0, top - 0.12), TRIM)
    board = min(width - 1.0, 4.6)
    left = 0.5 + (width - 1.0 - board) * (d.door_bay / max(1, d.bays - 1))
    b.rect(
        (left, left + board),
        (top - 0.84, top - 0.13),
        -0.16,
        SIGN,
        [(0, 0), (1, 0), (1, 1), (0, 1)],
    )


def awning(b: MeshBuilder, d: Design) -> None:
    """Sloping striped cloth over the shop's panes, with a valance."""
    z = d.ground_height - 0.9
    x0, x1 = 0.35, d.width - 0.35
    uv = [(x0, 0), (x1, 0), (x1, 1), (x0, 1)]
    b.face(
        [(x0, -1.35, z - 0.5), (x1, -1.35, z - 0.5), (x1, -0.05, z), (x0, -0.05, z)], AWNING, uv
    )
    b.rect((x0, x1), (z - 0.75, z - 0.5), -1.35, AWNING, uv)
    b.face([(x0, -0.05, z), (x0, -0.05, z - 0.5), (x0, -1.35, z - 0.5)], AWNING)
    b.face([(x1, -0.05, z), (x1, -1.35, z - 0.5), (x1, -0.05, z - 0.5)], AWNING)


def house_front(b: MeshBuilder, d: Design) -> None:
    """Ground floor with a door under a canopy, windows, or a garage."""
    top, bay = d.ground_height, d.width / d.bays
    for k in range(d.bays):
        cell = ((k * bay, (k + 1) * bay), (0.0, top))
        middle = (k + 0.5) * bay
        if k != d.door_bay:
            window(b, d, ((k * bay, (k + 1) * bay), (0.0, top)), (k, 60), BASE)
            continue
        half = min(bay / 2 - 0.1, 1.25) if d.ground == 'garage' else 0.55
        hole = ((middle - half, middle + half), (0.0, 2.25 if half > 0.6 else 2.45))
        opening(b, cell, hole, BASE, DOOR, (k, 61), 0.3)
        bars(b, hole, (1, 4) if half > 0.6 else (2, 3), 0.3, 0.05)
        b.box((hole[0][0] - 0.25, -0.5, 2.55), (hole[0][1] + 0.25, 0, 2.68), TRIM)
        b.box((hole[0][0] - 0.1, -0.4, 0.0), (hole[0][1] + 0.1, 0, 0.14), TRIM)
        b.box((hole[0][1] + 0.2, -0.12, 1.75), (hole[0][1] + 0.4, 0, 2.05), METAL)


def front(b: MeshBuilder, d: Design, with_awning: bool) -> None:
    """The whole street side."""
    if d.ground == 'shop':
        shop_front(b, d)
        if with_awning:
            awning(b, d)
    else:
        house_front(b, d)
    bay = d.width / d.bays
    for floor in range(d.floors):
        z0 = d.ground_height + floor * d.floor_height
        for k in range(d.bays):
            x = (k * bay, (k + 1) * bay)
            window(b, d, (x, (z0, z0 + d.floor_height)), (k, floor))
            if k in d.balconies:
                balcony(b, x, z0 + 0.2)
        if d.courses:
            b.box((0, -0.08, z0 - 0.12), (d.width, 0, z0 + 0.08), TRIM)
    if d.bay_window >= 0 and d.ground != 'shop':
        k = d.bay_window
        oriel(b, d, (k * bay, (k + 1) * bay), (d.ground_height - 0.1, d.eaves - 0.3), (k, 80))
    if d.pilasters:
        for k in range(d.bays + 1):
            x = min(max(k * bay - 0.17, 0), d.width - 0.34)
            b.box((x, -0.12, d.ground_height), (x + 0.34, 0, d.eaves), TRIM)
    if d.style == 'timber':
        _timbers(b, d)


def _timbers(b: MeshBuilder, d: Design) -> None:
    """Posts, rails and braces of a timber frame."""
    bay = d.width / d.bays
    for floor in range(d.floors):
        z0 = d.ground_height + floor * d.floor_height
        z1 = z0 + d.floor_height
        for z in (z0, z0 + 0.62, z1 - 0.2):
            b.box((0, -0.04, z), (d.width, 0, z + 0.17), METAL)
        for k in range(d.bays + 1):
            x = min(max(k * bay - 0.1, 0), d.width - 0.2)
            b.box((x, -0.05, z0), (x + 0.2, 0, z1), METAL)
        for k in (0, d.bays - 1):
            x0, x1 = (k * bay + 0.1, k * bay + bay * 0.4) if k else (bay * 0.6, bay * 0.1 + 0.1)
            b.face(
                [(x0, -0.03, z0), (x0 + 0.16, -0.03, z0), (x1 + 0.16, -0.03, z1), (x1, -0.03, z1)],
                METAL,
            )
