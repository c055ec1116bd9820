# SPDX-License-Identifier: MIT
"""Trajectories as TUM files, which evo and most tools read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from selavpr_model.evaluation.predictions import Prediction
from selavpr_model.poses import position_quaternion
from selavpr_model.records import Place, SECOND

HEADER = '# timestamp x y z qx qy qz qw\n'
Sample = tuple[int, Sequence[float]]
"""Stamp in ns, and x, y, z, qx, qy, qz, qw."""


def write_tum(path: Path, samples: Iterable[Sample]) -> int:
    """Rising in time, one line a stamp; the number of lines is returned."""
    first: dict[int, Sequence[float]] = {}
    for stamp, pose in samples:
        first.setdefault(stamp, pose)
    lines = [tum_line(stamp, first[stamp]) for stamp in sorted(first)]
    path.write_text(HEADER + ''.join(lines), encoding='utf-8')
    return len(lines)


def tum_line(stamp_ns: int, pose: Sequence[float]) -> str:
    seconds, rest = divmod(stamp_ns, SECOND)
    return f'{seconds}.{rest:09d} {" ".join(f"{v:.9f}" for v in pose)}\n'


def answered(predictions: Iterable[Prediction]) -> list[Sample]:
    """The poses of the robot's base where it was LOCALIZED."""
    return [(p.stamp_ns, p.pose) for p in predictions if p.pose is not None]


def mapped(places: Iterable[Place]) -> list[Sample]:
    """The poses of the camera at the places of a map."""
    return [(p.stamp_ns, position_quaternion(p.pose)) for p in places if p.pose is not None]


def true(truth: dict[int, np.ndarray | None]) -> list[Sample]:
    """stamp_ns -> (4, 4), where it is known."""
    return [(s, position_quaternion(T)) for s, T in truth.items() if T is not None]
