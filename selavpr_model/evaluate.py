# SPDX-License-Identifier: MIT
"""Recall of a retrieval data set, through the same PlaceRecognizer.process as the node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING, TypeVar

import numpy as np
from tqdm import tqdm

from selavpr_model import metrics
from selavpr_model.config import EvaluationConfig, MapConfig, RecognizerConfig
from selavpr_model.datasets import ImageSet, RetrievalSet
from selavpr_model.metrics import PrecisionRecall
from selavpr_model.place_map import PlaceMap
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, Place, Recognition
from selavpr_model.sources import read_rgb

if TYPE_CHECKING:
    from rich.table import Table

    from selavpr_model.extractor import Extractor

T = TypeVar('T')


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came back for one query: rows of references, best first, and how sure the best was."""

    global_rows: np.ndarray  # (n,) int64
    reranked_rows: np.ndarray  # (n,) int64: the k that were re-ranked, then the rest of the search
    similarity: float
    matches: int
    duration_ns: int


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
        }


def evaluate(
    data: RetrievalSet,
    extractor: Extractor,
    storage: MapConfig | None = None,
    recognizer: RecognizerConfig | None = None,
    config: EvaluationConfig | None = None,
    progress: bool = True,
) -> Evaluation:
    """Map the references, ask every query, score both orders. InputError names a broken image."""
    storage, recognizer = storage or MapConfig(), recognizer or RecognizerConfig()
    config = config or EvaluationConfig()
    place_map = map_references(data.references, extractor, storage, progress)
    recognize = PlaceRecognizer(extractor, place_map, recognizer)
    positives = data.positives()
    files = _shown(data.queries.files, 'queries', progress)
    answers = [ask(recognize, Frame(0, read_rgb(f), name=f.name), config.depth) for f in files]
    return Evaluation(
        data,
        describe(recognize, config),
        sum(len(rows) == 0 for rows in positives),
        np.array([a.duration_ns for a in answers]) / 1e6,
        score(
            [a.global_rows for a in answers], [a.similarity for a in answers], positives, config
        ),
        score([a.reranked_rows for a in answers], [a.matches for a in answers], positives, config),
    )


def map_references(
    references: ImageSet, extractor: Extractor, config: MapConfig, progress: bool = False
) -> PlaceMap:
    """A map in memory; its row is the row of the reference."""
    place_map = PlaceMap.empty(extractor.identity, config)
    size = extractor.config.batch_size
    with tqdm(desc='map', unit='image', total=len(references), disable=not progress) as bar:
        for start in range(0, len(references), size):
            files = references.files[start : start + size]
            for file, features in zip(
                files, extractor.extract_batch([read_rgb(f) for f in files]), strict=True
            ):
                row = len(place_map)
                place_map.add(features, Place(row, row * 10**9, file.name))
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
    return Answer(
        rows,
        np.append([c.row for c in recognition.candidates], rows[len(found) :]),
        found[0].global_similarity,
        best.mutual_matches,
        duration_ns(recognition),
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
    """Recall of the orders, and the curve of trusting each query's best place by its score."""
    hits = metrics.first_hits(ranked, positives)
    intervals = {
        n: metrics.bootstrap_interval(hits, n, config.bootstrap_samples, config.bootstrap_seed)
        for n in metrics.RECALL_AT
    }
    possible = sum(len(rows) > 0 for rows in positives)
    curve = metrics.precision_recall(np.array(scores, np.float64), hits == 0, possible)
    return Ranking(metrics.recall_of_hits(hits), intervals, curve)


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


def table(result: Evaluation) -> Table:
    """What a person wants to read of a result, for rich to print."""
    from rich.table import Table

    values = result.to_dict()
    title = f'{values["data"]}: {values["queries"]} queries, {values["places"]} places'
    grid = Table(title=title, caption='\n'.join(_caption(values)), caption_justify='left')
    for column in ('order', *(f'R@{n} %' for n in metrics.RECALL_AT), 'AP', 'R@100P %'):
        grid.add_column(column, justify='left' if column == 'order' else 'right', no_wrap=True)
    grid.add_row('global', *_cells(result.global_))
    grid.add_row(f're-ranked {values["k"]}', *_cells(result.reranked))
    return grid


def _caption(values: dict[str, Any]) -> list[str]:
    missing, spent = values['queries_without_positives'], values['ms_per_query']['p50']
    lines = [
        values['protocol'] + (f'; {missing} queries without positives' if missing else ''),
        f'{values["weights"]} ({values["fingerprint"][:12]}), {values["local_features"]}',
        f'{values["device"]} {values["precision"]}, {spent:.0f} ms a query',
    ]
    return [*lines, values['note']] if values['note'] else lines


def _cells(ranking: Ranking) -> list[str]:
    recalls = []
    for n, value in ranking.recall.items():
        low, high = ranking.interval[n]
        recalls.append(f'{value:.1f} [dim]{low:.0f}-{high:.0f}[/]')
    full = 100 * ranking.curve.recall_at_full_precision
    return [*recalls, f'{ranking.curve.auc:.3f}', f'{full:.1f}']


def _shown(items: Sequence[T], name: str, progress: bool) -> Iterable[T]:
    return tqdm(items, desc=name, unit='image', disable=not progress)
