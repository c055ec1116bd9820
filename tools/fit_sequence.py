# SPDX-License-Identifier: MIT
"""Fit how a frame's own confidence and the belief of the sequence combine; resumable.

Of each drive what its frames say lies in --cache, so a second call takes seconds. Each source is
also decided on by the fit on all others: kept is what is better there, too. The demo's winter
drive is never among them. Towns come from tools/render_town.py as for tools/measure_decision.py.

python tools/fit_sequence.py --data ../shared/data --towns /tmp/town/tune --write
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
import json
from pathlib import Path
from typing import Any

from decision_drives import Asked, circuits, demo_sets, rtabmap, town
from decision_trials import Drive, driven, Said, said
from measure_kidnapping import Remembering
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit, logit

from selavpr_model.config import ExtractorConfig, RecognizerConfig, TemporalConfig
from selavpr_model.decision.confidence import certain
from selavpr_model.decision.confidence_fit import COEFFICIENTS, fit_logistic, shipped
from selavpr_model.features.extractor import load_extractor

HELD_OUT = 'winter'  # of the demo
Sequence3 = tuple[float, float, float]


def sources(data: Path, towns: Path | None) -> Iterator[Asked]:
    yield from (asked for asked in demo_sets() if asked.name != HELD_OUT)
    if data.is_dir():
        yield rtabmap(data / 'rtabmap_loop')
        yield from circuits(data / 'circuits')
    for folder in sorted(towns.iterdir()) if towns else ():
        yield town(folder)


def place_of(name: str) -> str:
    """The town, building or circuit of a drive: what is left out together."""
    return name.split(',')[0]


def replayed(drives: dict[str, Drive], temporal: TemporalConfig) -> dict[str, list[Said]]:
    """Every drive with its odometry and without."""
    found = {}
    for name, drive in drives.items():
        for odometry in (True, False) if drive.with_odometry else (False,):
            how = 'odometry' if odometry else 'no odometry'
            found[f'{name}, {how}'] = said(drive, temporal, odometry, drive.model)
    return found


def columns(frames: Sequence[Said]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 2) logits of the frame and of the belief; (n,) right; (n,) whether the frame may be
    decided on: it does not speak against the mode."""
    both = logit(certain(np.array([[s.alone, s.mass] for s in frames])))
    right = np.array([s.right for s in frames])
    return both, right, np.array([s.shown and s.evidence > 0 for s in frames])


def fitted(found: dict[str, list[Said]]) -> Sequence3:
    """Each place counts alike, and of a place each drive."""
    alike = Counter(place_of(name) for name in found)
    x, right, counts = [], [], []
    for name, frames in found.items():
        both, hit, may = columns(frames)
        x.append(both[may])
        right.append(hit[may])
        counts.append(np.full(may.sum(), 200.0 / alike[place_of(name)] / max(1, may.sum())))
    constant, factors = fit_logistic(*map(np.concatenate, (x, right, counts)))
    return round(constant, 3), round(float(factors[0]), 3), round(float(factors[1]), 3)


def judged(frames: Sequence[Said], sequence: Sequence3, least: float) -> dict[str, float]:
    """found: percent of the frames in the map; wrong: frames; loss: log loss, nat a frame."""
    both, right, may = columns(frames)
    p = np.where(may, expit(sequence[0] + both @ sequence[1:]), 0.0)
    sure, possible = p >= least, np.array([s.possible for s in frames])
    safe = certain(p[may])
    loss = -np.log(np.where(right[may], safe, 1.0 - safe))
    return {
        'found': 100.0 * float((sure & right)[possible].mean()) if possible.any() else 0.0,
        'wrong': int((sure & ~right).sum()),
        'loss': float(loss.mean()) if len(loss) else 0.0,
    }


def table(found: dict[str, list[Said]], least: float) -> Table:
    """Every drive by the coefficients shipped, and by those fitted without its place."""
    shown = Table(title='LOCALIZED at the right place %, wrong frames, log loss')
    for title in ('drive', 'frames', 'mode right %', 'shipped', 'source left out', 'coefficients'):
        shown.add_column(title)
    total: Counter[str] = Counter()
    for name, frames in found.items():
        others = {n: f for n, f in found.items() if place_of(n) != place_of(name)}
        left_out = fitted(others)
        cells = []
        for how, model in (('old', shipped().model.sequence), ('new', left_out)):
            j = judged(frames, model, least)
            total.update({f'{how} found': j['found'], f'{how} wrong': j['wrong']})
            total.update({f'{how} loss': j['loss']})
            cells.append(f'{j["found"]:.1f}, {j["wrong"]}, {j["loss"]:.3f}')
        in_map = [s.right for s in frames if s.possible]
        shown.add_row(
            name, str(len(frames)), f'{100 * np.mean(in_map):.0f}', *cells, f'{left_out}'
        )
    mean = [
        f'{total[f"{how} found"] / len(found):.1f}, {total[f"{how} wrong"]}, '
        f'{total[f"{how} loss"] / len(found):.3f}'
        for how in ('old', 'new')
    ]
    shown.add_row('all', '', '', *mean, f'{fitted(found)}')
    return shown


def main() -> None:
    told = parse()
    extractor: Any = Remembering(load_extractor(ExtractorConfig(weights=told.weights)))
    cache = told.cache / extractor.identity.fingerprint[:12]
    drives = {a.name: driven(a, extractor, cache) for a in sources(told.data, told.towns)}
    found = replayed(drives, TemporalConfig())
    Console(width=160).print(table(found, RecognizerConfig().min_precision))
    if told.write:
        values = json.loads(COEFFICIENTS.read_text()) | {'sequence': list(fitted(found))}
        COEFFICIENTS.write_text(json.dumps(values, indent=1) + '\n')


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--towns', type=Path, help='folder of rendered towns')
    parser.add_argument('--cache', type=Path, default=Path('/tmp/sequence'))
    parser.add_argument('--weights', default=ExtractorConfig().weights, help='name or file')
    parser.add_argument('--write', action='store_true', help=f'into {COEFFICIENTS.name}')
    return parser.parse_args()


if __name__ == '__main__':
    main()
