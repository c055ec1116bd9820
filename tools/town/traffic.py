# SPDX-License-Identifier: MIT
"""Parked cars and pedestrians: they differ from run to run (metres)."""

from __future__ import annotations

import bpy
import numpy as np

from town.layout import HALF_ROAD, Layout, rng_of, streets
from town.materials import object_paint, paint
from town.meshes import MeshBuilder, place, pose
from town.seasons import Season

BODY, DARK, TYRE, LAMP, TAIL = range(5)
# Silhouettes (x from the rear, z) of hatchback, saloon, van: lower body then cabin.
CARS = {
    'hatch': (
        3.9,
        [(0, 0.35), (0, 0.75), (0.1, 0.95), (2.7, 0.95), (3.75, 0.8), (3.9, 0.6), (3.9, 0.35)],
        [(0.12, 0.95), (0.55, 1.45), (1.9, 1.48), (2.75, 0.95)],
    ),
    'saloon': (
        4.6,
        [(0, 0.35), (0, 0.8), (0.1, 0.95), (3.3, 0.95), (4.4, 0.8), (4.6, 0.6), (4.6, 0.35)],
        [(0.75, 0.95), (1.35, 1.4), (2.6, 1.43), (3.4, 0.95)],
    ),
    'van': (
        5.1,
        [(0, 0.35), (0, 1.0), (0.02, 1.1), (4.2, 1.1), (4.95, 0.95), (5.1, 0.7), (5.1, 0.35)],
        [(0.02, 1.1), (0.1, 2.1), (3.5, 2.15), (4.3, 1.1)],
    ),
}
PAINTS = (
    (0.45, 0.45, 0.46),
    (0.03, 0.03, 0.035),
    (0.55, 0.55, 0.53),
    (0.3, 0.02, 0.02),
    (0.02, 0.06, 0.2),
    (0.12, 0.13, 0.14),
    (0.05, 0.12, 0.08),
    (0.5, 0.38, 0.05),
    (0.2, 0.35, 0.42),
    (0.25, 0.12, 0.05),
)


def _shell(
    b: MeshBuilder,
    outline: list[tuple[float, float]],
    half: tuple[float, float],
    slot: int,
    side: int,
) -> None:
    """Extrude an outline over y; half widths below and above; sides in their own slot."""
    z = np.array([p[1] for p in outline])
    y = half[0] + (half[1] - half[0]) * (z - z.min()) / (z.max() - z.min())
    left = [(p[0], h, p[1]) for p, h in zip(outline, y, strict=True)]
    right = [(p[0], -h, p[1]) for p, h in zip(outline, y, strict=True)]
    for k in range(len(outline) - 1):
        b.face([left[k], left[k + 1], right[k + 1], right[k]], slot)
    b.face(right, side)
    b.face(left[::-1], side)


def car(season: Season, name: str, materials: list[bpy.types.Material]) -> bpy.types.Mesh:
    """Car along +x, centred on its wheels' middle."""
    length, lower, cabin = CARS[name]
    b = MeshBuilder()
    shift = np.eye(4)
    shift[0, 3] = -length / 2
    b.at(shift)
    _shell(b, lower, (0.86, 0.84), BODY, BODY)
    _shell(b, cabin, (0.8, 0.62 if name != 'van' else 0.76), DARK, BODY if name == 'van' else DARK)
    top = cabin[1:3]
    b.box(
        (top[0][0] - 0.05, -0.64, top[0][1] - 0.02),
        (top[1][0] + 0.05, 0.64, top[1][1] + 0.04),
        BODY,
    )
    for x in (length * 0.2, length * 0.8):
        for y in (-0.88, 0.66):
            b.tube((x, y, 0.32), (x, y + 0.22, 0.32), (0.32, 0.32), 14, TYRE)
            b.tube((x, y - 0.01, 0.32), (x, y, 0.32), (0.19, 0.19), 10, LAMP)
            b.tube((x, y + 0.22, 0.32), (x, y + 0.23, 0.32), (0.19, 0.19), 10, LAMP)
    for y in (-0.8, 0.48):
        b.box((length - 0.15, y, 0.58), (length + 0.01, y + 0.32, 0.72), LAMP)
        b.box((-0.02, y, 0.68), (0.06, y + 0.32, 0.86), TAIL)
    b.box((-0.06, -0.8, 0.38), (0.04, 0.8, 0.52), DARK)
    b.box((length - 0.05, -0.8, 0.36), (length + 0.05, 0.8, 0.5), DARK)
    b.box((-0.04, -0.27, 0.54), (0.0, 0.27, 0.65), LAMP)
    for y in (-1.0, 0.84):
        b.box((length * 0.62, y, 0.95), (length * 0.66, y + 0.16, 1.08), BODY)
    return b.mesh(name, materials)


