# SPDX-License-Identifier: MIT
"""A smaller map: the views that the others show nearly as well are left out.

Which views stay is chosen greedily for what each adds (facility location, Nemhauser et al. 1978,
An analysis of approximations for maximizing submodular set functions): the sum over all views of
how well the best one that stays shows them. What that costs is measured on the views that go:
each is asked like a frame, in the whole map without itself and in the small one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
import heapq
from typing import Any

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.confidence import with_confidence
from selavpr_model.decision.distinct import are_distinct, Viewpoints
from selavpr_model.errors import InputError
from selavpr_model.maps.building.calibrate import calibrate
from selavpr_model.maps.building.subset import selected
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.maps.storage.source import PRUNED
from selavpr_model.runtime.progress import progress_bar

ASKED = 300  # views that are asked in both maps, evenly spread


@dataclass(frozen=True, slots=True)
class Loss:
    """What views that were left out find, asked like frames. right: share of those whose best
    answer shows their place; sure: of those that are right with a confidence of min_precision."""

    asked: int
    right_before: float
    right_after: float
    sure_before: float
    sure_after: float


def prune(
    place_map: PlaceMap, keep: float, config: RecognizerConfig | None = None, progress: bool = True
) -> PlaceMap:
    """The map with the share `keep` of its places, thresholds measured anew; in memory only.

    Its source says what was left out and the Loss. InputError where nothing would be left.
    """
    config = config or RecognizerConfig()
    count = round(keep * len(place_map)) if 0.0 < keep <= 1.0 else 0
    if count < 1:
        raise InputError(
            f'--keep: expected a share above 0 and up to 1 that leaves a place, got {keep:g} of '
            f'{len(place_map)} places'
        )
    rows = kept_rows(place_map, count, config, progress)
    small = selected(place_map, rows)
    small.calibration = calibrate(small, config, progress=progress)
    small.configs = {**small.configs, 'recognizer': config.to_dict()}
    told: dict[str, Any] = {'keep': keep, 'places': len(small), 'places_before': len(place_map)}
    loss = measured(place_map, small, rows, config, progress)
    if loss is not None:
        told['loss'] = asdict(loss)
    small.source[PRUNED] = [*small.source.get(PRUNED, ()), told]
    return small


def kept_rows(
    place_map: PlaceMap, count: int, config: RecognizerConfig, progress: bool = False
) -> list[int]:
    """The rows of `count` places that together show all best, in ascending order."""
    shown = _shown(place_map, config, progress)
    best = np.zeros(len(place_map))  # how well each view is shown by those chosen
    # gains only fall while views are chosen: one whose old gain is the largest is computed anew
    heap = [(-float(sum(w for _, w in by)), row) for row, by in enumerate(shown)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while len(chosen) < count:
        _, row = heapq.heappop(heap)
        gain = sum(max(0.0, w - best[other]) for other, w in shown[row])
        if heap and gain < -heap[0][0] - 1e-12:
            heapq.heappush(heap, (-gain, row))
            continue
        chosen.append(row)
        for other, w in shown[row]:
            best[other] = max(best[other], w)
    return sorted(chosen)


def _shown(
    place_map: PlaceMap, config: RecognizerConfig, progress: bool
) -> list[list[tuple[int, float]]]:
    """For each row the rows of the same place that it shows, itself with 1, and how well: the
    root of the share of their matches, as roots of counts are what a confidence weighs."""
    matcher = place_map.matcher(config.score, quick=True)
    frames = [place_map.frame_of(place) for place in place_map.places]
    views = Viewpoints.of(place_map.places, frames)
    shown: list[list[tuple[int, float]]] = []
    for row in progress_bar(range(len(place_map)), 'views', progress, unit='place'):
        same = np.flatnonzero(~views.from_one(views.at(row), config))
        rows = np.unique(np.append(same, row))
        counts = matcher.count(place_map.codes([row])[0], place_map.codes(rows))
        whole = max(1, int(counts[rows == row][0]))
        shares = np.where(rows == row, 1.0, np.sqrt(np.minimum(counts / whole, 1.0)))
        shown.append(list(zip(rows.tolist(), shares.tolist(), strict=True)))
    return shown


def measured(
    place_map: PlaceMap, small: PlaceMap, kept: list[int], config: RecognizerConfig,
    progress: bool = False,
) -> Loss | None:  # fmt: skip
    """None where every view stays."""
    gone = sorted(set(range(len(place_map))) - set(kept))
    if not gone:
        return None
    some = sorted({gone[round(i)] for i in np.linspace(0, len(gone) - 1, min(len(gone), ASKED))})
    answers = np.array([
        (*_answer(place_map, place_map, row, config), *_answer(place_map, small, row, config))
        for row in progress_bar(some, 'loss', progress, unit='place')
    ])  # fmt: skip
    right_before, sure_before, right_after, sure_after = answers.mean(axis=0).round(4).tolist()
    return Loss(len(some), right_before, right_after, sure_before, sure_after)


def _answer(
    whole: PlaceMap, asked: PlaceMap, row: int, config: RecognizerConfig
) -> tuple[bool, bool]:
    """Whether the best answer of `asked` for a row of `whole` is right; and sure besides.

    Other frames of poses say nothing about it, so they are not asked.
    """
    place = whole.places[row]
    rows = np.array([
        asked.frame_of(other) == whole.frame_of(place) and other.id != place.id
        for other in asked.places
    ])  # fmt: skip
    matcher = asked.matcher(config.score, quick=True)
    answer = ranked(
        asked, Query.of_row(whole, row), matcher, config, rows,
        frame_of=lambda r: asked.frame_of(asked.places[r]),
    )  # fmt: skip
    if not answer.candidates:
        return False, False
    right = not are_distinct(place, answer.candidates[0].place, config)
    if asked.calibration is None or not right:
        return right, False
    confidence = with_confidence(answer, asked.calibration.confidence).candidates[0].confidence
    return right, confidence is not None and confidence >= config.min_precision
