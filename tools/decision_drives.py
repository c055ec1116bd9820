# SPDX-License-Identifier: MIT
"""Drives and the maps that they are asked against, for tools/measure_decision.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import csv
from dataclasses import dataclass, replace
import itertools
from pathlib import Path
import sys

import cv2
import numpy as np

from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.poses import inverse
from selavpr_model.records import Camera, Frame, SECOND
from selavpr_ros.bags.reader import BagFrames

TOOLS = Path(__file__).resolve().parent
TRUTH = '/ground_truth/pose'
PERIOD_NS = SECOND // 5  # of the towns' and the circuits' images
UNIT_M = 0.2  # of the circuits
LAP = 42  # images of rtabmap_loop's first lap
LENGTH_NOISE, TURN_NOISE_DEG = 0.01, 0.5  # of odometry, 1 sigma a metre


@dataclass(frozen=True, eq=False)
class Asked:
    """mapped: the frames of the map; queries: a drive with odometry where there is some; same:
    (queries, mapped) bool, which show one place, None: by their poses."""

    name: str
    mapped: Sequence[Frame]
    queries: Sequence[Frame]
    same: np.ndarray | None = None


def demo(run: str) -> list[Frame]:
    """A drive of the demo, with true poses and its own odometry."""
    return list(BagFrames(TOOLS.parent / 'demo' / run, pose_topic=TRUTH))


def demo_sets() -> Iterator[Asked]:
    """Summer on its own map, in a map of every other frame, and with a stretch not mapped."""
    summer, winter = demo('summer'), demo('winter')
    yield Asked('summer, its own map', summer, summer)
    yield Asked('summer, every other frame', summer[::2], summer[1::2])
    short = summer[:165:2]
    yield Asked('summer, a stretch unmapped', [*short[:30], *short[50:]], summer[1:165:2])
    yield Asked('winter', summer, winter)


def circuits(data: Path) -> Iterator[Asked]:
    """The second lap in a map of the first, and of two thirds of the first."""
    for folder in sorted(data.iterdir()):
        with (folder / 'poses.csv').open(newline='') as file:
            laps = np.array([int(float(row['lap'])) for row in csv.DictReader(file)])
        frames = [_scaled(frame, i) for i, frame in enumerate(ImageFolder(folder))]
        first, second = (
            [f for f, lap in zip(frames, laps, strict=True) if (lap == laps[0]) is mine]
            for mine in (True, False)
        )
        second = with_odometry(second, 1)
        third = len(first) // 3
        yield Asked(folder.name, first, second)
        yield Asked(f'{folder.name}, two thirds', [*first[:third], *first[2 * third :]], second)


def _scaled(frame: Frame, number: int) -> Frame:
    assert frame.pose is not None
    pose = frame.pose.copy()
    pose[:3, 3] *= UNIT_M
    return replace(frame, pose=pose, stamp_ns=number * PERIOD_NS)


def town(folder: Path) -> Asked:
    """Summer and winter as tools/render_town.py renders them; those that are there."""
    sys.path.insert(0, str(TOOLS))
    from town.routes import HORIZONTAL_FOV_DEG, T_base_camera

    drives = []
    for run in ('summer', 'winter'):
        images = ImageFolder(folder / run, base_camera=T_base_camera())
        frames = [_with_camera(frame, HORIZONTAL_FOV_DEG) for frame in images]
        drives.append([replace(f, stamp_ns=int(Path(f.name).stem) * PERIOD_NS) for f in frames])
    return Asked(f'town {folder.name}', drives[0], with_odometry(drives[1], int(folder.name)))


def _with_camera(frame: Frame, view_deg: float) -> Frame:
    height, width = frame.image.shape[:2]
    focal = width / 2 / np.tan(np.radians(view_deg) / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    return replace(frame, camera=Camera(K, np.zeros(0), (width, height)))


def rtabmap(folder: Path) -> Asked:
    """The second lap of a corridor in a map of its first; without poses and odometry."""
    images = ImageFolder(folder, 'none')
    frames = [replace(f, pose=None) for f in images if Path(f.name).stem != 'truth']
    truth = cv2.imread(str(folder / 'truth.png'), cv2.IMREAD_GRAYSCALE) > 0
    return Asked('rtabmap_loop', frames[:LAP], frames[LAP:], truth[LAP:, :LAP])


def with_odometry(frames: Sequence[Frame], seed: int) -> list[Frame]:
    """From true poses, with noise in length and heading about the axis across the ground."""
    poses = [np.asarray(frame.pose) for frame in frames]
    up = np.zeros(3)
    up[int(np.argmin(np.ptp([T[:3, 3] for T in poses], axis=0)))] = 1.0
    rng, odom = np.random.default_rng(seed), [np.eye(4)]
    for before, after in itertools.pairwise(poses):
        motion = inverse(before) @ after
        metres = np.linalg.norm(motion[:3, 3])
        motion[:3, 3] *= 1.0 + LENGTH_NOISE * rng.normal()
        turn = before[:3, :3].T @ up * np.radians(TURN_NOISE_DEG) * metres * rng.normal()
        motion[:3, :3] = np.asarray(cv2.Rodrigues(turn)[0]) @ motion[:3, :3]
        odom.append(odom[-1] @ motion)
    return [replace(frame, odom=T) for frame, T in zip(frames, odom, strict=True)]
