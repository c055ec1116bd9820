# SPDX-License-Identifier: MIT
"""A file of poses beside a bag: what a tracker, a total station or another run wrote of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.pose_tables import By, read_table
from selavpr_model.errors import SourceError
from selavpr_model.poses import PoseTrack
from selavpr_ros.bags.camera_poses import CameraPoses
from selavpr_ros.bags.survey import Clock, meet
from selavpr_ros.bags.topics import NO_POSE, TRANSFORMS

SUFFIXES = ('.txt', '.csv', '.tum', '.tsv', '.bin')


def pose_file(bag: Path, name: str) -> Path | None:
    """The file that `--poses NAME` means, here or in the bag's folder; None where it is a topic.

    SourceError for the name of a file that is not there.
    """
    if name in ('', NO_POSE) or name.startswith(TRANSFORMS):
        return None
    folder = bag if bag.is_dir() else bag.parent
    found = next((p for p in (Path(name), folder / name) if p.is_file()), None)
    if found is None and name.lower().endswith(SUFFIXES):
        raise SourceError(
            f'{bag}: --poses {name}: expected a file of poses here or in {folder}, got none; give '
            'its whole path, or a topic of the bag'
        )
    return found


def of_file(path: Path, clock: Clock, base_camera: np.ndarray | None, gap_ns: int) -> CameraPoses:
    """The poses of a file with times, by the images' stamps, or else by when they were recorded.

    base_camera: T_base_camera where they are those of a body; None: they are the camera's.
    """
    table = read_table(path, base_camera)
    rows = [row for row in table.rows if row.pose is not None and row.stamp_ns is not None]
    if table.by is not By.STAMP or not rows:
        raise SourceError(
            f'{path}: expected poses with times for the images of a bag (TUM: stamp x y z qx qy '
            f'qz qw), got {len(rows)} with times ({table.words}); add the times'
        )
    stamps = [row.stamp_ns for row in rows if row.stamp_ns is not None]
    span = min(stamps), max(stamps)
    recorded = not meet(clock.span(False), span, gap_ns) and meet(clock.span(True), span, gap_ns)
    track = PoseTrack(stamps, [row.pose for row in rows if row.pose is not None])
    words = f'{path.name} ({table.words}), {len(rows)} poses'
    return CameraPoses(track, np.eye(4), recorded, words, span, len(rows), origin=table.origin)