def person(b: MeshBuilder, stride: float) -> None:
    """Walking figure of about 1.75 m; the coat takes the object's colour."""
    for y, s in ((-0.1, stride), (0.1, -stride)):
        b.tube((s, y, 0.05), (0, y, 0.85), (0.07, 0.1), 6, 1)
        b.box((s - 0.08, y - 0.05, 0), (s + 0.18, y + 0.05, 0.09), 1)
        b.tube((0, y * 2.4, 1.42), (-s * 0.8, y * 2.7, 0.88), (0.065, 0.05), 6, 0)
    b.lathe([(0.17, 0.72), (0.2, 0.85), (0.18, 1.1), (0.24, 1.38), (0.12, 1.5)], 8, 0)
    b.lathe([(0.05, 1.48), (0.1, 1.55), (0.12, 1.65), (0.09, 1.75), (0.02, 1.79)], 8, 2)


def _person_meshes(season: Season) -> list[bpy.types.Mesh]:
    """Four figures: two strides, two hair colours."""
    coat = object_paint(season, 'coat', 0.85, snow=0.0)
    made = []
    for k in range(4):
        b = MeshBuilder()
        person(b, 0.22 + 0.12 * (k % 2))
        hair = (0.05, 0.03, 0.02) if k < 2 else (0.35, 0.22, 0.14)
        made.append(
            b.mesh(
                f'person{k}',
                [
                    coat,
                    paint(season, f'trousers{k}', (0.03 + 0.05 * k, 0.03, 0.06), 0.9, snow=0.0),
                    paint(season, f'head{k}', hair, 0.7, snow=0.0),
                ],
            )
        )
    return made


def add(layout: Layout, season: Season, run: str) -> None:
    """Fill the kerbs with parked cars and the pavements with people, seeded by the run."""
    materials = [
        object_paint(season, 'car_paint', 0.22, snow=0.9, coat=0.3),
        paint(season, 'car_glass', (0.012, 0.014, 0.017), 0.05, snow=0.0),
        paint(season, 'tyre', (0.02, 0.02, 0.02), 0.9, snow=0.0),
        paint(season, 'chrome', (0.6, 0.6, 0.58), 0.25, 0.4, snow=0.0),
        paint(season, 'tail_lamp', (0.4, 0.01, 0.01), 0.2, snow=0.0),
    ]
    cars = [car(season, name, materials) for name in CARS]
    people = _person_meshes(season)
    for number, (a, c) in enumerate(streets(layout)):
        rng = rng_of(layout.seed, f'traffic-{run}-{number}')
        _line(rng, a, c, cars, people)


def _line(
    rng: np.random.Generator,
    a: np.ndarray,
    c: np.ndarray,
    cars: list[bpy.types.Mesh],
    people: list[bpy.types.Mesh],
) -> None:
    """Both sides of one street between junctions a and c."""
    length = float(np.linalg.norm(c - a))
    along = (c - a) / length
    yaw = float(np.arctan2(along[1], along[0]))
    for side in (-1, 1):
        across = side * np.array([-along[1], along[0]])
        density = rng.uniform(0.15, 0.6)
        for s in np.arange(15.0, length - 15.0, 6.0):
            if rng.random() < density:
                at = a + along * (s + rng.uniform(-0.4, 0.4)) + across * (HALF_ROAD - 1.0)
                turn = yaw + (np.pi if side > 0 else 0) + rng.normal(0, 0.02)
                place(
                    cars[int(rng.choice(3, p=(0.5, 0.35, 0.15)))],
                    pose(*at, turn),
                    colour=PAINTS[int(rng.integers(len(PAINTS)))],
                )
        for s in rng.uniform(10, length - 10, int(rng.integers(1, 5))):
            at = a + along * s + across * (HALF_ROAD + rng.uniform(0.8, 1.9))
            place(
                people[int(rng.integers(4))],
                pose(*at, yaw + np.pi * rng.integers(2), 0.13, rng.uniform(0.93, 1.05)),
                colour=rng.uniform(0.02, 0.5, 3),
            )
