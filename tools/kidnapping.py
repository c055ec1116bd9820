# SPDX-License-Identifier: MIT
"""A robot that is carried away: several drives as one, and how long the answers take to notice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from selavpr_model.poses import inverse
from selavpr_model.records import Frame, Recognition, State


def carried(pieces: Sequence[Sequence[Frame]], pause_s: float = 0.2) -> Iterator[Frame]:
    """The drives one after the other, `pause_s` between them. Odometry goes on as if nothing had
    happened, where all frames have it: the wheels do not turn while the robot is carried.
    """
    stamp, odom = pieces[0][0].stamp_ns, pieces[0][0].odom
    for piece in pieces:
        first = piece[0]
        known = odom is not None and first.odom is not None
        back = odom @ inverse(np.asarray(first.odom)) if odom is not None and known else None
        made = first
        for frame in piece:
            moved = None if back is None or frame.odom is None else back @ frame.odom
            made = replace(frame, stamp_ns=stamp + frame.stamp_ns - first.stamp_ns, odom=moved)
            yield made
        stamp, odom = made.stamp_ns + round(pause_s * 1e9), made.odom


@dataclass(frozen=True, slots=True)
class Reaction:
    """After a jump: until the first LOST and until the first LOCALIZED at the right place, s, None
    if never; LOCALIZED elsewhere, frames, and the last time of that, s after the jump.
    """

    lost_s: float | None
    found_s: float | None
    wrong: int
    wrong_until_s: float


def reaction(answers: Sequence[Recognition], right: Sequence[bool], jump_ns: int) -> Reaction:
    """answers: from the jump to the next one, in order; right: whether each one's best place is
    the true one; jump_ns: stamp of the last frame before the jump.
    """
    since = [(a.stamp_ns - jump_ns) * 1e-9 for a in answers]
    localized = [a.state is State.LOCALIZED for a in answers]
    lost = [t for t, a in zip(since, answers, strict=True) if a.state is State.LOST]
    found = [t for t, is_, ok in zip(since, localized, right, strict=True) if is_ and ok]
    wrong = [t for t, is_, ok in zip(since, localized, right, strict=True) if is_ and not ok]
    return Reaction(
        lost[0] if lost else None, found[0] if found else None, len(wrong), max(wrong, default=0.0)
    )


def near(T: np.ndarray, T_true: np.ndarray, position_m: float, heading_deg: float) -> bool:
    """Whether two poses (4, 4) show one place."""
    axis = float(np.clip(T[:3, 2] @ T_true[:3, 2], -1.0, 1.0))
    close = np.linalg.norm(T[:3, 3] - T_true[:3, 3]) <= position_m
    return bool(close and np.degrees(np.arccos(axis)) <= heading_deg)
