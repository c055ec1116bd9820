# SPDX-License-Identifier: MIT
"""A drive from above with its loop closures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.evaluation.slam_score import Run
from selavpr_model.records import ClosureKind
from selavpr_model.runtime.needs import needs

with needs('matplotlib', extra='report'):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: dict[ClosureKind, dict[str, Any]] = {
    ClosureKind.VERIFIED: {'c': '#2a9d3a', 'lw': 1.5, 'zorder': 4},
    ClosureKind.REJECTED: {'c': '#d1495b33', 'lw': 1.5, 'zorder': 3},
}
WIDTH, AROUND = 7.0, 1.2  # inches: of the figure, and of labels and legend above and below
LEAST, MOST = 0.25, 1.2  # height of the drive over its width, in the figure
SEEN_M = 0.05  # apart; nearer lines are one
LINE = 1e-6  # m; what is no wider was put on a line for want of odometry


Way = Mapping[int, np.ndarray]
"""Frame -> (4, 4); all ways of a picture are in one frame."""


def draw_drive(path: Path, run: Run, track: Way, true: Way, straight: Way | None = None) -> None:
    """Write a picture of the way by odometry, the true one, and the one that the map has."""
    drive_figure(run, track, true, straight).savefig(path, dpi=110)


def drive_figure(run: Run, track: Way, true: Way, straight: Way | None = None) -> Figure:
    """From above, in m; without odometry and truth the keyframes in a row, closures as arcs."""
    positions, ways = _positions(track), [('odometry', _positions(track), '#1d3557', 1)]
    if straight and _apart(track, straight):
        ways.append(('map', _positions(straight), '#e07a1f', 2))
        positions = positions | ways[-1][1]
    if true:
        ways.insert(0, ('truth', _positions(true), '#999999', 3))
        if _is_line(positions) and len(true) == len(track):
            positions, ways = ways[0][1], ways[:1]
    if _is_line(positions):
        return _in_a_row(run, list(track))
    points = np.array([p for _, way, _, _ in ways for p in way.values()])
    flat = _plane(points)
    wide, high = np.ptp(points[:, flat], axis=0)
    ratio = min(MOST, max(LEAST, high / max(wide, LINE)))
    figure = Figure(figsize=(WIDTH, WIDTH * ratio + AROUND), layout='constrained')
    axes = figure.add_subplot()
    for name, way, colour, width in ways:
        line = np.array(list(way.values()))[:, flat].T
        axes.plot(*line, c=colour, lw=width, marker='.' if name == 'odometry' else '', ms=3,
                  label=name)  # fmt: skip
    _closures(axes, run, lambda a, b: (positions[a][flat], positions[b][flat]))
    axes.set_aspect('equal', adjustable='datalim')
    axes.set(xlabel=f'{"xyz"[flat[0]]} (m)', ylabel=f'{"xyz"[flat[1]]} (m)')
    _legend(axes)
    return figure


def _in_a_row(run: Run, frames: list[int]) -> Figure:
    figure = Figure(figsize=(WIDTH, WIDTH / 2 + AROUND), layout='constrained')
    axes = figure.add_subplot()
    axes.plot(
        frames, np.zeros(len(frames)), c='#1d3557', lw=1, marker='.', ms=3, label='keyframes'
    )
    turn = np.linspace(0.0, np.pi, 40)
    circle = np.stack([-np.cos(turn), np.sin(turn)], axis=1)
    _closures(axes, run, lambda a, b: circle * abs(b - a) / 2 + np.array([(a + b) / 2, 0.0]))
    axes.set(xlabel='frame, in a row for want of odometry', yticks=[])
    _legend(axes)
    return figure


def _closures(axes: Axes, run: Run, curve: Any) -> None:
    """curve: frames of both ends -> the points to draw."""
    for kind, style in STYLES.items():
        chosen = [c for c in run.closures if c.kind is kind]
        for i, c in enumerate(chosen):
            ends = run.frames[c.before.id], run.frames[c.after.id]
            label = f'{kind.name.lower()} closures: {len(chosen)}' if i == 0 else None
            axes.plot(*np.array(curve(*ends)).T, label=label, **style)


def _legend(axes: Axes) -> None:
    axes.legend(loc='lower left', bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False)


def _positions(poses: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    return {frame: pose[:3, 3] for frame, pose in poses.items()}


def _apart(a: Way, b: Way) -> bool:
    """Whether two ways differ so that one sees it."""
    return any(np.linalg.norm(a[i][:3, 3] - b[i][:3, 3]) > SEEN_M for i in b)


def _is_line(way: Mapping[int, np.ndarray]) -> bool:
    """Whether it extends along one of the axes only."""
    return bool(np.sort(np.ptp(np.array(list(way.values())), axis=0))[1] <= LINE)


def _plane(points: np.ndarray) -> list[int]:
    """The two axes in which the drive extends most."""
    return sorted(np.argsort(np.ptp(points, axis=0))[1:].tolist())
