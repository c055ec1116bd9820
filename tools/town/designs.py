# SPDX-License-Identifier: MIT
"""What a building looks like: a design drawn from a seed, all lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STYLES = ('brick', 'plaster', 'timber', 'stone', 'panel', 'curtain')
SLOTS = ('wall', 'base', 'trim', 'glass', 'roof', 'door', 'metal', 'sign', 'awning', 'side')


@dataclass(frozen=True, slots=True)
class Design:
    """Shape of one building; its materials are chosen where it is put up."""

    style: str
    width: float
    depth: float
    floors: int  # above the ground floor
    floor_height: float
    ground_height: float
    bays: int
    window: tuple[float, float]  # width and height
    bars: tuple[int, int]  # panes across and up
    arched: bool
    shutters: bool
    sills: bool
    lintels: bool
    pilasters: bool
    courses: bool
    ground: str  # shop, door or garage
    door_bay: int
    roof: str  # flat, side, gable, stepped or mansard
    roof_rise: float
    dormers: int
    chimneys: int
    balconies: tuple[int, ...]  # bays that carry balconies
    bay_window: int  # bay with an oriel, -1 for none
    detached: bool

    @property
    def eaves(self) -> float:
        """Height of the wall."""
        return self.ground_height + self.floors * self.floor_height


def draw(rng: np.random.Generator, detached: bool = False) -> Design:
    """A random design; detached ones are low houses."""
    style = str(rng.choice(STYLES, p=(0.28, 0.3, 0.12, 0.14, 0.08, 0.08)))
    if detached:
        style = str(rng.choice(('brick', 'plaster', 'timber')))
    modern = style in ('panel', 'curtain')
    width = float(rng.uniform(11, 16) if modern else rng.uniform(6.5, 11.5))
    floors = int(rng.integers(1, 2) if detached else rng.integers(1, 4))
    bays = max(2, round(width / rng.uniform(1.5 if modern else 2.1, 3.0)))
    bay = width / bays
    tall = rng.random() < 0.4
    roof = str(
        rng.choice(
            ('side', 'gable', 'stepped', 'mansard', 'flat'), p=(0.36, 0.22, 0.12, 0.15, 0.15)
        )
    )
    if detached:
        roof = str(rng.choice(('side', 'gable')))
    roof = 'flat' if modern else roof
    return Design(
        style,
        width,
        float(rng.uniform(9, 12)),
        floors + modern,
        float(rng.uniform(2.8, 3.5)),
        float(rng.uniform(3.1, 4.2)),
        bays,
        (
            bay * 0.8 if style == 'curtain' else float(min(bay * 0.62, rng.uniform(0.95, 1.7))),
            float(rng.uniform(1.8, 2.3) if tall else rng.uniform(1.25, 1.65)),
        ),
        (int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        style in ('brick', 'stone') and bool(rng.random() < 0.4),
        style in ('plaster', 'timber') and bool(rng.random() < 0.45),
        bool(rng.random() < 0.75),
        bool(rng.random() < 0.55),
        bool(rng.random() < 0.25),
        bool(rng.random() < 0.5),
        'door' if detached else str(rng.choice(('shop', 'door', 'garage'), p=(0.6, 0.3, 0.1))),
        int(rng.integers(bays)),
        roof,
        float(rng.uniform(2.4, 4.4)),
        int(rng.integers(0, 3)) if roof in ('side', 'mansard') else 0,
        int(rng.integers(0, 3)),
        tuple(k for k in range(bays) if rng.random() < 0.4) if rng.random() < 0.4 else (),
        int(rng.integers(bays)) if rng.random() < 0.22 and not modern else -1,
        detached,
    )
