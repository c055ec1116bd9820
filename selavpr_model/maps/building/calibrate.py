# SPDX-License-Identifier: MIT
"""Thresholds a map measures on its own keyframes when it is built.

Each keyframe is asked twice: once with everything near it hidden, as if the robot stood outside
the map (what a wrong answer scores), and once with only itself hidden (how far off a right
answer's pose is). The confidence is told what wrong answers look like with more hidden: down the
same street, the next keyframe that is another place still looks much like a right answer. No
number here is a constant of some data set.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass
import logging
import math

import numpy as np
from selavpr_model.runtime.progress import progress_bar

from selavpr_model.decision.confidence import Confidence, FEATURES, features_of
from selavpr_model.decision.confidence_fit import adapted, shipped
from selavpr_model.decision.calibration import Calibration
from selavpr_model.config import CalibrationConfig, RecognizerConfig
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.decision.distinct import are_distinct, distinct_from
from selavpr_model.poses import rotation_angles
from selavpr_model.decision.ranking import match_ratio, rerank
from selavpr_model.records import Candidate, Place


log = logging.getLogger(__name__)

MIN_TRIALS = 5  # fewer queries from outside the map say nothing about its wrong answers
AROUND = 3.0  # radii of a place around a keyframe in which nothing is a wrong answer for it


def calibrate(
    place_map: PlaceMap,
    config: RecognizerConfig | None = None,
    how: CalibrationConfig | None = None,
    progress: bool = False,
) -> Calibration | None:
    """Measure the thresholds of a map; None when it is too small for it.

    A map whose keyframes all show one place has no wrong answers to measure.
    """
    config, how = config or RecognizerConfig(), how or CalibrationConfig()
    rows = _spread(len(place_map), how.samples)
    bar = progress_bar(rows, 'thresholds', progress, unit='place')
    answers = {row: _ask(place_map, row, config) for row in bar}
    outside = [a.hidden for a in answers.values() if a.hidden]
    if len(outside) < MIN_TRIALS:
        return None
    inside = {row: a.shown[0].place for row, a in answers.items() if a.shown}
    position, rotation = _pose_error(place_map, inside, config)
    return Calibration(
        min_similarity=_quantile(
            [t[0].global_similarity for t in outside], how.similarity_quantile
        ),
        min_matches=math.ceil(
            _quantile([t[0].mutual_matches for t in outside], how.matches_quantile)
        ),
        min_match_ratio=_quantile([match_ratio(t, config) for t in outside], how.ratio_quantile),
        position_sigma_m=position,
        rotation_sigma_rad=rotation,
        samples=len(outside),
        confidence=_confidence(list(answers.values())),
    )


def _confidence(answers: list[_Answer]) -> Confidence:
    """The shipped model, corrected by all answers inside and outside the map."""
    return adapted(shipped(), *_joined(answers))


def _joined(answers: list[_Answer]) -> tuple[np.ndarray, np.ndarray]:
    trials = [trial for answer in answers for trial in answer.trials]
    features = np.array([t[0] for t in trials]).reshape(-1, len(FEATURES))
    return features, np.array([t[1] for t in trials], bool)


def keyframe_trials(
    place_map: PlaceMap, config: RecognizerConfig, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, F) of the best answers for keyframes, asked as in calibrate; (n,) right."""
    return _joined([_ask(place_map, row, config) for row in _spread(len(place_map), samples)])


def _spread(count: int, samples: int) -> list[int]:
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, samples))})


def _quantile(values: list[float] | list[int], q: float) -> float:
    """Infinite ratios (no rival at all) count as their largest finite one."""
    largest = max((v for v in values if math.isfinite(v)), default=1.0)
    return round(float(np.quantile(np.minimum(values, largest), q)), 6)


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """For one keyframe, re-ranked: shown without itself, hidden without its surroundings; and
    what a wrong and a right answer looked like, with whether it was right.
    """

    shown: list[Candidate]
    hidden: list[Candidate]
    trials: list[tuple[np.ndarray, bool]]


def _ask(place_map: PlaceMap, row: int, config: RecognizerConfig) -> _Answer:
    """Among the places of its own frame: of the others nobody knows which show the same."""
    me, places = place_map.places[row], place_map.places
    rows, similarities = place_map.search(place_map.global_(row), len(place_map))
    others = [
        Candidate(places[r], int(r), float(s), rank)
        for rank, (r, s) in enumerate(zip(rows, similarities, strict=True))
        if r != row
    ]
    if place_map.unaligned_sessions:
        frame = place_map.frame_of(me)
        others = [c for c in others if place_map.frame_of(c.place) == frame]
    shown = others[: config.candidates]
    hidden = _apart(me, others, config)
    away = _apart(me, others, _wider(config)) or hidden  # a small map has nothing far away
    view, matcher = place_map.codes([row])[0], place_map.matcher(config.score, quick=True)
    inside, outside, wrong = (
        rerank(view, place_map.codes([c.row for c in part]), part, matcher, config.ties)
        for part in (shown, hidden, away)  # each by itself, as candidates are when it counts
    )
    trials = [(features_of(wrong, config, 1)[0], False)] if wrong else []
    if inside and not are_distinct(me, inside[0].place, config):
        trials.append((features_of(inside, config, 1)[0], True))
    return _Answer(inside, outside, trials)


def _apart(me: Place, others: list[Candidate], config: RecognizerConfig) -> list[Candidate]:
    """The best that show other places."""
    apart = distinct_from(me, [c.place for c in others], config)
    return [c for c, far in zip(others, apart, strict=True) if far][: config.candidates]


def _wider(config: RecognizerConfig) -> RecognizerConfig:
    """Where places are different only from AROUND times as far on."""
    return dataclasses.replace(
        config,
        distinct_radius_m=AROUND * config.distinct_radius_m,
        distinct_time_s=AROUND * config.distinct_time_s,
    )


def _pose_error(
    place_map: PlaceMap, inside: Mapping[int, Place], config: RecognizerConfig
) -> tuple[float, float]:
    """Root mean square per axis of position (m) and rotation (rad) of the right answers."""
    positions, rotations = [], []
    for row, its in inside.items():
        mine = place_map.places[row]
        if mine.pose is None or its.pose is None or are_distinct(mine, its, config):
            continue
        positions.append(np.sum((mine.pose[:3, 3] - its.pose[:3, 3]) ** 2))
        angle = rotation_angles(mine.pose[None, :3, :3], its.pose[:3, :3])[0]
        rotations.append(float(angle) ** 2)
    if not positions:
        return 0.0, 0.0
    return float(np.sqrt(np.mean(positions) / 3)), float(np.sqrt(np.mean(rotations) / 3))
