# SPDX-License-Identifier: MIT
"""Recall of a retrieval data set, through the same PlaceRecognizer.process as the node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from selavpr_model.config import EvaluationConfig, MapConfig, RecognizerConfig, TemporalConfig
from selavpr_model.data.datasets import ImageSet, RetrievalSet
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import ConfigError
from selavpr_model.evaluation import metrics
from selavpr_model.evaluation.metrics import PrecisionRecall
from selavpr_model.evaluation.trials import is_drive, places_of, poses_of, same_place, take_away
from selavpr_model.evaluation.trust import (
    ALONE,
    MATCHES,
    OVER_TIME,
    Series,
    SIMILARITY,
    Trust,
    trust,
)
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.building.calibrate import calibrate
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, Recognition
from selavpr_model.runtime.progress import progress_bar


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came back for one query: rows of references, best first, and how sure the best was."""

    global_rows: np.ndarray  # (n,) int64
    reranked_rows: np.ndarray  # (n,) int64: the k that were re-ranked, then the rest of the search
    similarity: float
    matches: int
    duration_ns: int
    most_matches: tuple[int, int]  # of any candidate, and its row
    confidence: float | None = None
    over_time: float | None = None  # of the place of `believed`
    believed: int | None = None  # row of the first place after the sequence


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Scores of one way to order the references. recall: N -> percent; interval: N -> 95 %."""

    recall: dict[int, float]
    interval: dict[int, tuple[float, float]]
    curve: PrecisionRecall

    def recalls(self) -> dict[str, float]:
        return {f'recall_at_{n}': value for n, value in self.recall.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result and all it depends on; `to_dict` is the JSON."""

    data: RetrievalSet
    description: dict[str, Any]
    queries_without_positives: int
    milliseconds: np.ndarray
    global_: Ranking
    reranked: Ranking
    trust: Trust | None = None
    orders: Sequence[np.ndarray] = ()  # for each query the rows of references, best first

    def to_dict(self) -> dict[str, Any]:
        p50, p95 = np.percentile(self.milliseconds, (50, 95))
        rankings = {'global': self.global_, 'reranked': self.reranked}
        return {
            'data': self.data.name,
            'protocol': self.data.protocol,
            'queries': len(self.data.queries),
            'places': len(self.data.references),
            'queries_without_positives': self.queries_without_positives,
            **self.description,
            'ms_per_query': {'p50': round(float(p50), 2), 'p95': round(float(p95), 2)},
            **{name: ranking.recalls() for name, ranking in rankings.items()},
            'interval_95': {
                name: {f'recall_at_{n}': list(v) for n, v in ranking.interval.items()}
                for name, ranking in rankings.items()
            },
            'precision_recall': {
                name: {
                    'average_precision': ranking.curve.auc,
                    'recall_at_full_precision': ranking.curve.recall_at_full_precision,
                }
                for name, ranking in rankings.items()
            },
            **({} if self.trust is None else {'trust': self.trust.to_dict()}),
        }


def evaluate(
    data: RetrievalSet,
    extractor: Extractor,
    storage: MapConfig | None = None,
    recognizer: RecognizerConfig | None = None,
    config: EvaluationConfig | None = None,
    progress: bool = True,
) -> Evaluation:
    """Map the references, ask every query, score both orders. InputError names a broken image.

    With `config.absent` or `config.sequence` the map is calibrated like one that was built, and
    what its confidence is worth is scored, too.
    """
    storage, recognizer = storage or MapConfig(), recognizer or RecognizerConfig()
    config = config or EvaluationConfig()
    if config.sequence:
        _require_drive(data)
    if config.absent > 0:
        data = take_away(data, config.absent, config.absent_seed)
    place_map = map_references(data.references, extractor, storage, progress)
    if config.absent > 0 or config.sequence:
        recognizer = same_place(data, recognizer)
        place_map.calibration = calibrate(place_map, recognizer, progress=progress)
    asking = _Asking(data, extractor, place_map, recognizer, config)
    positives = data.positives()
    rows = progress_bar(range(len(data.queries)), 'queries', progress, unit='image')
    answers = [asking.ask(row) for row in rows]
    return Evaluation(
        data,
        describe(asking.alone, config),
        sum(len(rows) == 0 for rows in positives),
        np.array([a.duration_ns for a in answers]) / 1e6,
        score(
            [a.global_rows for a in answers], [a.similarity for a in answers], positives, config
        ),
        score([a.reranked_rows for a in answers], [a.matches for a in answers], positives, config),
        _trust(answers, positives, recognizer),
        [a.reranked_rows for a in answers],
    )


def _require_drive(data: RetrievalSet) -> None:
    if not is_drive(data.queries):
        raise ConfigError(
            f'{data.name}: sequence: expected queries with poses, one drive after the other, got '
            'none; leave the option out'
        )


