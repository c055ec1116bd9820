# SPDX-License-Identifier: MIT
"""Thresholds a map measures on its own keyframes when it is built.

Each keyframe is looked for three times, with a part of the map hidden. Without itself, its answer
tells how far off the pose of a right answer is. Without everything near it, as if the robot stood
outside the map, its answer tells what a wrong answer scores. With more hidden, it tells the
confidence what wrong answers look like: down the same street, the next keyframe that is another
place still looks much like a right answer. No number here is a constant of some data set.

What several sessions have seen is asked as each of them saw it: another look of a place is hidden
where the session of the keyframe has one. Else a map would seem the more mistakable the more looks
its places have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import logging
import math

import numpy as np

from selavpr_model.config import CalibrationConfig, RecognizerConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.decision.confidence import Confidence, FEATURES, features_of
from selavpr_model.decision.confidence_fit import adapted, shipped
from selavpr_model.decision.distinct import are_distinct, Viewpoints, wider
from selavpr_model.decision.ranking import match_ratio, Ranked
from selavpr_model.maps.building.looks import looks_in
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.matching.matcher import Matcher
from selavpr_model.poses import rotation_angles
from selavpr_model.records import Place
from selavpr_model.runtime.progress import progress_bar

log = logging.getLogger(__name__)

MIN_TRIALS = 5  # fewer queries from outside the map say nothing about its wrong answers


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
    trial = _Trial(place_map, config)
    answers = {row: trial.ask(row) for row in bar}
    outside = [a.hidden for a in answers.values() if a.hidden.candidates]
    if len(outside) < MIN_TRIALS:
        return None
    inside = {row: a.shown.candidates[0].place for row, a in answers.items() if a.shown.candidates}
    position, rotation = _pose_error(place_map, inside, config)
    best = [answer.candidates[0] for answer in outside]
    return Calibration(
        min_similarity=_quantile([c.global_similarity for c in best], how.similarity_quantile),
        min_matches=math.ceil(_quantile([c.mutual_matches for c in best], how.matches_quantile)),
        min_match_ratio=_quantile([match_ratio(a) for a in outside], how.ratio_quantile),
        position_sigma_m=position,
        rotation_sigma_rad=rotation,
        samples=len(outside),
        confidence=_confidence(list(answers.values())),
    )


def _confidence(answers: list[_Answer]) -> Confidence:
    """The shipped model, corrected by all answers inside and outside the map."""
    return adapted(shipped(), *_trials(answers))


def _trials(answers: list[_Answer]) -> tuple[np.ndarray, np.ndarray]:
    """(n, F) features and (n,) bool, whether right, of all answers together."""
    trials = [trial for answer in answers for trial in answer.trials]
    features = np.array([t[0] for t in trials]).reshape(-1, len(FEATURES))
    return features, np.array([t[1] for t in trials], bool)


def keyframe_trials(
    place_map: PlaceMap, config: RecognizerConfig, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, F) of the best answers for keyframes, as in calibrate; (n,) bool, right."""
    trial = _Trial(place_map, config)
    return _trials([trial.ask(row) for row in _spread(len(place_map), samples)])


def _spread(count: int, samples: int) -> list[int]:
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, samples))})


def _quantile(values: list[float] | list[int], q: float) -> float:
    """Infinite ratios (no rival at all) count as their largest finite one."""
    largest = max((v for v in values if math.isfinite(v)), default=1.0)
    return round(float(np.quantile(np.minimum(values, largest), q)), 6)


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """For one keyframe. shown: without itself; hidden: without its surroundings; trials: what a
    wrong and a right answer looked like, with whether it was right.
    """

    shown: Ranked
    hidden: Ranked
    trials: list[tuple[np.ndarray, bool]]


class _Trial:
    """Keyframes as queries, with a part of the map hidden from them."""

    def __init__(self, place_map: PlaceMap, config: RecognizerConfig) -> None:
        self._map, self._config = place_map, config
        self._matcher: Matcher = place_map.matcher(config.score, quick=True)
        self._frames = np.array([place_map.frame_of(place) for place in place_map.places], str)
        self._viewpoints = Viewpoints.of(place_map.places)
        self._session = np.unique(self._viewpoints.sessions, return_inverse=True)[1]
        self._looks = looks_in(place_map, config.distinct_radius_m)

    def ask(self, row: int) -> _Answer:
        """Among the places of its own frame: of the others nobody knows which show the same.

        Of a place that its own session shows, other sessions' looks are left out.
        """
        others = self._frames == self._frames[row]
        others[row] = False
        if self._looks.size:
            others &= self._looks[:, self._session[row]] < 0
        query, apart = Query.of_row(self._map, row), self._apart(row, self._config)
        shown, hidden = self._ranked(query, others), self._ranked(query, others & apart)
        away = others & self._apart(row, wider(self._config))
        wrong = self._ranked(query, away) if away.any() else hidden  # a small map has nothing far
        trials = [(features_of(wrong, 1)[0], False)] if wrong.candidates else []
        if shown.candidates and not apart[shown.candidates[0].row]:
            trials.append((features_of(shown, 1)[0], True))
        return _Answer(shown, hidden, trials)

    def _ranked(self, query: Query, rows: np.ndarray) -> Ranked:
        frame_of = self._frames.__getitem__
        return ranked(self._map, query, self._matcher, self._config, rows, frame_of=frame_of)

    def _apart(self, row: int, config: RecognizerConfig) -> np.ndarray:
        """(N,) bool, the rows that show another place."""
        return self._viewpoints.from_one(self._viewpoints.at(row), config)


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
