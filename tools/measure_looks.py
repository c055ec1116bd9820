# SPDX-License-Identifier: MIT
"""Measure what a second look of each place is worth, and what half of the views lose.

Maps of the demo: summer; summer and winter, whole and with half of the views; summer, updated by
the winter drive from answers and odometry alone. A drive of a third season is replayed in each.
Frames count whose place is in the summer map; right is within 5 m and 45 degrees.
Example: python tools/measure_looks.py build/town/autumn --out build/looks
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import (
    ExtractorConfig,
    RecognizerConfig,
    ScoreConfig,
    TemporalConfig,
    UpdateConfig,
)
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.building.merge import merge_maps
from selavpr_model.maps.building.prune import prune
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Features
from selavpr_model.runtime.outputs import write_json
from selavpr_model.update.update_map import update_map, UpdateConfigs
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.topics import NO_POSE
from selavpr_ros.replay.offline import answer, Scoring

ROOT = Path(__file__).resolve().parents[1]
TRUTH = '/ground_truth/pose'
SCORE = ScoreConfig()


@dataclass(frozen=True, slots=True)
class Row:
    """One map. localized, right: shares of the frames in the map; wrong: of all frames, how many
    were LOCALIZED elsewhere; error_m: median of the right ones."""

    name: str
    places: int
    frames: int
    localized: float
    wrong: int
    error_m: float


class Remembering:
    """An extractor that looks at each image once: each map sees the same drive."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self._known: dict[bytes, Features] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extractor, name)

    def extract(self, image: np.ndarray) -> Features:
        key = image.tobytes()
        if key not in self._known:
            self._known[key] = self._extractor.extract(image)
        return self._known[key]


def main() -> None:
    told = parse()
    extractor: Any = Remembering(load_extractor(ExtractorConfig(weights=told.weights)))
    summer, winter = (
        built(ROOT / 'demo' / s, told.out / s, extractor) for s in ('summer', 'winter')
    )
    both = merge_maps([summer, winter], told.out / 'both', overwrite=True, progress=False)
    updated = update(summer, ROOT / 'demo' / 'winter', told.out / 'updated', extractor)
    maps = {
        'summer': open_map(summer),
        'summer and winter': both,
        'summer and winter, half': half(both, told.out / 'both_half'),
        'summer, updated by winter': updated,
    }
    frames = BagFrames(told.bag, pose_topic=TRUTH)
    inside = Scoring(frames, maps['summer'], SCORE).judge
    truth = frames.truth()
    counted = {t for t, T in truth.items() if T is not None and inside.same_places(T).any()}
    rows = [measure(name, one, frames, counted, extractor) for name, one in maps.items()]
    print(
        '| map | places | frames | LOCALIZED | wrong | median error |\n|---|---|---|---|---|---|'
    )
    for row in rows:
        print(
            f'| {row.name} | {row.places} | {row.frames} | {row.localized:.1%} | {row.wrong} | '
            f'{row.error_m:.2f} m |'
        )
    print(f'poses of the looks that the update added: {error_of(updated):.2f} m off, median')
    write_json(told.out / 'looks.json', [asdict(row) for row in rows])


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('bag', type=Path, help='bag of the drive of the third season')
    p.add_argument('--out', type=Path, default=Path('build/looks'), help='folder of the maps')
    p.add_argument('--weights', default=ExtractorConfig().weights)
    return p.parse_args()


def built(bag: Path, out: Path, extractor: Extractor) -> Path:
    """The folder of a map of the drive with its true poses."""
    source = {'path': str(bag), 'poses': TRUTH}
    frames = BagFrames(bag, pose_topic=TRUTH)
    build_map(frames, extractor, out, source=source, overwrite=True, progress=False)
    return out


def update(path: Path, bag: Path, out: Path, extractor: Extractor) -> PlaceMap:
    """The map with the looks of a drive whose true poses nobody knows."""
    configs = UpdateConfigs(UpdateConfig(), RecognizerConfig(), TemporalConfig())
    frames, source = BagFrames(bag, pose_topic=NO_POSE), {'path': str(bag)}
    made = update_map(
        path, frames, extractor, configs, out=out, source=source, overwrite=True, progress=False
    )
    print(f'update: {made}')
    return open_map(out)


def half(place_map: PlaceMap, out: Path) -> PlaceMap:
    small = prune(place_map, 0.5, progress=False)
    save_map(small, out, overwrite=True)
    print(f'{out.name}: {small.source["pruned"][-1]}')
    return small


def measure(
    name: str, place_map: PlaceMap, frames: BagFrames, counted: set[int], extractor: Extractor
) -> Row:
    """counted: stamps of the frames whose place is in the summer map."""
    recognizer = PlaceRecognizer(extractor, place_map, temporal=TemporalConfig())
    scores = Scoring(frames, place_map, SCORE).scores(answer(frames, recognizer).predictions)
    some = [s for s in scores if s.prediction.stamp_ns in counted]
    right = [s for s in some if s.verdict == 'right']
    errors = [s.position_error_m for s in right if s.position_error_m is not None]
    localized = sum(s.verdict in ('right', 'wrong') for s in some) / max(1, len(some))
    wrong = sum(s.verdict == 'wrong' for s in scores)
    return Row(name, len(place_map), len(some), localized, wrong, float(np.median(errors)))


def error_of(place_map: PlaceMap) -> float:
    """Median distance of the updated places to where the winter drive really was, m."""
    truth = BagFrames(ROOT / 'demo' / 'winter', pose_topic=TRUTH).truth()
    session = place_map.source['updates'][-1]['session']
    looks = [place for place in place_map.places if place.session == session]
    pairs = [(place.pose, truth[place.stamp_ns]) for place in looks]
    off = [
        np.linalg.norm(a[:3, 3] - b[:3, 3]) for a, b in pairs if a is not None and b is not None
    ]
    return float(np.median(off))


if __name__ == '__main__':
    main()
