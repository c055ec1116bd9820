# SPDX-License-Identifier: MIT
"""Loop closures against the truth: how many are right, and how many revisits were closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import ScoreConfig
from selavpr_model.errors import InputError
from selavpr_model.poses import rotation_angles
from selavpr_model.records import ClosureKind, LoopClosure

Same = Callable[[int, int], bool]
"""Whether the frames with these indices show one place."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a drive in SLAM gave. frames: place id -> index of its frame; searchable: index of a
    keyframe's frame -> indices of the keyframes it could have closed with.
    """

    closures: Sequence[LoopClosure]
    frames: dict[int, int]
    searchable: dict[int, list[int]]


def same_by_pose(poses: Sequence[np.ndarray | None], config: ScoreConfig) -> Same:
    """Within the distances of ScoreConfig; (4, 4) T_map_camera each, all known."""

    def same(a: int, b: int) -> bool:
        one, two = poses[a], poses[b]
        if one is None or two is None:
            return False
        near = float(np.linalg.norm(one[:3, 3] - two[:3, 3])) <= config.position_m
        angle = float(rotation_angles(one[None, :3, :3], two[:3, :3])[0])
        return near and angle <= np.radians(config.heading_deg)

    return same


def same_by_picture(path: Path) -> Same:
    """A square image whose pixel (later, earlier) is white where two frames show one place."""
    import cv2

    truth = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if truth is None or truth.shape[0] != truth.shape[1]:
        raise InputError(f'{path}: expected a square image of true pairs; give another file')
    white = truth > 127

    def same(a: int, b: int) -> bool:
        return bool(white[max(a, b), min(a, b)])

    return same


def score(run: Run, same: Same) -> dict[str, Any]:
    """Counts; precision and recall are None where there is nothing to divide by.

    A revisit is a keyframe with a true partner among the places that were searchable for it; it
    is closed when a right VERIFIED closure says so.
    """
    revisits = {now for now, old in run.searchable.items() if any(same(now, o) for o in old)}
    pairs = {kind: _pairs(run, kind) for kind in ClosureKind}
    verified = pairs[ClosureKind.VERIFIED]
    wrong = [pair for pair in verified if not same(*pair)]
    closed = {pair[0] for pair in verified if same(*pair)} & revisits
    refused = [pair for pair in pairs[ClosureKind.REJECTED] if same(*pair)]
    return {
        'keyframes': len(run.frames),
        'candidates': len(pairs[ClosureKind.CANDIDATE]),
        'verified': len(verified),
        'false_verified': len(wrong),
        'false_verified_frames': wrong,
        'rejected': len(pairs[ClosureKind.REJECTED]),
        'rejected_although_right': len(refused),
        'precision': round(1 - len(wrong) / len(verified), 4) if verified else None,
        'revisits': len(revisits),
        'revisits_closed': len(closed),
        'recall': round(len(closed) / len(revisits), 4) if revisits else None,
    }


def _pairs(run: Run, kind: ClosureKind) -> list[tuple[int, int]]:
    """(later, earlier) frame of each closure of a kind."""
    chosen = (c for c in run.closures if c.kind is kind)
    return [(run.frames[c.after.id], run.frames[c.before.id]) for c in chosen]
