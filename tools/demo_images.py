#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the demo's two drives as folders of images with their poses.

The folders are read by ImageFolder, `selavpr map build` and `selavpr evaluate`.
Example: python tools/demo_images.py build/town
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
from scipy.spatial.transform import Rotation

from selavpr_model.records import Frame
from selavpr_ros.bags.reader import BagFrames

RUNS = ('summer', 'winter')
COLUMNS = ('file', 'stamp', 'x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')
DEMO = Path(__file__).resolve().parent.parent / 'demo'


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('out', type=Path, help='folder to write summer/ and winter/ into')
    parser.add_argument('--demo', type=Path, default=DEMO, help='folder of the bags')
    given = parser.parse_args()
    for run in RUNS:
        bag = BagFrames(given.demo / run, pose_topic='/ground_truth/pose')
        print(write(list(bag), given.out / run))


def write(frames: list[Frame], folder: Path) -> Path:
    """One lossless image a frame, and poses.csv with T_map_camera."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / 'poses.csv').open('w', newline='') as file:
        table = csv.writer(file, lineterminator='\n')
        table.writerow(COLUMNS)
        for index, frame in enumerate(frames):
            name = f'{index:06d}.png'
            cv2.imwrite(str(folder / name), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
            table.writerow((name, frame.stamp_ns, *pose_of(frame)))
    return folder


def pose_of(frame: Frame) -> list[str]:
    """Position in m and quaternion x, y, z, w of the camera in the map."""
    assert frame.pose is not None
    turn = Rotation.from_matrix(frame.pose[:3, :3]).as_quat()
    return [f'{value:.9f}' for value in (*frame.pose[:3, 3], *turn)]


if __name__ == '__main__':
    main()
