# SPDX-License-Identifier: MIT
"""Fit the shipped coefficients of the confidence, on training data alone; resumable.

Features and trials lie in --cache by the model's fingerprint, so that a second call goes on or
takes seconds. What a sequence believes depends on the coefficients shipped so far: after they or
`temporal` changed, run it once more without the cached trials. Towns come from
tools/render_town.py, a folder each with the frames of three drives: winter/, summer2/ on another
way and, for maps that grow, summer/ on that of winter/.

Maps that grow get coefficients of their own, from the training drives in SLAM mode.

python tools/fit_confidence.py --data ../shared/data --towns /tmp/town/train --write --held-out
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
import json
from pathlib import Path
from typing import TypeVar

from confidence_sets import features, held_out, kind_of, sources
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit, logit
from slam_trials import Asked, asked, drives, ODOMETRY
from tqdm import tqdm

from selavpr_model.config import (
    CalibrationConfig,
    ExtractorConfig,
    RecognizerConfig,
    TemporalConfig,
)
from selavpr_model.data.datasets import RetrievalSet
from selavpr_model.decision.belief import Moment
from selavpr_model.decision.confidence import (
    certain,
    Confidence,
    features_of,
    JUDGED,
    with_confidence,
)
from selavpr_model.decision.confidence_fit import (
    adapted,
    COEFFICIENTS,
    fit_logistic,
    fit_prior,
    MODEL,
    Prior,
    shipped,
    Source,
)
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
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.maps.building.calibrate import keyframe_trials
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.recognizer import believe
from selavpr_model.records import Features

T = TypeVar('T')

ABSENT, SEED = 0.3, 1
ONE_KIND = 200.0  # trials that the drives of one kind count as, however many they are
KEYFRAMES = CalibrationConfig().samples  # of each map, asked as when it is built


@dataclass(frozen=True, eq=False)
class Trials:
    """Of each query the best JUDGED candidates; and the map's keyframes, asked as at build time.

    x: (Q, JUDGED, F); right, mass: (Q, JUDGED); answer: (Q,) which of them the sequence answers;
    cosine, cosine_right: (Q,) of the best by cosine; matches, matches_right: by matches; keys_x:
    (K, F); keys_right.
    """

    x: np.ndarray
    right: np.ndarray
    mass: np.ndarray
    answer: np.ndarray
    cosine: np.ndarray
    cosine_right: np.ndarray
    matches: np.ndarray
    matches_right: np.ndarray
    possible: np.ndarray
    keys_x: np.ndarray
    keys_right: np.ndarray


def tried(name: str, data: RetrievalSet, extractor: Extractor, cache: Path) -> Trials:
    """The trials of one source, from the cache or made."""
    file = cache / f'{name}_trials.npz'
    if not file.is_file():
        np.savez(file, **vars(_try(name, data, features(name, data, extractor, cache))))
    return Trials(**dict(np.load(file)))


def tried_growing(
    data: Path, towns: Path, extractor: Extractor, cache: Path
) -> Iterator[tuple[str, Asked]]:
    """The drives in SLAM mode, from the cache or made."""
    for name, drive in drives(data, towns):
        known: dict[Path, Features] = {}
        for how, odometry in ODOMETRY.items():
            file = cache / f'slam_{name.replace(" ", "_")}{how.replace(" ", "_")}.npz'
            if not file.is_file():
                np.savez(file, **vars(asked(drive, extractor, known, odometry)))
            yield name + how, Asked(**dict(np.load(file)))


def leaving(name: str, trials: dict[str, T]) -> dict[str, T]:
    """Those of other places: without all drives of one town or circuit."""
    place = name.split()[0]
    return {n: t for n, t in trials.items() if n.split()[0] != place}


def _try(name: str, data: RetrievalSet, stored: PlaceMap) -> Trials:
    data = take_away(data, ABSENT, SEED)
    config = same_place(data, RecognizerConfig())
    at = {place.name: row for row, place in enumerate(stored.places)}
    place_map = PlaceMap.empty(stored.identity, stored.config, stored.head)
    for file, place in zip(data.references.files, places_of(data.references), strict=True):
        place_map.copy(stored, at[str(file)], place)
    drive = is_drive(data.queries)
    belief = believe(place_map, config, TemporalConfig(enabled=drive))
    matcher = place_map.matcher(config.score)
    poses, positives = poses_of(data.queries), data.positives()
    keys = keyframe_trials(place_map, config, KEYFRAMES)
    sure = adapted(shipped(), *keys)  # what moves the belief, as in a map built now
    rows = []
    for query, file in enumerate(tqdm(data.queries.files, name)):
        asking = Query.of_row(stored, at[str(file)])
        places = ranked(place_map, asking, matcher, config)
        x, candidates = features_of(places), places.candidates
        mass, answer = np.full(JUDGED, np.nan), 0
        if belief is not None and poses is not None:
            moment = Moment(query * 10**9, poses[query], asking.view)
            now = belief.update(moment, with_confidence(places, sure).candidates)
            mass = np.array([belief.mass_of(c.row) for c in candidates[:JUDGED]])
            mine = [c.row in now.mode.share for c in candidates[:JUDGED]]
            answer = mine.index(True) if any(mine) else 0
        top = min(candidates, key=lambda c: c.global_rank)
        most = max(candidates, key=lambda c: (c.mutual_matches, -c.global_rank))
        right = np.isin([c.row for c in candidates[:JUDGED]], positives[query])
        rows.append((
            x, right, mass, answer, top.global_similarity, top.row in positives[query],
            most.mutual_matches, most.row in positives[query], len(positives[query]) > 0,
        ))  # fmt: skip
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Trials(*columns, *keys)


def fitted(trials: dict[str, Trials], origin: str = '') -> Prior:
    """First one frame alone, then with the belief on the drives."""
    found = [
        Source(t.x[:, 0], t.right[:, 0], t.keys_x[~t.keys_right], kind_of(name))
        for name, t in trials.items()
    ]
    prior = fit_prior(found, origin)
    driven = {name: t for name, t in trials.items() if np.isfinite(t.mass).all()}
    if not driven:
        return prior
    parts = [_over_time(t, adapted(prior, t.keys_x, t.keys_right)) for t in driven.values()]
    alike = Counter(map(kind_of, driven))
    each = [ONE_KIND / alike[kind_of(name)] / len(t.x) for name, t in driven.items()]
    weights = np.concatenate(
        [np.full(len(t.x), w) for t, w in zip(driven.values(), each, strict=True)]
    )
    return replace(prior, model=replace(prior.model, sequence=_sequence(parts, weights)))


def fitted_growing(trials: dict[str, Asked]) -> Confidence:
    """For maps that grow; every keyframe counts alike: towns are revisited for a moment."""
    found = list(trials.values())
    right = np.concatenate([t.right[:, 0] for t in found])
    intercept, weights = fit_logistic(np.concatenate([t.x[:, 0] for t in found]), right)
    rounded = tuple(round(float(w), 4) for w in weights)
    model = Confidence(round(intercept, 4), rounded, (0.0, 1.0, 1.0))
    return replace(model, sequence=_sequence([_over_time(t, model) for t in found]))


def _sequence(
    parts: list[tuple[np.ndarray, np.ndarray]], weights: np.ndarray | None = None
) -> tuple[float, float, float]:
    logits, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    constant, factors = fit_logistic(logits, right, weights)
    return round(constant, 4), round(float(factors[0]), 4), round(float(factors[1]), 4)


def _over_time(t: Trials | Asked, model: Confidence) -> tuple[np.ndarray, np.ndarray]:
    """Logits (Q, 2) of the frame's own confidence and of the belief, for the answered places."""
    rows = np.arange(len(t.x))
    alone, mass = model.of(t.x[rows, t.answer]), certain(t.mass[rows, t.answer])
    return logit(np.column_stack([alone, mass])), t.right[rows, t.answer]


