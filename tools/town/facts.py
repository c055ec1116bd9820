# SPDX-License-Identifier: MIT
"""What is known about the runs: revisits, frames outside the map, look-alike streets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from town.layout import Layout
from town.routes import frames

NEAR_M, SAME_HEADING = 25.0, np.deg2rad(60.0)
REVISIT_M, REVISIT_HEADING, REVISIT_AFTER = 4.0, np.deg2rad(30.0), 40  # the last in frames

# Streets between junctions (column, row) whose two sides are built from the same designs.
LOOKALIKES = {'p': (((1, 1), (2, 1)), ((3, 2), (2, 2))), 'q': (((3, 1), (3, 2)), ((4, 1), (4, 2)))}


def ranges(mask: np.ndarray, shortest: int = 3) -> list[list[int]]:
    """[first, last] of every stretch of True that is at least `shortest` frames long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    pairs = edges.reshape(-1, 2)
    return [[int(a), int(b) - 1] for a, b in pairs if b - a >= shortest]


def _close(a: np.ndarray, b: np.ndarray, distance: float, turn: float) -> np.ndarray:
    """(n, m) True where poses (x, y, yaw) are near in place and heading."""
    away = np.linalg.norm(a[:, None, :2] - b[None, :, :2], axis=2)
    apart = np.abs((a[:, None, 2] - b[None, :, 2] + np.pi) % (2 * np.pi) - np.pi)
    return (away < distance) & (apart < turn)


def outside(query: np.ndarray, mapped: np.ndarray) -> np.ndarray:
    """(n,) True where no mapped pose is within NEAR_M with about the same heading."""
    return ~_close(query, mapped, NEAR_M, SAME_HEADING).any(axis=1)


def revisits(poses: np.ndarray) -> np.ndarray:
    """(n,) True where the vehicle stands where it stood well before."""
    close = _close(poses, poses, REVISIT_M, REVISIT_HEADING)
    index = np.arange(len(poses))
    return (close & (index[None, :] < index[:, None] - REVISIT_AFTER)).any(axis=1)


def on_street(layout: Layout, poses: np.ndarray, ends: tuple) -> np.ndarray:
    """(n,) True between two junctions, at least 6 m from each."""
    a, b = (layout.junctions[k] for k in ends)
    length = np.linalg.norm(b - a)
    along = (b - a) / length
    s = (poses[:, :2] - a) @ along
    across = np.abs((poses[:, :2] - a) @ np.array([-along[1], along[0]]))
    return (s > 6) & (s < length - 6) & (across < 5)


def world(layout: Layout, spacing: float, runs: Sequence[str]) -> dict[str, Any]:
    """Facts of the runs; ranges are [first, last] frame numbers, both included."""
    poses = {run: frames(layout, run, spacing) for run in runs}
    mapped = frames(layout, 'summer', spacing)
    facts: dict[str, Any] = {'seed': layout.seed, 'spacing_m': spacing, 'runs': {}}
    for run, own in poses.items():
        streets = {
            f'{pair}{k + 1}': ranges(on_street(layout, own, street))
            for pair, both in LOOKALIKES.items()
            for k, street in enumerate(both)
        }
        facts['runs'][run] = {
            'frames': len(own),
            'outside_map': ranges(outside(own, mapped)),
            'revisit': ranges(revisits(own)),
            'lookalike': streets,
        }
    return facts
