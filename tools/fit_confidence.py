# SPDX-License-Identifier: MIT
"""Fit the shipped coefficients of selavpr_model.confidence, on training data alone; resumable.

Features and trials lie in --cache by the model's fingerprint, so that a second call goes on or
takes seconds. Towns come from tools/render_town.py, a folder each with summer/ and winter/.

python tools/fit_confidence.py --data ../shared/data --towns /tmp/town/train --write
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import logit
from tqdm import tqdm

from selavpr_model import confidence
from selavpr_model.calibration import keyframe_trials
from selavpr_model.confidence import Confidence, features_of, JUDGED, Layouts
from selavpr_model.confidence_fit import adapted, fit_logistic
from selavpr_model.config import (
    ExtractorConfig,
    KeyframeConfig,
    MapConfig,
    RecognizerConfig,
    TemporalConfig,
)
from selavpr_model.datasets import open_dataset, RetrievalSet
from selavpr_model.decision import accepts
from selavpr_model.extractor import Extractor, load_extractor
from selavpr_model.map_builder import build_map
from selavpr_model.place_map import PlaceMap
from selavpr_model.ranking import rerank
from selavpr_model.recognizer import believe
from selavpr_model.records import Candidate, Frame
from selavpr_model.reliability import calibration_error, precision_at, reliability
from selavpr_model.sources import read_rgb
from selavpr_model.trials import is_drive, places_of, poses_of, same_place, take_away
from selavpr_model.trust import ALONE, MATCHES, Series, SIMILARITY, trust

TOWN_M = 5.0
ABSENT, SEED = 0.3, 1
ONE_SOURCE = 200.0  # trials that each source counts as, however many it has
KEYFRAMES = 40  # of each map, asked as when it is built


@dataclass(frozen=True)
class Pictures:
    """Files as frames without poses, for build_map."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Frame:
        if not 0 <= i < len(self.files):
            raise IndexError(i)
        return Frame(i * 10**9, read_rgb(self.files[i]), name=str(self.files[i]))


def sources(data: Path, towns: Path) -> Iterator[tuple[str, RetrievalSet]]:
    """Training data alone: parts of it that a CPU extracts in minutes."""
    yield 'sped', open_dataset(data / 'sped', names=slice(None, 400), training=True)
    held_in = open_dataset(data / 'ietower', split='train').protocol
    floors = held_in.split('floors ')[1].split(', queries')[0].split(', ')
    yield 'ietower', open_dataset(data / 'ietower', floors=floors[::3], split='train')
    for circuit in sorted((data / 'circuits').iterdir()):
        yield circuit.name, open_dataset(circuit)
    for town in sorted(towns.glob('w2?')):
        yield town.name, in_winter(open_dataset(town, TOWN_M))


def held_out(data: Path) -> Iterator[tuple[str, RetrievalSet]]:
    """Looked at, never fitted."""
    yield 'sped_val', open_dataset(data / 'sped', names=slice(400, None))
    yield 'ietower_val', open_dataset(data / 'ietower', split='val')


def in_winter(data: RetrievalSet) -> RetrievalSet:
    """Every second frame of the drive in winter."""
    rows = [i for i, file in enumerate(data.queries.files) if file.parent.name == 'winter']
    return replace(data, queries=data.queries.take(rows[::2]))


@dataclass(frozen=True, eq=False)
class Trials:
    """Of each query the best JUDGED candidates; and the map's keyframes, asked as at build time.

    x: (Q, JUDGED, F); right, mass: (Q, JUDGED); answer: (Q,) which of them the sequence answers;
    cosine, cosine_right: (Q,) of the best by cosine; matches: (Q,); keys_x: (K, F); keys_right.
    """

    x: np.ndarray
    right: np.ndarray
    mass: np.ndarray
    answer: np.ndarray
    cosine: np.ndarray
    cosine_right: np.ndarray
    matches: np.ndarray
    possible: np.ndarray
    keys_x: np.ndarray
    keys_right: np.ndarray


def features(name: str, data: RetrievalSet, extractor: Extractor, cache: Path) -> PlaceMap:
    """All images of a data set, coded as a map codes them; a map in the cache."""
    files = tuple(sorted({*data.queries.files, *data.references.files}))
    out = cache / name
    if (out / 'manifest.json').is_file():
        found = PlaceMap.open(out, extractor.identity)
        if {str(f) for f in files} <= {p.name for p in found.places}:
            return found
    return build_map(
        Pictures(files), extractor, out, KeyframeConfig(0.0, 0.0, 0.0), MapConfig(thumbnail_px=0),
        RecognizerConfig(candidates=1), source={'files': len(files)}, overwrite=True,
        calibrated=False,
    )  # fmt: skip


def tried(name: str, data: RetrievalSet, extractor: Extractor, cache: Path) -> Trials:
    """The trials of one source, from the cache or made."""
    file = cache / f'{name}_trials.npz'
    if not file.is_file():
        np.savez(file, **vars(_try(name, data, features(name, data, extractor, cache))))
    return Trials(**dict(np.load(file)))


