# SPDX-License-Identifier: MIT
"""Recall@1 by similarity, by matches and by both; and how often 20 candidates do not decide.

Each set is a source of its own; the weight of the similarity is chosen by leaving one out at a
time. Maps of the features lie in --cache, so a second call takes seconds for each set.

python tools/measure_ranking.py --data ../shared/data
python tools/measure_ranking.py --data ../shared/data --only essex3in1
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from confidence_sets import campus, features, loop, QUERIES, some, street
import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from selavpr_model.config import ExtractorConfig, RecognizerConfig
from selavpr_model.data.datasets import open_dataset, RetrievalSet
from selavpr_model.decision.ranking import ordered, Ranked
from selavpr_model.evaluation.trials import places_of, same_place
from selavpr_model.features.extractor import load_extractor
from selavpr_model.maps.building.self_view import mask_of
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query, ranked

BOTH = 1.25  # weight where similarity and matches count
WEIGHTS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)


def sets(data: Path, cache: Path) -> Iterator[tuple[str, RetrievalSet]]:
    """Name of the source and set; essex3in1 is asked by name only: nothing is chosen on it."""
    yield 'sped train', open_dataset(data / 'sped', names=slice(None, 400))
    yield 'sped val', open_dataset(data / 'sped', names=slice(400, None))
    yield 'ietower train', some(open_dataset(data / 'ietower', split='train'))
    yield 'ietower val', open_dataset(data / 'ietower', split='val')
    for circuit in sorted((data / 'circuits').iterdir()):
        yield f'circuit {circuit.name}', open_dataset(circuit)
    yield 'rtabmap_loop', loop(data / 'rtabmap_loop')
    yield 'campus_gray', campus(data / 'campus_gray')
    yield 'demo_summer', street(cache / 'summer')
    yield 'essex3in1', open_dataset(data / 'essex3in1')


@dataclass(frozen=True, eq=False)
class Recall:
    """Percent of the queries. by_weight: of the similarity; few: 20 first; more: share of queries
    for which all were compared."""

    queries: int
    similarity: float
    by_weight: dict[float, float]
    few: float
    more: float


def measured(data: RetrievalSet, stored: PlaceMap) -> Recall:
    """The references as a map, asked with every query."""
    config = same_place(data, RecognizerConfig(similarity_weight=BOTH))
    every = replace(config, first_candidates=config.candidates)
    place_map = of_references(data, stored, config)
    spread, matcher = place_map.index.spread, place_map.matcher(config.score)
    at = {place.name: row for row, place in enumerate(stored.places)}
    hits = []
    for file, right in zip(tqdm(data.queries.files, leave=False), data.positives(), strict=True):
        query = Query.of_row(stored, at[str(file)])
        found, few = (ranked(place_map, query, matcher, c) for c in (every, config))
        by_similarity = min(found.candidates, key=lambda c: c.global_rank).row
        rows = [first(found, spread, replace(every, similarity_weight=w)) for w in WEIGHTS]
        best = few.candidates[0].row
        more = len(few.candidates) > config.first_candidates
        hits.append([*np.isin([by_similarity, *rows, best], right), more])
    shares = 100 * np.mean(hits, axis=0)
    by_weight = dict(zip(WEIGHTS, shares[1:-2].tolist(), strict=True))
    return Recall(len(hits), shares[0], by_weight, shares[-2], shares[-1])


def of_references(data: RetrievalSet, stored: PlaceMap, config: RecognizerConfig) -> PlaceMap:
    """Of features that are there already; the robot is left out, as in a map that was built."""
    at = {place.name: row for row, place in enumerate(stored.places)}
    place_map = PlaceMap.empty(stored.identity, stored.config, stored.head)
    for file, place in zip(data.references.files, places_of(data.references), strict=True):
        place_map.copy(stored, at[str(file)], place)
    place_map.robot_mask = mask_of(place_map, config)
    return place_map


def first(found: Ranked, spread: float, config: RecognizerConfig) -> int:
    """The row of the best place."""
    by_rank = sorted(found.candidates, key=lambda c: c.global_rank)
    return ordered(by_rank, spread, config)[0].row


def left_out(found: dict[str, Recall], source: str) -> float:
    """The weight with the best worst case, then mean, on all sets of other sources."""

    def gains(weight: float) -> list[float]:
        others = [r for name, r in found.items() if name.split()[0] != source]
        return [r.by_weight[weight] - max(r.similarity, r.by_weight[0.0]) for r in others]

    return max(WEIGHTS, key=lambda w: (round(np.mean(gains(w)), 6), min(gains(w))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--cache', type=Path, default=Path('/tmp/confidence'))
    parser.add_argument('--only', default='', help='a set; else all but essex3in1')
    args = parser.parse_args()
    extractor = load_extractor(ExtractorConfig())
    cache = args.cache / extractor.identity.fingerprint[:12]
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, data in sets(args.data, cache):
        if name == args.only or (not args.only and name != 'essex3in1'):
            folder = f'ranking-{name.replace(" ", "-")}'
            found[name] = measured(data, features(folder, data, extractor, cache))
    usual = BOTH
    table = Table(title=f'Recall@1 %; at most {QUERIES} queries of ietower train')
    numbers = ('similarity', 'matches', f'both ({usual:g})', 'source left out', '20 first')
    for title in ('set', 'queries', *numbers, 'more %'):
        table.add_column(title)
    for name, r in found.items():
        weight = left_out(found, name.split()[0]) if len(found) > 1 else usual
        cells = (r.similarity, r.by_weight[0.0], r.by_weight[usual], r.by_weight[weight])
        table.add_row(
            name, str(r.queries), *(f'{c:.1f}' for c in cells[:3]),
            f'{cells[3]:.1f} ({weight:g})', f'{r.few:.1f}', f'{r.more:.0f}',
        )  # fmt: skip
    Console(width=120).print(table)


if __name__ == '__main__':
    main()