def adapted_to(t: Trials, prior: Prior) -> tuple[Confidence, str]:
    """The model with the map's own correction; and what the correction did."""
    model = adapted(prior, t.keys_x, t.keys_right)
    return model, f'{model.weights[0] / max(prior.model.weights[0], 1e-9):.2f}'


def judged(t: Trials | Asked, model: Confidence) -> Trust:
    """How a source fares."""
    sure, right = model.of(t.x[:, 0]), t.right[:, 0]
    series = {
        SIMILARITY: Series(t.cosine, t.cosine_right),
        MATCHES: Series(t.matches.astype(float), t.matches_right),
        ALONE: Series(sure, right),
    }
    if np.isfinite(t.mass).all():
        logits, hit = _over_time(t, model)
        constant, frame, before = model.sequence
        series[OVER_TIME] = Series(expit(constant + logits @ (frame, before)), hit)
    return trust(series, int(t.possible.sum()), 0.99)


def line(name: str, found: Trust, note: str = '') -> list[str]:
    cells = [name]
    for kind in (SIMILARITY, MATCHES, ALONE, OVER_TIME):
        curve = found.curves.get(kind)
        text = f'{curve.auc:.3f} {100 * curve.recall_at_full_precision:.1f}' if curve else ''
        if kind in found.diagrams:
            precision, count = found.accepted[kind]
            text += f', {found.error(kind)}, {precision} of {count}'
        cells.append(text)
    return [*cells, note]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--towns', type=Path, default=Path('/tmp/town/train'))
    parser.add_argument('--cache', type=Path, default=Path('/tmp/confidence'))
    parser.add_argument('--weights', default=ExtractorConfig().weights)
    parser.add_argument('--held-out', action='store_true', help='also measure on these')
    parser.add_argument('--write', action='store_true', help=f'into {COEFFICIENTS}')
    args = parser.parse_args()
    extractor = load_extractor(ExtractorConfig(weights=args.weights))
    cache = args.cache / extractor.identity.fingerprint[:12]
    cache.mkdir(parents=True, exist_ok=True)
    trials = {n: tried(n, d, extractor, cache) for n, d in sources(args.data, args.towns)}
    origin = f'{args.weights} {extractor.identity.fingerprint[:12]} on {", ".join(trials)}'
    prior = fitted(trials, origin)
    table = Table(title='AUC-PR, recall at 100 % precision; ECE; precision at 0.99 of how many')
    for name in ('source', 'a cosine', 'b matches', 'c one frame', 'd with time', 'slope'):
        table.add_column(name)
    for name in trials:  # each by a model that has not seen it
        model, slope = adapted_to(trials[name], fitted(leaving(name, trials)))
        table.add_row(*line(f'without {name}', judged(trials[name], model), slope))
    if args.held_out:
        for name, data in held_out(args.data):
            t = tried(name, data, extractor, cache)
            model, slope = adapted_to(t, prior)
            table.add_row(*line(name, judged(t, model), slope))
    grown = dict(tried_growing(args.data, args.towns, extractor, cache))
    growing = fitted_growing(grown)
    for name, found in grown.items():
        model = fitted_growing(leaving(name, grown))
        table.add_row(*line(f'SLAM without {name}', judged(found, model)))
    console = Console(width=180)
    console.print(prior.model.to_dict(), growing.to_dict())
    console.print(table)
    if args.write:
        shown = {k: v for k, v in growing.to_dict().items() if k in MODEL}
        made = {**prior.to_dict(), 'growing': shown}
        COEFFICIENTS.write_text(json.dumps(made, indent=1) + '\n')


if __name__ == '__main__':
    main()