class _Asking:
    """All queries in order; where they are a drive, also as one, with their poses as odometry."""

    def __init__(
        self,
        data: RetrievalSet,
        extractor: Extractor,
        place_map: PlaceMap,
        recognizer: RecognizerConfig,
        config: EvaluationConfig,
    ) -> None:
        self.data, self.config = data, config
        self.alone = PlaceRecognizer(extractor, place_map, recognizer)
        self.moving, self.poses = None, poses_of(data.queries)
        if config.sequence:
            self.moving = PlaceRecognizer(extractor, place_map, recognizer, TemporalConfig())

    def ask(self, query: int) -> Answer:
        file = self.data.queries.files[query]
        frame = Frame(query * 10**9, read_rgb(file), name=file.name)
        answer = ask(self.alone, frame, self.config.depth)
        if self.moving is None or self.poses is None:
            return answer
        runs = self.data.queries.runs
        if query and runs is not None and runs[query] != runs[query - 1]:
            self.moving.reset()
        found = self.moving.process(replace(frame, odom=self.poses[query])).candidates[0]
        return replace(answer, over_time=found.confidence, believed=found.row)


def _trust(
    answers: Sequence[Answer], positives: Sequence[np.ndarray], config: RecognizerConfig
) -> Trust | None:
    def series(scores: Sequence[float | None], best: Sequence[int | None]) -> Series:
        right = [row in rows for row, rows in zip(best, positives, strict=True)]
        return Series(np.array(scores, float), np.array(right, bool))

    nearest = [int(a.global_rows[0]) for a in answers]
    first = [int(a.reranked_rows[0]) for a in answers]
    worth = trust(
        {
            SIMILARITY: series([a.similarity for a in answers], nearest),
            MATCHES: series(*zip(*(a.most_matches for a in answers), strict=True)),
            ALONE: series([a.confidence for a in answers], first),
            OVER_TIME: series([a.over_time for a in answers], [a.believed for a in answers]),
        },
        sum(len(rows) > 0 for rows in positives),
        config.min_precision,
    )
    return worth if worth.diagrams else None


def map_references(
    references: ImageSet, extractor: Extractor, config: MapConfig, progress: bool = False
) -> PlaceMap:
    """A map in memory; its row is the row of the reference."""
    place_map = PlaceMap.for_extractor(extractor, config)
    size, places = extractor.config.batch_size, places_of(references)
    with progress_bar(None, 'map', progress, unit='image', total=len(references)) as bar:
        for start in range(0, len(references), size):
            files = references.files[start : start + size]
            batch = extractor.extract_batch([read_rgb(f) for f in files])
            for place, features in zip(places[start : start + size], batch, strict=True):
                place_map.add(features, place)
            bar.update(len(files))
    return place_map


def ask(recognizer: PlaceRecognizer, frame: Frame, depth: int) -> Answer:
    """Both orders for one query, each at least `depth` long where the map has as many places."""
    recognition = recognizer.process(frame)
    found = sorted(recognition.candidates, key=lambda c: c.global_rank)
    rows = np.array([c.row for c in found], np.int64)
    if recognizer.config.candidates < depth:  # too few were retrieved to score them
        features = recognizer.extractor.extract(frame.image)
        rows = recognizer.place_map.search(features.global_, depth)[0]
    best = recognition.candidates[0]
    most = max(found, key=lambda c: c.mutual_matches)  # the first of equals
    return Answer(
        rows,
        np.append([c.row for c in recognition.candidates], rows[len(found) :]),
        found[0].global_similarity,
        best.mutual_matches,
        duration_ns(recognition),
        (most.mutual_matches, most.row),
        recognition.alone_confidence,
    )


def duration_ns(recognition: Recognition) -> int:
    """All stages together, without reading the image."""
    return sum(recognition.timings_ns.values())


def score(
    ranked: Sequence[np.ndarray],
    scores: Sequence[float],
    positives: Sequence[np.ndarray],
    config: EvaluationConfig,
) -> Ranking:
    """Recall of the orders, and the curve of trusting each query's best place by its score.

    Recall leaves out the queries whose place was taken away: there is nothing to find. The curve
    does not, as nothing should be trusted there.
    """
    hits = metrics.first_hits(ranked, positives)
    possible = np.array([len(rows) > 0 for rows in positives], bool)
    curve = metrics.precision_recall(np.array(scores, np.float64), hits == 0, int(possible.sum()))
    counted = hits[possible] if config.absent > 0 and possible.any() else hits
    intervals = {
        n: metrics.bootstrap_interval(counted, n, config.bootstrap_samples, config.bootstrap_seed)
        for n in metrics.RECALL_AT
    }
    return Ranking(metrics.recall_of_hits(counted), intervals, curve)


def describe(recognizer: PlaceRecognizer, config: EvaluationConfig) -> dict[str, Any]:
    """The model, the machine and the settings of a result."""
    extractor, storage = recognizer.extractor, recognizer.place_map.config
    identity = extractor.identity
    model = identity.description.get('model')
    head = model.get('local_head') if isinstance(model, dict) else None
    h, w, channels = identity.local_shape
    return {
        'weights': identity.weights,
        'fingerprint': identity.fingerprint,
        'note': identity.note,
        'local_features': f'{head or "local"} {h}x{w}x{channels}, {storage.local_dtype}',
        'k': recognizer.config.candidates,
        'score': recognizer.config.score,
        'device': extractor.device,
        'engine': extractor.engine,
        'precision': extractor.precision,
        'config': {
            'extractor': extractor.config.to_dict(),
            'model': model,
            'recognizer': recognizer.config.to_dict(),
            'storage': storage.to_dict(),
            'evaluation': config.to_dict(),
        },
    }
