# SPDX-License-Identifier: MIT
"""Measure how often the robot is LOCALIZED, how often wrongly, and how true its covariance is.

Each drive is asked against its map with odometry, and without. Towns come from
tools/render_town.py: a folder each, named after its seed, with summer/ and winter/.
Example: python tools/measure_decision.py --towns /tmp/town --json build/decision.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
import json
from pathlib import Path
import tempfile
from typing import Any

from decision_drives import Asked, circuits, demo_sets, rtabmap, town
from measure_kidnapping import Remembering
import numpy as np
from scipy.stats import chi2
from tqdm import tqdm

from selavpr_model.config import (
    ExtractorConfig,
    GeometryConfig,
    RecognizerConfig,
    ScoreConfig,
    TemporalConfig,
)
from selavpr_model.evaluation.slam_score import same_by_pose
from selavpr_model.features.extractor import load_extractor
from selavpr_model.maps.building.builder import build_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, Recognition, State

START_M = 3.0  # nobody is localised by the first image
INSIDE = float(chi2.ppf(0.95, 3))


def main() -> None:
    told = parse()
    extractor: Any = Remembering(load_extractor(ExtractorConfig(weights=told.weights)))
    made: dict[str, dict[str, Any]] = {}
    for asked in sets(told.data, told.towns):
        if told.only not in asked.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            place_map = build_map(asked.mapped, extractor, Path(folder) / 'map', progress=False)
            recognizer = PlaceRecognizer(
                extractor, place_map, RecognizerConfig(), TemporalConfig(),
                GeometryConfig(enabled=told.geometry),
            )  # fmt: skip
            for how in ('odometry', 'no odometry'):
                if how == 'no odometry' or asked.queries[-1].odom is not None:
                    name = f'{asked.name}, {how}'
                    made[name] = measure(asked, recognizer, how == 'odometry')
                    print(f'{name}: {json.dumps(made[name])}', flush=True)
    if told.json:
        told.json.write_text(json.dumps(made, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--towns', type=Path, help='folder of rendered towns')
    parser.add_argument('--only', default='', help='the sets whose name contains this')
    parser.add_argument('--geometry', action='store_true', help='geometry refines the poses')
    parser.add_argument('--weights', default=ExtractorConfig().weights, help='name or file')
    parser.add_argument('--json', type=Path, help='write the result here, too')
    return parser.parse_args()


def sets(data: Path, towns: Path | None) -> Iterator[Asked]:
    yield from demo_sets()
    if data.is_dir():
        yield rtabmap(data / 'rtabmap_loop')
        yield from circuits(data / 'circuits')
    for folder in sorted(towns.iterdir()) if towns else ():
        yield town(folder)


def measure(asked: Asked, recognizer: PlaceRecognizer, odometry: bool) -> dict[str, Any]:
    """Counts over a drive; found: LOCALIZED at the true place."""
    recognizer.reset()
    same = same_places(asked) if asked.same is None else asked.same
    answers = []
    for frame in tqdm(asked.queries, asked.name, leave=False):
        told = replace(frame, pose=None, odom=frame.odom if odometry else None)
        answers.append(recognizer.process(told))
    localized = np.array([a.state is State.LOCALIZED for a in answers])
    right = np.array([is_right(*one) for one in zip(answers, asked.queries, same, strict=True)])
    inside, begun = same.any(axis=1), after_start(asked.queries)
    lost = np.array([a.state is State.LOST for a in answers])
    result = {
        'in the map': int(inside.sum()),
        'found': percent(localized & right, inside),
        'found after 3 m': percent(localized & right, inside & begun),
        'wrong': int((localized & ~right).sum()),
        'outside': int((~inside).sum()),
        'LOST outside': percent(lost, ~inside),
    }
    return result | poses(answers, asked.queries)


def same_places(asked: Asked) -> np.ndarray:
    """(queries, mapped) bool by the rule of `selavpr replay`."""
    every = [frame.pose for frame in (*asked.mapped, *asked.queries)]
    same, count = same_by_pose(every, ScoreConfig()), len(asked.mapped)
    rows = range(count, len(every))
    return np.array([[same(row, other) for other in range(count)] for row in rows])


def is_right(answer: Recognition, frame: Frame, same: np.ndarray) -> bool:
    """By the pose where there is one, else by the place."""
    if answer.pose is None or frame.pose is None:
        return bool(answer.candidates and same[answer.candidates[0].place.id])
    return bool(same.any() and same_by_pose([answer.pose, frame.pose], ScoreConfig())(0, 1))


def after_start(frames: Sequence[Frame]) -> np.ndarray:
    """(n,) bool, more than START_M after the first frame; all where no way is known."""
    if frames[0].pose is None:
        return np.ones(len(frames), bool)
    points = np.array([np.asarray(frame.pose)[:3, 3] for frame in frames])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)]) > START_M


def percent(some: np.ndarray, of: np.ndarray) -> float | None:
    return round(100.0 * float(some[of].mean()), 1) if of.any() else None


def poses(answers: Sequence[Recognition], frames: Sequence[Frame]) -> dict[str, Any]:
    """Error of the position in m, its jumps from frame to frame, and how often it lies inside the
    95 % ellipsoid."""
    errors, inside = [], []
    for answer, frame in zip(answers, frames, strict=True):
        if answer.pose is None or answer.covariance is None or frame.pose is None:
            continue
        e = answer.pose[:3, 3] - frame.pose[:3, 3]
        errors.append(e)
        inside.append(e @ np.linalg.solve(answer.covariance[:3, :3], e) < INSIDE)
    if not errors:
        return {}
    lengths = np.linalg.norm(errors, axis=1)
    jumps = np.linalg.norm(np.diff(errors, axis=0), axis=1)
    return {
        'poses': len(errors),
        'error median m': round(float(np.median(lengths)), 2),
        'error p95 m': round(float(np.percentile(lengths, 95)), 2),
        'jump p90 m': round(float(np.percentile(jumps, 90)), 2) if len(jumps) else None,
        'inside 95 %': round(100.0 * float(np.mean(inside)), 1),
    }


if __name__ == '__main__':
    main()
