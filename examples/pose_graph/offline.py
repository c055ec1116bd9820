# SPDX-License-Identifier: MIT
"""Drive a bag in SLAM mode with drift added, and correct its way with the closures found.

python examples/pose_graph/offline.py demo/summer --truth /ground_truth/pose --out build/graph
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
import json
import math
from pathlib import Path

from graph import PoseGraph, trajectory_error
import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.features.extractor import load_extractor
from selavpr_model.poses import inverse
from selavpr_model.records import ClosureKind, Frame, PoseKind
from selavpr_model.runtime.threads import share_cores
from selavpr_ros.replay.slam import Drive, drive_through, open_session, SlamRequest


def main() -> None:
    arguments = parse()
    share_cores()
    request = SlamRequest(arguments.source, arguments.out, arguments.truth,
                          unit_m=arguments.unit_m)  # fmt: skip
    drive = Drive(request)
    slam = open_session(request, load_extractor(request.extractor))
    run, spots = drive_through(drifting(drive, arguments), slam)
    truth = np.array([drive.poses[i] for i in spots])
    result = {'keyframes': len(spots), 'drift': [arguments.yaw_deg_per_m, arguments.scale]}
    result['error_m before'] = trajectory_error(np.array(list(spots.values())), truth)
    graph = graph_of(run, spots)
    solved = graph.optimise()
    result['verified closures'] = len(graph.closures)
    result['error_m after'] = trajectory_error(np.array(list(solved.values())), truth)
    add_wrong(graph, arguments.wrong, arguments.seed)
    result['wrong closures added'] = len(graph.closures) - result['verified closures']
    spoiled = graph.optimise()
    result['error_m after, with wrong ones'] = trajectory_error(
        np.array(list(spoiled.values())), truth
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / 'pose_graph.json').write_text(json.dumps(result, indent=2) + '\n')
    draw(arguments.out / 'pose_graph.png', truth, spots, solved)
    print(json.dumps(result, indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=Path, help='bag with odometry, or folder with poses')
    parser.add_argument('--truth', default='', help='topic of the true poses in a bag')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--unit-m', type=float, default=1.0, help="metres in a folder's unit")
    parser.add_argument('--yaw-deg-per-m', type=float, default=0.1, help='added turn')
    parser.add_argument('--scale', type=float, default=1.0, help='of every length')
    parser.add_argument('--wrong', type=float, default=0.2, help='share of wrong closures added')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def drifting(drive: Drive, arguments: argparse.Namespace) -> Iterator[Frame]:
    """The frames, their odometry turned and stretched a little more with every metre."""
    rng = np.random.default_rng(arguments.seed)
    last = added = None
    for frame in drive:
        if frame.odom is None:
            yield frame
            continue
        if last is None:
            last = added = frame.odom
        motion = inverse(last) @ frame.odom
        last, metres = frame.odom, float(np.linalg.norm(motion[:3, 3]))
        motion[:3, 3] *= arguments.scale
        turn = math.radians(arguments.yaw_deg_per_m) * metres * (1 + 0.5 * rng.normal())
        motion[:3, :3] = motion[:3, :3] @ Rotation.from_euler('y', turn).as_matrix()
        added = added @ motion
        yield replace(frame, odom=added)


def graph_of(run, spots) -> PoseGraph:
    """Keyframes are named by their frame; only VERIFIED closures become edges."""
    graph = PoseGraph()
    for index, pose in spots.items():
        graph.add_keyframe(index, pose)
    for closure in run.closures:
        if closure.kind is ClosureKind.VERIFIED:
            metric = closure.pose_kind is PoseKind.METRIC
            graph.add_closure(
                run.frames[closure.before.id], run.frames[closure.after.id],
                closure.pose if metric else None, closure.covariance if metric else None,
            )  # fmt: skip
    return graph


def add_wrong(graph: PoseGraph, share: float, seed: int) -> None:
    """As if a candidate had been believed unverified: random pairs of keyframes as closures."""
    rng = np.random.default_rng(seed)
    for _ in range(math.ceil(share * len(graph.closures))):
        a, b = sorted(rng.choice(graph.keys, 2, replace=False).tolist())
        graph.add_closure(a, b)


def draw(path: Path, truth, spots, solved) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), layout='constrained')
    axes = figure.add_subplot()
    flat = sorted(np.argsort(np.ptp(truth[:, :3, 3], axis=0))[1:])
    start = truth[0] @ inverse(next(iter(spots.values())))
    for name, poses, colour in (
        ('truth', truth, '#999999'),
        ('odometry', [start @ p for p in spots.values()], '#d1495b'),
        ('corrected', [start @ p for p in solved.values()], '#2a9d3a'),
    ):
        axes.plot(*np.array([p[:3, 3] for p in poses])[:, flat].T, c=colour, label=name)
    axes.set_aspect('equal')
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == '__main__':
    main()
