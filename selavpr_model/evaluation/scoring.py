# SPDX-License-Identifier: MIT
"""Predictions against true poses: what was right, what was wrong, and the summary of a replay.

The same place is: within `ScoreConfig.position_m` and `heading_deg` of the true pose. A frame is
inside the map when at least one place of the map is the same place; this follows from the poses
alone. All poses here are T_map_camera.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from selavpr_model.config import RecognizerConfig, ScoreConfig
from selavpr_model.errors import InputError
from selavpr_model.evaluation.metrics import NEVER, recall_of_hits
from selavpr_model.evaluation.predictions import Prediction
from selavpr_model.evaluation.trust import (
    ALONE,
    MATCHES,
    OVER_TIME,
    Series,
    SIMILARITY,
    Trust,
    trust,
)
from selavpr_model.poses import pose_matrix, rotation_angles
from selavpr_model.records import Place, State

VERDICTS = ('right', 'wrong', 'ambiguous', 'lost', 'outside', 'unknown')
"""right and wrong: LOCALIZED; ambiguous and lost: inside the map; outside: rightly not localized
outside the map; unknown: no true pose."""


@dataclass(frozen=True, slots=True)
class Score:
    """One judged frame. rights: is candidate i the same place, best first; errors in m and rad."""

    prediction: Prediction
    verdict: str
    in_map: bool
    rights: tuple[bool, ...] = ()
    position_error_m: float | None = None
    rotation_error_rad: float | None = None


class Judge:
    """Knows where the map's places are and what counts as the same place."""

    def __init__(self, places: Sequence[Place], base_camera: np.ndarray, config: ScoreConfig):
        """base_camera: (4, 4) T_base_camera of the replayed bag."""
        self.rows = {place.id: row for row, place in enumerate(places)}
        poses = [np.full((4, 4), np.nan) if p.pose is None else p.pose for p in places]
        self.poses = np.stack(poses) if poses else np.empty((0, 4, 4))
        self.base_camera = base_camera
        self.config = config

    def same_places(self, truth: np.ndarray) -> np.ndarray:
        """(4, 4) true pose -> (N,) bool: which places of the map it shows."""
        return self._same(self.poses, truth)

    def score(self, prediction: Prediction, truth: np.ndarray | None) -> Score:
        """Judge one frame; without a true pose nothing is judged."""
        if truth is None:
            return Score(prediction, 'unknown', in_map=False)
        same = self.same_places(truth)
        in_map = bool(same.any())
        rights = tuple(bool(same[self._row(i)]) for i in prediction.place_ids)
        if prediction.pose is None:
            return Score(prediction, _without_pose(prediction, in_map, rights), in_map, rights)
        pose = pose_matrix(prediction.pose[:3], prediction.pose[3:]) @ self.base_camera
        right = in_map and self._same(pose[None], truth)[0]
        distance = float(np.linalg.norm(pose[:3, 3] - truth[:3, 3]))
        angle = float(rotation_angles(pose[None, :3, :3], truth[:3, :3])[0])
        verdict = 'right' if right else 'wrong'
        return Score(prediction, verdict, in_map, rights, distance, angle)

    def _same(self, poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
        near = np.linalg.norm(poses[:, :3, 3] - truth[:3, 3], axis=1) <= self.config.position_m
        angles = rotation_angles(poses[:, :3, :3], truth[:3, :3])
        return near & (angles <= np.radians(self.config.heading_deg))

    def _row(self, place_id: int) -> int:
        if place_id not in self.rows:
            raise InputError(
                f'predictions: place {place_id} is not in the map; use the map they were made with'
            )
        return self.rows[place_id]


def _without_pose(prediction: Prediction, in_map: bool, rights: tuple[bool, ...]) -> str:
    if prediction.state == State.LOCALIZED:  # its place has no pose, so the place is judged
        return 'right' if rights[:1] == (True,) else 'wrong'
    if not in_map:
        return 'outside'
    return 'ambiguous' if prediction.state == State.AMBIGUOUS else 'lost'


ORDERS = ('global', 'reranked', 'answer')
"""By the global features; re-ranked, each frame alone; as answered, after the sequence."""


def first_rights(scores: Iterable[Score], order: str) -> np.ndarray:
    """(Q,) int64: the rank of each in-map frame's first right candidate, metrics.NEVER if none.

    order: one of ORDERS.
    """
    firsts = []
    for score in scores:
        if score.in_map:
            ranks = _ranks(score.prediction, order)
            right = ranks[np.asarray(score.rights, bool)]
            firsts.append(right.min() if len(right) else NEVER)
    return np.array(firsts, np.int64)


def _ranks(prediction: Prediction, order: str) -> np.ndarray:
    """The rank of each candidate in the given order, (k,) int64."""
    if order == 'global':
        return np.asarray(prediction.global_ranks, np.int64)
    if order == 'answer':
        return np.arange(len(prediction.global_ranks))
    return np.asarray(prediction.ranks, np.int64)


def trust_of(
    scores: Sequence[Score], min_precision: float = RecognizerConfig().min_precision
) -> Trust:
    """What cosine, matches and both confidences are worth; frames without truth are left out."""
    judged = [s for s in scores if s.verdict != 'unknown' and s.prediction.place_ids]
    inside = sum(s.in_map for s in scores)
    firsts = {name: [int(np.argmin(ranks(s.prediction))) for s in judged]
              for name, ranks in _BY.items()}  # fmt: skip
    values: dict[str, list[tuple[float, ...]]] = {
        SIMILARITY: [s.prediction.similarities for s in judged],
        MATCHES: [s.prediction.matches for s in judged],
    }
    series = {
        name: _series([v[i] for v, i in zip(values[name], firsts[name], strict=True)],
                      judged, firsts[name])
        for name in values
    }  # fmt: skip
    alone = [s.prediction.alone_confidence for s in judged]
    timed = [s.prediction.confidence for s in judged]
    series[ALONE] = _series(alone, judged, firsts[ALONE])
    if timed != alone:
        series[OVER_TIME] = _series(timed, judged, [0] * len(judged))
    return trust(series, inside, min_precision)


def _by_matches(prediction: Prediction) -> np.ndarray:
    """The rank of each candidate by its matches alone, (k,)."""
    ranks = np.asarray(prediction.global_ranks, np.int64)
    best_first = np.lexsort((ranks, -np.asarray(prediction.matches, np.int64)))
    return np.argsort(best_first)


_BY: dict[str, Callable[[Prediction], np.ndarray]] = {
    SIMILARITY: partial(_ranks, order='global'),
    MATCHES: _by_matches,
    ALONE: partial(_ranks, order='reranked'),
}
"""What puts first the place that a number is to judge."""


def _series(
    values: Sequence[float | None], scores: Sequence[Score], firsts: Sequence[int]
) -> Series:
    numbers = [np.nan if v is None else float(v) for v in values]
    right = [s.rights[i] for s, i in zip(scores, firsts, strict=True)]
    return Series(np.array(numbers, float), np.array(right, bool))


def summarise(scores: Sequence[Score], dropped: Mapping[str, int]) -> dict[str, object]:
    """The numbers of one replay; `dropped` counts frames that gave no answer, by reason."""
    worth = trust_of(scores)
    published = OVER_TIME if OVER_TIME in worth.curves else ALONE
    verdicts = Counter(score.verdict for score in scores)
    inside = sum(score.in_map for score in scores)
    outside = [s for s in scores if not s.in_map and s.verdict != 'unknown']
    lost = sum(s.prediction.state == State.LOST for s in outside)
    return {
        'frames': len(scores) + sum(dropped.values()),
        'processed': len(scores),
        'dropped_by_reason': dict(sorted(dropped.items())),
        'in_map_frames': inside,
        'outside_map_frames': len(outside),
        'frames_without_truth': verdicts['unknown'],
        **_recall_fields(scores),
        'states': {s.name: sum(x.prediction.state == s for x in scores) for s in State},
        'verdicts': {name: verdicts[name] for name in VERDICTS},
        'localized_fraction_in_map': _share(
            sum(s.in_map and s.prediction.state == State.LOCALIZED for s in scores), inside
        ),
        'right_fraction_in_map': _share(verdicts['right'], inside),
        'false_accepts': verdicts['wrong'],
        'false_accept_stamps': [s.prediction.stamp_ns for s in scores if s.verdict == 'wrong'],
        'lost_outside_map_fraction': _share(lost, len(outside)),
        'pose_error': _pose_errors(scores),
        'expected_calibration_error': worth.error(published),
        'trust': worth.to_dict(),
    }


def _recall_fields(scores: Sequence[Score]) -> dict[str, object]:
    fields: dict[str, dict[str, float | None]] = {}
    for order in ORDERS:
        recalls = recall_of_hits(first_rights(scores, order))
        fields[order] = {
            f'recall_at_{n}': None if np.isnan(percent) else round(percent, 2)
            for n, percent in recalls.items()
        }
    return {**fields['reranked'], **fields}


def _pose_errors(scores: Sequence[Score]) -> dict[str, float | None]:
    right = [s for s in scores if s.verdict == 'right']
    metres = [s.position_error_m for s in right if s.position_error_m is not None]
    angles = [s.rotation_error_rad for s in right if s.rotation_error_rad is not None]
    return {
        'median_m': round(float(np.median(metres)), 3) if metres else None,
        'median_deg': round(float(np.degrees(np.median(angles))), 3) if angles else None,
    }


def count_closures(
    closures: Iterable[tuple[int, int]], truth: Mapping[int, np.ndarray | None], judge: Judge
) -> dict[str, int]:
    """(stamp_ns, place id) of every published closure -> published, correct, wrong, unknown."""
    counts = Counter({'published': 0, 'correct': 0, 'wrong': 0, 'unknown': 0})
    for stamp, place_id in closures:
        pose = truth.get(stamp)
        same = None if pose is None else judge.same_places(pose)[judge.rows[place_id]]
        counts['published'] += 1
        counts['unknown' if same is None else 'correct' if same else 'wrong'] += 1
    return dict(counts)


def latency_ms(timings_ns: Iterable[Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """Stage -> p50 and p95 in milliseconds over all frames, and `total`."""
    stages: dict[str, list[float]] = {}
    for timing in timings_ns:
        for stage, nanoseconds in timing.items():
            stages.setdefault(stage, []).append(nanoseconds / 1e6)
        stages.setdefault('total', []).append(sum(timing.values()) / 1e6)
    stages['total'] = stages.pop('total', [])  # last in every table
    return {
        stage: {f'p{q}': round(float(np.percentile(values, q)), 2) for q in (50, 95)}
        for stage, values in stages.items()
        if values
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
