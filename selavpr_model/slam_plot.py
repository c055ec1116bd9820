# SPDX-License-Identifier: MIT
"""A drive from above with its loop closures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from selavpr_model.records import ClosureKind
from selavpr_model.slam_score import Run

COLOURS = {ClosureKind.VERIFIED: '#2a9d3a', ClosureKind.REJECTED: '#d1495b33'}


def draw_drive(
    path: Path, run: Run, spots: Mapping[int, np.ndarray], true: Mapping[int, np.ndarray]
) -> None:
    """Write a picture. spots, true: frame -> (4, 4), by odometry and true, in one frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), layout='constrained')
    axes = figure.add_subplot()
    flat = _plane(np.array([pose[:3, 3] for pose in (*spots.values(), *true.values())]))
    way = np.array([pose[:3, 3] for pose in spots.values()])[:, flat]
    if true:
        axes.plot(*np.array([p[:3, 3] for p in true.values()])[:, flat].T, c='#999999', lw=3)
    axes.plot(*way.T, c='#1d3557', lw=1, marker='.', ms=3)
    for closure in run.closures:
        ends = [spots[run.frames[place.id]][:3, 3] for place in (closure.before, closure.after)]
        if closure.kind in COLOURS:
            colour = COLOURS[closure.kind]
            axes.plot(*np.array(ends)[:, flat].T, c=colour, lw=1.5, zorder=3)
    axes.set_aspect('equal')
    axes.set_title('odometry (blue), truth (grey), verified (green) and rejected (red) closures')
    figure.savefig(path, dpi=110)


def _plane(points: np.ndarray) -> list[int]:
    """The two axes in which the drive extends most."""
    return sorted(np.argsort(np.ptp(points, axis=0))[1:].tolist())