def _try(name: str, data: RetrievalSet, stored: PlaceMap) -> Trials:
    data = take_away(data, ABSENT, SEED)
    config = same_place(data, RecognizerConfig())
    at = {place.name: row for row, place in enumerate(stored.places)}
    place_map = PlaceMap.empty(stored.identity, stored.config)
    for file, place in zip(data.references.files, places_of(data.references), strict=True):
        place_map.copy(stored, at[str(file)], place)
    drive = is_drive(data.queries)
    belief = believe(place_map, config, TemporalConfig(enabled=drive))
    poses, positives = poses_of(data.queries), data.positives()
    rows = []
    for query, file in enumerate(tqdm(data.queries.files, name)):
        global_ = stored.global_(at[str(file)])
        view = stored.codes([at[str(file)]])[0]
        ranked = _ranked(place_map, global_, view, config)
        layouts = Layouts(view, place_map.codes, place_map.grid)
        x = features_of(ranked, layouts, config)
        mass, answer = np.full(JUDGED, np.nan), 0
        if belief is not None and poses is not None:
            now = belief.update(query * 10**9, ranked, poses[query], view)
            mass = np.array([belief.mass_of(c.row) for c in ranked[:JUDGED]])
            if accepts(ranked[:JUDGED], now, TemporalConfig().min_belief):
                answer = next(i for i, c in enumerate(ranked) if c.row in now.rows)
        top = min(ranked, key=lambda c: c.global_rank)
        right = np.isin([c.row for c in ranked[:JUDGED]], positives[query])
        rows.append((
            x, right, mass, answer, top.global_similarity, top.row in positives[query],
            ranked[0].mutual_matches, len(positives[query]) > 0,
        ))  # fmt: skip
    keys = keyframe_trials(place_map, config, KEYFRAMES)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Trials(*columns, *keys)


def _ranked(
    place_map: PlaceMap, global_: np.ndarray, view: np.ndarray, config: RecognizerConfig
) -> list[Candidate]:
    rows, cosines = place_map.search(global_, config.candidates)
    found = [
        Candidate(place_map.places[r], int(r), float(s), rank)
        for rank, (r, s) in enumerate(zip(rows, cosines, strict=True))
    ]
    return rerank(view, place_map.codes(rows), found, config.ties)


def fitted(trials: dict[str, Trials]) -> Confidence:
    """Each source counts alike. First one frame alone, then with the belief on the drives."""
    counts = np.concatenate([np.full(len(t.x), ONE_SOURCE / len(t.x)) for t in trials.values()])
    x = np.concatenate([t.x[:, 0] for t in trials.values()])
    right = np.concatenate([t.right[:, 0] for t in trials.values()])
    constant, weights = fit_logistic(x, right, counts)
    alone = Confidence(
        round(constant, 4), tuple(round(float(w), 4) for w in weights), (0.0, 1.0, 1.0)
    )
    drives = [t for t in trials.values() if np.isfinite(t.mass).all()]
    if not drives:
        return alone
    both, outcomes, shares = [], [], []
    for t in drives:
        rows = np.arange(len(t.x))
        frame = logit(alone.of(t.x[rows, t.answer]))
        both.append(np.column_stack([frame, logit(confidence.certain(t.mass[rows, t.answer]))]))
        outcomes.append(t.right[rows, t.answer])
        shares.append(np.full(len(rows), ONE_SOURCE / len(rows)))
    first, factors = fit_logistic(
        np.concatenate(both), np.concatenate(outcomes), np.concatenate(shares)
    )
    over_time = (round(first, 4), round(float(factors[0]), 4), round(float(factors[1]), 4))
    return replace(alone, sequence=over_time)


def row_of(name: str, t: Trials, model: Confidence) -> list[str]:
    """How a source fares, with the map's own correction."""
    corrected = adapted(model, t.keys_x, t.keys_right)
    sure, right = corrected.of(t.x[:, 0]), t.right[:, 0]
    found = trust(
        {
            SIMILARITY: Series(t.cosine, t.cosine_right),
            MATCHES: Series(t.matches.astype(float), right),
            ALONE: Series(sure, right),
        },
        int(t.possible.sum()),
        0.99,
    )
    both = [f'{c.auc:.3f} {100 * c.recall_at_full_precision:.1f}' for c in found.curves.values()]
    plain = calibration_error(reliability(model.of(t.x[:, 0]), right))
    rows = np.arange(len(t.x))
    timed = ''
    if np.isfinite(t.mass).all():
        alone = model.of(t.x[rows, t.answer])
        later = np.array(
            [
                model.over_time(float(a), float(m))
                for a, m in zip(alone, t.mass[rows, t.answer], strict=True)
            ]
        )
        hit = t.right[rows, t.answer]
        timed = f'{calibration_error(reliability(later, hit))} {precision_at(later, hit, 0.99)}'
    shift = corrected.intercept - model.intercept
    return [
        name, str(len(t.x)), *both, f'{plain} {found.error(ALONE)}', f'{shift:+.2f}',
        f'{found.accepted[ALONE]}', timed,
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--towns', type=Path, default=Path('/tmp/town/train'))
    parser.add_argument('--cache', type=Path, default=Path('/tmp/confidence'))
    parser.add_argument('--weights', default=ExtractorConfig().weights)
    parser.add_argument('--write', action='store_true', help=f'into {confidence.PRIOR}')
    args = parser.parse_args()
    extractor = load_extractor(ExtractorConfig(weights=args.weights))
    cache = args.cache / extractor.identity.fingerprint[:12]
    cache.mkdir(parents=True, exist_ok=True)
    trials = {n: tried(n, d, extractor, cache) for n, d in sources(args.data, args.towns)}
    model = fitted(trials)
    table = Table(title=f'{args.weights}: {model.to_dict()}')
    for name in ('source', 'queries', 'a: AUC R@100P', 'b', 'c', 'ECE plain, map', 'shift',
                 'precision at 0.99', 'with time'):  # fmt: skip
        table.add_column(name)
    for name in trials:  # each by a model that has not seen it
        others = {n: t for n, t in trials.items() if n != name}
        table.add_row(*row_of(f'without {name}', trials[name], fitted(others)))
    for name, data in held_out(args.data):
        table.add_row(*row_of(name, tried(name, data, extractor, cache), model))
    Console(width=200).print(table)
    if args.write:
        confidence.PRIOR.write_text(json.dumps(model.to_dict(), indent=1) + '\n')


if __name__ == '__main__':
    main()
