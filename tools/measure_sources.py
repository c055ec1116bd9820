# SPDX-License-Identifier: MIT
"""Recall@1 on sources that nothing was trained on: frozen, shipped, and without each of its parts.

Patch tokens and answers lie in --cache, so that a second call takes seconds. Sources come from
tools/sources.py and ../shared/data. Those of the training are measured with --trained, and are
never in the mean. essex3in1 is not asked here: this is what weights may be chosen by.

python tools/measure_sources.py --sources /tmp/sources --data ../shared/data
python tools/measure_sources.py --trained --ways frozen shipped 'no adapters'
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from source_features import (
    Described,
    files_of,
    global_features,
    local_codes,
    matcher_of,
    new_sets,
    TRAINED,
    trained_sets,
    Way,
    WAYS,
)

from selavpr_model.data.datasets import RetrievalSet
from selavpr_model.decision.ranking import scores
from selavpr_model.evaluation.trials import places_of
from selavpr_model.maps.index import VectorIndex
from selavpr_model.records import Candidate

CANDIDATES = 20
BOTH = 1.25  # weight of the similarity where it counts beside the matches
ORDERS = ('global feature', f'{CANDIDATES} re-ranked by matches', 'by similarity and matches')
DRAWS = 2000

Found = dict[str, dict[str, np.ndarray]]
"""source -> way -> (queries, 3) bool: is the first answer right, in each of ORDERS?"""


class Source:
    """One retrieval set, its features and the matches that were counted."""

    def __init__(self, data: RetrievalSet, cache: Path) -> None:
        self.data, self.cache = data, cache
        row_of = {file: row for row, file in enumerate(files_of(data))}
        self.mapped = [row_of[f] for f in data.references.files]
        self.asking = [row_of[f] for f in data.queries.files]
        self.places = places_of(data.references)
        self._found: dict[float, Described] = {}
        self._codes: dict[tuple[float, bool], list[np.ndarray]] = {}
        self._counts: dict[tuple[float, bool, int, int], int] = {}

    def hits(self, name: str) -> np.ndarray:
        """(queries, 3) bool of one way of WAYS."""
        way, count = WAYS[name], len(self.asking)
        out = self.cache / f'hits-{self.data.name}-{count}-{name}.npy'.replace(' ', '_')
        if not out.is_file():
            np.save(out, self._hits(way))
        return np.asarray(np.load(out))

    def _hits(self, way: Way) -> np.ndarray:
        every = global_features(self._described(way).tokens, way)
        index = VectorIndex(every.shape[1])
        index.add(every[self.mapped])
        found = []
        for asking, right in zip(self.asking, self.data.positives(), strict=True):
            rows, cosines = index.search(every[asking], CANDIDATES)
            counts = self.counts(way, asking, rows)
            candidates = [
                Candidate(self.places[r], int(r), float(c), rank, n)
                for rank, (r, c, n) in enumerate(zip(rows, cosines, counts, strict=True))
            ]
            both = scores(candidates, index.spread, BOTH)
            first = (0, int(np.argmax(counts)), int(np.argmax(both)))
            found.append([rows[f] in right for f in first])
        return np.array(found)

    def _described(self, way: Way) -> Described:
        if way.adapters not in self._found:
            self._found[way.adapters] = Described.of(self.data, way.adapters, self.cache)
        return self._found[way.adapters]

    def counts(self, way: Way, asking: int, rows: np.ndarray) -> list[int]:
        """Matches of a query with rows of the map."""
        kind = (way.adapters, way.head)
        if kind not in self._codes:
            self._codes[kind] = local_codes(self._described(way), way)
        codes = self._codes[kind]
        new = [int(r) for r in rows if (*kind, asking, int(r)) not in self._counts]
        views = [codes[self.mapped[r]] for r in new]
        counted = matcher_of(way).count(codes[asking], views) if new else ()
        for row, count in zip(new, counted, strict=True):
            self._counts[(*kind, asking, row)] = int(count)
        return [self._counts[(*kind, asking, int(r))] for r in rows]


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % of a mean in percent, by drawing queries again."""
    rows = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.percentile(100 * values[rows].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def gains(found: Found, sources: list[str], way: str, order: int) -> tuple[np.ndarray, str]:
    """R@1 against frozen on each source, in points; 95 % of their mean as text, queries drawn
    again within each source."""
    rng, drawn, each = np.random.default_rng(0), np.zeros(DRAWS), []
    for source in sources:
        gain = 100.0 * (found[source][way][:, order] - 1.0 * found[source]['frozen'][:, order])
        each.append(gain.mean())
        drawn += gain[rng.integers(0, len(gain), (DRAWS, len(gain)))].mean(axis=1)
    low, high = np.percentile(drawn / len(sources), (2.5, 97.5))
    return np.array(each), f'({low:+.1f} to {high:+.1f})'


def show(found: Found, order: int) -> None:
    """A row for each source and a column for each way; mean and worst source below."""
    ways = list(next(iter(found.values())))
    table = Table('source', 'queries', *ways, title=f'Recall@1 %, {ORDERS[order]}')
    for source, by_way in found.items():
        cells = []
        for way in ways:
            low, high = interval(by_way[way][:, order])
            cells.append(f'{100 * by_way[way][:, order].mean():.1f} ({low:.0f}-{high:.0f})')
        table.add_row(source, str(len(by_way[ways[0]])), *cells)
    new = [s for s in found if not s.startswith(TRAINED)]
    mean, gain, worst = ['mean of the new', ''], ['gain', ''], ['worst gain', '']
    for way in ways:
        each, spread = gains(found, new, way, order)
        mean.append(f'{100 * np.mean([found[s][way][:, order].mean() for s in new]):.1f}')
        gain.append(f'{each.mean():+.1f} {spread}')
        worst.append(f'{each.min():+.1f} {new[int(each.argmin())]}')
    for cells in (mean, gain, worst):
        table.add_row(*cells)
    Console(width=40 + 26 * len(ways)).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--sources', type=Path, default=Path('/tmp/sources'))
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--cache', type=Path, default=Path('/tmp/sources/tokens'))
    parser.add_argument('--ways', nargs='+', default=list(WAYS)[:5], choices=list(WAYS))
    parser.add_argument('--trained', action='store_true', help='the sources of the training, too')
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    ways = list(dict.fromkeys(('frozen', *args.ways)))
    sets = [*new_sets(args.sources, args.data), *(trained_sets(args.data) if args.trained else ())]
    found: Found = {}
    for data in sets:
        source = Source(data, args.cache)
        found[data.name] = {way: source.hits(way) for way in ways}
    for order in range(len(ORDERS)):
        show(found, order)


if __name__ == '__main__':
    main()
