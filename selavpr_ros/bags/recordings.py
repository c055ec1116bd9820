# SPDX-License-Identifier: MIT
"""What commands take as a recording: a bag, a video or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.data.sequences import layout_of
from selavpr_model.data.video import is_video, VideoFrames
from selavpr_model.errors import SourceError
from selavpr_ros.bags.files import is_bag
from selavpr_ros.bags.reader import BagFrames

Recording = BagFrames | ImageFolder | VideoFrames


def open_recording(
    source: Path, poses: str, image_topic: str = '', base_camera: np.ndarray | None = None
) -> Recording:
    """Its frames. poses: pose topic of a bag, or a file; see BagFrames and ImageFolder."""
    if not source.exists():
        raise SourceError(
            f'{source}: does not exist; expected a folder of images, a bag (ROS 2 or 1) or a video'
        )
    if is_bag(source):
        return BagFrames(source, image_topic, poses, base_camera)
    if is_video(source):
        return VideoFrames(source, poses, base_camera)
    if not source.is_dir() and layout_of(source) is None:  # RTAB-Map's database is a file
        raise SourceError(
            f'{source}: expected a folder of images, a bag (.mcap, .db3, .bag) or a video '
            '(.mp4, .avi), got another file'
        )
    return ImageFolder(source, poses, base_camera)


def origin_of(recording: Recording, source: Path) -> dict[str, Any]:
    """What a map says about where it is from."""
    if isinstance(recording, ImageFolder):
        return {'kind': 'folder', 'path': str(source), 'poses': str(recording.pose_source),
                **recording.report.to_dict()}  # fmt: skip
    if isinstance(recording, VideoFrames):
        return {'kind': 'video', 'path': str(source), 'poses': recording.pose_source}
    told = {'kind': 'bag', 'path': str(source), 'image': recording.image_topic,
            'poses': recording.pose_topic}  # fmt: skip
    if not recording.origin:
        return told
    names = ('latitude', 'longitude', 'altitude')
    return {**told, 'origin': dict(zip(names, recording.origin, strict=True))}
