# SPDX-License-Identifier: MIT
"""The error of a map that grew in SLAM mode: by odometry, made straight, and with wrong closures.

python tools/add_drift.py demo/summer build/drift --rad-per-m 0.0015
selavpr slam build/drift --truth /ground_truth/pose --out build/straight
python tools/measure_straight.py build/straight/map demo/summer --truth /ground_truth/pose
"""

from __future__ import annotations

import argparse
from dataclasses import replace
import math
from pathlib import Path

import numpy as np

from selavpr_model.config import GraphConfig
from selavpr_model.evaluation.trajectory_error import ape_m
from selavpr_model.graph.map_graph import MapGraph, straighten
from selavpr_model.maps.links import link
from selavpr_model.maps.storage.store import open_map
from selavpr_model.slam.straight import sketch
from selavpr_ros.bags.reader import BagFrames

KINDS = {  # standard deviations, m and degrees, that a wrong closure claims
    'of the same place': (1.5, 10.0, False),
    'metric': (0.3, 1.0, True),
}


def spoiled(graph: MapGraph, share: float, seed: int, kind: str) -> MapGraph:
    """With random pairs of places as closures, so many of all closures wrong."""
    rng, (metres, degrees, metric) = np.random.default_rng(seed), KINDS[kind]
    count = math.ceil(share / (1.0 - share) * len(graph.links))
    C = np.diag([metres**2] * 3 + [math.radians(degrees) ** 2] * 3)
    wrong = []
    for _ in range(count):
        before, after = sorted(rng.choice(len(graph.poses), 2, replace=False).tolist())
        wrong.append(link(before, after, np.eye(4), C, metric))
    return replace(graph, links=np.concatenate([graph.links, *wrong]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('map', type=Path)
    parser.add_argument('bag', type=Path, help='the drive, with its true poses')
    parser.add_argument('--truth', default='', help='topic of the true poses')
    parser.add_argument('--wrong', type=float, default=0.2, help='share of wrong closures')
    parser.add_argument('--seeds', type=int, default=10)
    given = parser.parse_args()
    place_map = open_map(given.map)
    true = {f.stamp_ns: f.pose for f in BagFrames(given.bag, pose_topic=given.truth)}
    truth = {i: true.get(place.stamp_ns) for i, place in enumerate(place_map.places)}
    known = {i: pose for i, pose in truth.items() if pose is not None}

    def error(poses: np.ndarray) -> float:
        found = ape_m({i: poses[i] for i in known}, known)
        return math.nan if found is None else found

    graph = sketch(place_map).graph
    begun = replace(graph, poses=graph.odometry)
    print(f'{len(known)} keyframes, {len(graph.links)} closures')
    print(f'by odometry {error(graph.odometry):.2f} m, as saved {error(graph.poses):.2f} m')
    for kind in KINDS:
        spoilt = [spoiled(begun, given.wrong, seed, kind) for seed in range(given.seeds)]
        errors = [error(straighten(each, GraphConfig()).poses) for each in spoilt]
        added = len(spoilt[0].links) - len(graph.links)
        print(f'{added} wrong closures {kind}, {given.seeds} seeds: {np.mean(errors):.2f} m in '
              f'the mean, {max(errors):.2f} m at most')  # fmt: skip


if __name__ == '__main__':
    main()
