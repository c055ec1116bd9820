# SPDX-License-Identifier: MIT
"""What a preset keeps of the answers: the same queries, once with each storage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.benchmark.maps import Replayed, storage
from selavpr_model.benchmark.scale import Result, Scale
from selavpr_model.config import EvaluationConfig, RecognizerConfig
from selavpr_model.data.datasets import open_dataset, RetrievalSet
from selavpr_model.data.image_folder import read_rgb
from selavpr_model.evaluation import evaluate
from selavpr_model.evaluation.evaluate import Answer
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, Place
from selavpr_model.runtime.progress import progress_bar

SETS = ('sped', 'ietower')
CANDIDATES = 20  # as in most rows of the README: 100 in float32 take an hour


def validation_sets(data: Path, queries: int) -> dict[str, RetrievalSet]:
    """Validation images below a folder, where they are: name -> set of at most `queries`."""
    sets = {}
    if (data / 'sped').is_dir():
        sets['sped'] = open_dataset(data / 'sped', names=slice(400, None))
    if (data / 'ietower').is_dir():
        sets['ietower'] = open_dataset(data / 'ietower', split='val')
    return {name: thinned(one, queries) for name, one in sets.items()}


def thinned(data: RetrievalSet, queries: int) -> RetrievalSet:
    """Evenly spread queries; of the references their places and twice as many others."""
    if queries >= len(data.queries):
        return data
    chosen = data.queries.take(np.linspace(0, len(data.queries) - 1, queries).astype(int))
    kept = {int(row) for query in _near(data, chosen) for row in query}
    more = np.linspace(0, len(data.references) - 1, 2 * queries).astype(int)
    rows = np.array(sorted(kept | set(more.tolist())))
    return RetrievalSet(
        data.name, data.protocol, chosen, data.references.take(rows), data.radius,
        data.max_angle_deg, data.negative_radius,
    )  # fmt: skip


def _near(data: RetrievalSet, chosen: evaluate.ImageSet) -> Sequence[np.ndarray]:
    whole = RetrievalSet(data.name, data.protocol, chosen, data.references, data.radius)
    return whole.positives()


def retention(
    extractor: Extractor, data: Path, kinds: Sequence[str], scale: Scale, result: Result
) -> None:
    """Agreement of the first answer and change of R@1, against the preset `exact`.

    Recall in percentage points, of the set where it is lowest; agreement over all queries, and
    over those that exact storage answers right: else which wrong place comes first is chance.
    """
    same: dict[str, list[bool]] = {kind: [] for kind in kinds}
    right: list[bool] = []
    for name, one in validation_sets(data, scale.queries).items():
        by_kind = answers(one, extractor, kinds, RecognizerConfig(candidates=CANDIDATES))
        recalls = {kind: recall_at_1(one, found) for kind, found in by_kind.items()}
        right += answered_right(one, by_kind['exact'])
        for kind in kinds:
            same[kind] += agreement(by_kind[kind], by_kind['exact'])
            key = f'retention.{kind}.{name}'
            result.values[f'{key}.recall_at_1'] = recalls[kind]
            result.values[f'{key}.recall_at_1_delta'] = recalls[kind] - recalls['exact']
    for kind in kinds:
        if kind != 'exact' and same[kind]:
            _summarise(kind, same[kind], right, result)


def _summarise(kind: str, same: Sequence[bool], right: Sequence[bool], result: Result) -> None:
    key = f'retention.{kind}'
    deltas = [result.values.get(f'{key}.{name}.recall_at_1_delta', 0.0) for name in SETS]
    result.values[f'{key}.top1_agreement'] = 100 * float(np.mean(same))
    if any(right):
        where_right = np.array(same)[np.array(right)]
        result.values[f'{key}.top1_agreement_where_right'] = 100 * float(np.mean(where_right))
    result.values[f'{key}.recall_at_1_delta'] = min(deltas)


def answers(
    data: RetrievalSet,
    extractor: Extractor,
    kinds: Sequence[str],
    config: RecognizerConfig | None = None,
) -> dict[str, list[Answer]]:
    """As `selavpr evaluate` asks, with each preset; an image is extracted once for all."""
    maps = {kind: PlaceMap.for_extractor(extractor, storage(kind)) for kind in kinds}
    for row, file in enumerate(
        progress_bar(data.references.files, f'{data.name} map', unit='image')
    ):
        features = extractor.extract(read_rgb(file))
        for place_map in maps.values():
            place_map.add(features, Place(row, row * 10**9, file.name))
    by_kind: dict[str, list[Answer]] = {kind: [] for kind in kinds}
    for file in progress_bar(data.queries.files, f'{data.name} queries', unit='image'):
        image = read_rgb(file)
        source: Any = Replayed(extractor.identity, [extractor.extract(image)])
        for kind, place_map in maps.items():
            recognizer = PlaceRecognizer(source, place_map, config or RecognizerConfig())
            by_kind[kind].append(evaluate.ask(recognizer, Frame(0, image, name=file.name), 10))
    return by_kind


def agreement(ours: Sequence[Answer], exact: Sequence[Answer]) -> list[bool]:
    """Whether the first place of the re-ranked order is the same."""
    pairs = zip(ours, exact, strict=True)
    return [bool(a.reranked_rows[0] == b.reranked_rows[0]) for a, b in pairs]


def answered_right(data: RetrievalSet, answers: Sequence[Answer]) -> list[bool]:
    """Whether the first place of the re-ranked order is the query's."""
    pairs = zip(answers, data.positives(), strict=True)
    return [bool(a.reranked_rows[0] in positive) for a, positive in pairs]


def recall_at_1(data: RetrievalSet, answers: Sequence[Answer]) -> float:
    """Percent, of the re-ranked order, as `selavpr evaluate` scores it."""
    rows, scores = [a.reranked_rows for a in answers], [float(a.matches) for a in answers]
    return evaluate.score(rows, scores, data.positives(), EvaluationConfig()).recall[1]
