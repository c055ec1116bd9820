# SPDX-License-Identifier: MIT
"""`selavpr demo`: a map from the summer run, the winter run found in it, offline and live; and the
loops of the summer run closed in SLAM mode.
"""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from selavpr_model.config import (
    CalibrationConfig,
    Config,
    ExtractorConfig,
    KeyframeConfig,
    MapConfig,
    RecognizerConfig,
    ReplayConfig,
)
from selavpr_model.decision.confidence_fit import shipped
from selavpr_model.errors import MapError, SourceError
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map
from selavpr_model.runtime.outputs import write_json
from selavpr_model.runtime.paths import REPOSITORY
from selavpr_model.runtime.version import software_version
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.replay import slam
from selavpr_ros.replay.offline import run_with, Scoring
from selavpr_ros.replay.request import Play, Request

log = logging.getLogger(__name__)

MAPPED, DRIVEN = 'summer', 'winter'
PACE = ReplayConfig()
TRUTH = '/ground_truth/pose'
MAP_CONFIGS: Mapping[str, Config] = {
    'keyframes': KeyframeConfig(),
    'storage': MapConfig(),
    'recognizer': RecognizerConfig(),
    'calibration': CalibrationConfig(),
}


def find_data(given: Path | None) -> Path:
    """The folder with both bags: as given, demo/ here, or demo/ beside the package."""
    places = [given] if given else [Path('demo'), REPOSITORY / 'demo']
    for place in places:
        if all((place / run / 'metadata.yaml').is_file() for run in (MAPPED, DRIVEN)):
            return place
    listed = ' or '.join(str(p) for p in places)
    raise SourceError(
        f'demo: expected the bags {MAPPED}/ and {DRIVEN}/ in {listed}; '
        'run it in the repository or give --data'
    )


def run(
    out: Path, data: Path, play: Play, rebuild: bool = False, rate: float = PACE.rate,
    rerun: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Build or reuse the map, replay, write everything into `out`; returns the summary.

    play: replay.live.play. rate: see ReplayConfig; image by image where this machine cannot keep
    up. rerun: .rrd file of the winter run; NAME_slam.rrd beside it gets the loops of the summer.
    """
    extractor = load_extractor(ExtractorConfig())
    place_map = town_map(out / 'map', data / MAPPED, extractor, rebuild)
    request = Request(
        source=data / DRIVEN, map=out / 'map', out=out, truth=TRUTH, play=play, keep_up=True,
        replay=ReplayConfig(rate=rate), extractor=extractor.config, rerun=rerun,
    )  # fmt: skip
    summary = run_with(request, extractor, place_map)
    loops = None if rerun is None else rerun.with_name(f'{rerun.stem}_slam.rrd')
    summary |= close_loops(out / 'slam', data / MAPPED, extractor, loops)
    labels = data / 'world.json'
    if labels.is_file():
        summary['labels'] = check_labels(labels, request, place_map)
    write_json(out / 'summary.json', summary)
    return summary


def close_loops(
    out: Path, bag: Path, extractor: Extractor, rerun: Path | None = None
) -> dict[str, Any]:
    """Drive a bag in SLAM mode; its verified closures as fractions, and all their numbers."""
    driven = slam.run_with(slam.SlamRequest(bag, out, TRUTH, rerun=rerun), extractor)
    precision = driven['precision']
    return {
        'false_verified_closures': 0.0 if precision is None else round(1.0 - precision, 4),
        'verified_closure_recall': driven['recall'],
        'slam': driven,
    }


def town_map(path: Path, bag: Path, extractor: Extractor, rebuild: bool) -> PlaceMap:
    """The map of the bag; the one on disk where nothing it depends on has changed."""
    source = {
        'kind': 'bag',
        'path': str(bag),
        'poses': TRUTH,
        'sha256': digest(bag),
        'made_with': {
            **{name: config.to_dict() for name, config in MAP_CONFIGS.items()},
            'confidence': shipped().to_dict(),
        },
        'selavpr': software_version(),
    }
    if not rebuild:
        try:
            place_map = open_map(path, extractor.identity)
            if source.items() <= place_map.source.items():
                return place_map
        except MapError as error:
            log.info('the map is built anew: %s', error)
    frames = BagFrames(bag, pose_topic=TRUTH)
    return build_map(frames, extractor, path, source=source, overwrite=True)


def digest(bag: Path) -> str:
    """SHA-256 over the names and bytes of a bag's files."""
    total = hashlib.sha256()
    for file in sorted(p for p in bag.iterdir() if p.is_file()):
        total.update(file.name.encode() + b'\0' + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def check_labels(path: Path, request: Request, place_map: PlaceMap) -> dict[str, int]:
    """What the poses say about `outside the map`, against what the town's maker says.

    The maker calls a frame outside only far from the map (25 m), so every such frame must be
    outside for us; those nearer than that but too far to count as the same place are `border`.
    """
    scoring = Scoring(request.frames(), place_map, request.score)
    facts = json.loads(path.read_text())['runs'][DRIVEN]
    numbers = {i for first, last in facts['outside_map'] for i in range(first, last + 1)}
    start, period = facts['start_ns'], facts['period_ns']
    labelled = {stamp for stamp in scoring.truth if (stamp - start) // period in numbers}
    truths = scoring.truth.items()
    ours = {s for s, T in truths if T is not None and not scoring.judge.same_places(T).any()}
    return {
        'labelled_outside': len(labelled),
        'of_these_outside': len(labelled & ours),
        'border': len(ours - labelled),
    }
