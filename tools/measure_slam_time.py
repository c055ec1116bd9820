# SPDX-License-Identifier: MIT
"""How long a keyframe takes in SLAM mode as the map grows, extraction left out.

Made-up features: two laps of one long loop, the second like the first, with exact odometry. Time
is that of the processor in the thread that answers; the solver of the pose graph has its own.
Small features make what grows with the map stand out: a real frame adds a constant.

    python tools/measure_slam_time.py --keyframes 5000
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import time
from typing import Any

import numpy as np
from tqdm import tqdm

from selavpr_model.config import MapConfig
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Features, Frame, ModelIdentity
from selavpr_model.slam.session import SlamSession

STEP_M = 2.0
LOCAL, GLOBAL = (8, 8, 32), 64
ALIKE = 0.5  # noise of the second lap beside the first, of as much signal
BLOCKS = 10
IDENTITY = ModelIdentity('f' * 64, 'made up', GLOBAL, LOCAL)


class Extractor:
    """Stands for the network, which is not measured."""

    identity, input_size = IDENTITY, (112, 112)


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def drive(keyframes: int) -> Iterator[tuple[Frame, Features]]:
    """Two laps of a circle."""
    lap, image = keyframes // 2, np.zeros((16, 16, 3), np.uint8)
    radius = lap * STEP_M / (2 * np.pi)
    for i in range(keyframes):
        angle = 2 * np.pi * (i % lap) / lap
        T = np.eye(4)
        T[:3, 3] = radius * np.cos(angle), radius * np.sin(angle), 0.0
        T[:3, 2] = -np.sin(angle), np.cos(angle), 0.0
        T[:3, 0] = np.cos(angle), np.sin(angle), 0.0
        T[:3, 1] = np.cross(T[:3, 2], T[:3, 0])
        yield Frame(i * 10**9, image, odom=T), features(i % lap, i // lap)


def features(place: int, lap: int) -> Features:
    own, noise = np.random.default_rng((0, place)), np.random.default_rng((1 + lap, place))
    global_ = own.standard_normal(GLOBAL) + ALIKE * noise.standard_normal(GLOBAL)
    local = own.standard_normal(LOCAL) + ALIKE * noise.standard_normal(LOCAL)
    return Features(unit(global_), unit(local))


def timed(keyframes: int) -> np.ndarray:
    """(keyframes,) ms."""
    extractor: Any = Extractor()
    slam = SlamSession(extractor, PlaceMap.empty(IDENTITY, MapConfig(thumbnail_px=0)))
    took = []
    for frame, seen in tqdm(drive(keyframes), total=keyframes, unit='keyframe'):
        begun = time.thread_time()
        slam.advance(frame, seen)
        took.append(1e3 * (time.thread_time() - begun))
    links = len(slam.place_map.links)
    print(f'{len(slam.place_map)} keyframes, {links} closures')
    return np.array(took)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--keyframes', type=int, default=5000)
    took = timed(parser.parse_args().keyframes)
    print('| keyframes | median ms | p95 | most |\n|---|---|---|---|')
    first = 0
    for block in np.array_split(took, BLOCKS):
        low, high = np.quantile(block, (0.5, 0.95))
        last = first + len(block)
        print(f'| {first} to {last} | {low:.2f} | {high:.2f} | {block.max():.1f} |')
        first = last


if __name__ == '__main__':
    main()
