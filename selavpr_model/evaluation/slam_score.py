# SPDX-License-Identifier: MIT
"""Loop closures against the truth: how many are right, and how many revisits were closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import RecognizerConfig, ScoreConfig
from selavpr_model.data.decode import decoded
from selavpr_model.errors import InputError
from selavpr_model.evaluation.trust import (
    ALONE,
    MATCHES,
    OVER_TIME,
    Series,
    SIMILARITY,
    TITLES,
    Trust,
    trust,
)
from selavpr_model.poses import rotation_angles
from selavpr_model.records import Candidate, ClosureKind, LoopClosure, Recognition

Same = Callable[[int, int], bool]
"""Whether the frames with these indices show one place."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a drive in SLAM gave. frames: place id -> index of its frame; searchable: index of a
    keyframe's frame -> indices of the keyframes it could have closed with; answers: of each of
    these keyframes.
    """

    closures: Sequence[LoopClosure]
    frames: dict[int, int]
    searchable: dict[int, list[int]]
    answers: dict[int, Recognition] = field(default_factory=dict)


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

    truth = decoded(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if truth is None or truth.shape[0] != truth.shape[1]:
        raise InputError(f'{path}: expected a square image of true pairs; give another file')
    white = truth > 127

    def same(a: int, b: int) -> bool:
        return bool(white[max(a, b), min(a, b)])

    return same


def counts(run: Run) -> dict[str, int]:
    """What is known without a truth."""
    kinds = [closure.kind for closure in run.closures]
    return {
        'keyframes': len(run.frames),
        'candidates': kinds.count(ClosureKind.CANDIDATE),
        'verified': kinds.count(ClosureKind.VERIFIED),
        'rejected': kinds.count(ClosureKind.REJECTED),
    }


def score(run: Run, same: Same) -> dict[str, Any]:
    """Counts; precision and recall are None where there is nothing to divide by.

    A revisit is a keyframe with a true partner among the places that were searchable for it; it
    is closed when a right VERIFIED closure says so.
    """
    revisits = revisited(run, same)
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


def revisited(run: Run, same: Same) -> set[int]:
    """Keyframes with a true partner among those they were looked for in."""
    return {now for now, old in run.searchable.items() if any(same(now, o) for o in old)}


def trust_of(run: Run, same: Same) -> Trust:
    """What each number of a keyframe's best candidate is worth as a reason to close a loop."""
    answered = [(now, answer) for now, answer in run.answers.items() if answer.candidates]
    bests: dict[str, list[tuple[Candidate, float | None]]] = {name: [] for name in TITLES}
    for _, answer in answered:
        nearest = min(answer.candidates, key=lambda c: c.global_rank)
        most = max(answer.candidates, key=lambda c: (c.mutual_matches, -c.global_rank))
        bests[SIMILARITY].append((nearest, nearest.global_similarity))
        bests[MATCHES].append((most, most.mutual_matches))
        first = min(answer.candidates, key=lambda c: c.rank)
        bests[ALONE].append((first, answer.alone_confidence))
        bests[OVER_TIME].append((answer.candidates[0], answer.candidates[0].confidence))
    series = {}
    for name, chosen in bests.items():
        right = [
            same(now, run.frames[c.place.id])
            for (now, _), (c, _) in zip(answered, chosen, strict=True)
        ]
        series[name] = Series(np.array([v for _, v in chosen], float), np.array(right, bool))
    return trust(series, len(revisited(run, same)), RecognizerConfig().min_precision)


def _pairs(run: Run, kind: ClosureKind) -> list[tuple[int, int]]:
    """(later, earlier) frame of each closure of a kind."""
    chosen = (c for c in run.closures if c.kind is kind)
    return [(run.frames[c.after.id], run.frames[c.before.id]) for c in chosen]
