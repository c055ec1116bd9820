# SPDX-License-Identifier: MIT
"""Measure how soon a robot that is carried away is LOST, and LOCALIZED again back in the map.

The demo's summer drive (5 Hz): of its first part every second frame is the map, the others are
driven; outside the map every frame is.
The robot is carried out of the map (to streets not mapped), back into it, and from one mapped
street to another; with odometry, which does not notice, without it, and with geometry.
Example: python tools/measure_kidnapping.py --json build/kidnapping.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
import json
from pathlib import Path
import tempfile
from typing import Any

from kidnapping import carried, near, Reaction, reaction
import numpy as np

from selavpr_model.config import (
    ExtractorConfig,
    GeometryConfig,
    RecognizerConfig,
    ScoreConfig,
    TemporalConfig,
)
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Features, Frame, State

MAPPED = 112  # frames of the drive; the rest, up to where its loop closes, is outside the map
START = slice(51, 80, 2)
VARIANTS = (
    ('odometry', True, False),
    ('no odometry', False, False),
    ('odometry and geometry', True, True),
)
PIECES = {
    'out of the map': slice(120, 155),
    'into the map': slice(13, 52, 2),
    'elsewhere in it': slice(71, 110, 2),
}


def main() -> None:
    told = parse()
    from selavpr_ros.bags.reader import BagFrames

    extractor: Any = Remembering(load_extractor(ExtractorConfig(weights=told.weights)))
    frames = list(BagFrames(told.bag, pose_topic='/ground_truth/pose'))
    with tempfile.TemporaryDirectory() as folder:
        place_map = build_map(frames[:MAPPED:2], extractor, Path(folder) / 'map', progress=False)
        made = {
            name: measure(frames, place_map, extractor, odometry, geometry)
            for name, odometry, geometry in VARIANTS
        }
    for name, jumps in made.items():
        for jump, told_ in jumps.items():
            print(f'{name}, {jump}: {json.dumps(told_)}')
    if told.json:
        Path(told.json).write_text(json.dumps(made, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--bag', default='demo/summer', help='the drive')
    parser.add_argument('--weights', default=ExtractorConfig().weights, help='name or file')
    parser.add_argument('--json', default='', help='where to write it, too')
    return parser.parse_args()


class Remembering:
    """The extractor; images it has seen cost nothing the next time."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self._seen: dict[int, Features] = {}

    def extract(self, image: np.ndarray) -> Features:
        if id(image) not in self._seen:
            self._seen[id(image)] = self._extractor.extract(image)
        return self._seen[id(image)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extractor, name)


def measure(
    frames: Sequence[Frame],
    place_map: PlaceMap,
    extractor: Any,
    odometry: bool,
    geometry: bool = False,
) -> dict[str, dict[str, Any]]:
    """The reaction to each jump, and how much of the first piece was LOCALIZED."""
    pieces = [frames[part] for part in (START, *PIECES.values())]
    if not odometry:
        pieces = [[replace(frame, odom=None) for frame in piece] for piece in pieces]
    recognizer = PlaceRecognizer(
        extractor, place_map, RecognizerConfig(), TemporalConfig(),
        GeometryConfig(enabled=geometry),
    )  # fmt: skip
    score, answers, right, ends = ScoreConfig(), [], [], [len(p) for p in pieces]
    for frame in carried(pieces):
        answers.append(recognizer.process(replace(frame, pose=None)))
        best = answers[-1].candidates[0].place.pose
        assert best is not None
        assert frame.pose is not None
        right.append(near(best, frame.pose, score.position_m, score.heading_deg))
    localized = sum(a.state is State.LOCALIZED for a in answers[: ends[0]])
    made: dict[str, dict[str, Any]] = {'before': {'localized': localized, 'frames': ends[0]}}
    at = ends[0]
    for name, count in zip(PIECES, ends[1:], strict=True):
        part = slice(at, at + count)
        after: Reaction = reaction(answers[part], right[part], answers[at - 1].stamp_ns)
        made[name] = asdict(after) | {'frames': count}
        at += count
    return made


if __name__ == '__main__':
    main()
