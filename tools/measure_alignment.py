# SPDX-License-Identifier: MIT
"""How well two drives lie in one frame after `selavpr map merge`, each by odometry of its own.

python tools/add_drift.py demo/winter build/moved --origin 100 0 70
selavpr slam demo/summer --truth /ground_truth/pose --out build/one
selavpr slam build/moved --truth /ground_truth/pose --out build/other
selavpr map merge build/one/map build/other/map --out build/merged
python tools/measure_alignment.py build/merged demo/summer build/moved --truth /ground_truth/pose
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from selavpr_model.evaluation.trajectory_error import fitted
from selavpr_model.maps.storage.store import open_map
from selavpr_model.poses import rotation_angles
from selavpr_ros.bags.reader import BagFrames


def apart(positions: np.ndarray, truth: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """(m at the second drive's middle, degrees) between the frames in which the two drives lie.

    positions, truth: (n, 3) of all places; second: (n,) whether a place is of the second drive.
    """
    one, other = (fitted(positions[k], truth[k]) for k in (~second, second))
    middle = np.append(positions[second].mean(axis=0), 1.0)
    metres = float(np.linalg.norm((one @ middle - other @ middle)[:3]))
    return metres, float(np.degrees(rotation_angles(one[None, :3, :3], other[:3, :3])[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('map', type=Path)
    parser.add_argument('bags', type=Path, nargs=2, help='the two drives, with their true poses')
    parser.add_argument('--truth', default='', help='topic of the true poses')
    given = parser.parse_args()
    place_map = open_map(given.map)
    true = [
        {f.stamp_ns: f.pose for f in BagFrames(bag, pose_topic=given.truth) if f.pose is not None}
        for bag in given.bags
    ]
    rows = [i for i, place in enumerate(place_map.places) if place.pose is not None]
    stamps = [place_map.places[i].stamp_ns for i in rows]
    second = np.array([stamp in true[1] for stamp in stamps])
    truth = np.array([true[int(k)][stamp][:3, 3] for k, stamp in zip(second, stamps, strict=True)])
    metres, degrees = apart(place_map.positions[rows], truth, second)
    print(f'{len(place_map)} places, {len(rows)} with a pose, {second.sum()} of the second drive')
    print(f'unaligned: {", ".join(sorted(place_map.unaligned_sessions)) or "none"}')
    print(f'the two drives are {metres:.2f} m and {degrees:.2f} degrees apart')


if __name__ == '__main__':
    main()
