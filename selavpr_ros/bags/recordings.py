# SPDX-License-Identifier: MIT
"""What commands take as a recording: a bag, a video or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import MapConfig, ReplayConfig
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.data.sequences import layout_of
from selavpr_model.data.source_report import Source
from selavpr_model.data.video import is_video, VideoFrames
from selavpr_model.errors import SourceError
from selavpr_ros.bags.files import is_bag
from selavpr_ros.bags.reader import BagFrames, DEFAULTS

LFS = b'version https://git-lfs'
Recording = BagFrames | ImageFolder | VideoFrames


def open_recording(
    source: Path, poses: str, image_topic: str = '', base_camera: np.ndarray | None = None,
    config: ReplayConfig = DEFAULTS,
) -> Recording:  # fmt: skip
    """Its frames. poses: pose topic of a bag, or a file; see BagFrames and ImageFolder."""
    if not source.exists():
        raise SourceError(
            f'{source}: does not exist; expected a folder of images, a bag (ROS 2 or 1) or a video'
        )
    if _is_pointer(source):
        raise SourceError(f'{source}: is a pointer of git LFS; run git lfs pull in its repository')
    if is_bag(source):
        return BagFrames(source, image_topic, poses, base_camera, config=config)
    if is_video(source):
        return VideoFrames(source, poses, base_camera)
    if not source.is_dir() and layout_of(source) is None:  # RTAB-Map's database is a file
        raise SourceError(
            f'{source}: expected a folder of images, a bag (.mcap, .db3, .bag) or a video '
            '(.mp4, .avi), got another file'
        )
    return ImageFolder(source, poses, base_camera)


def _is_pointer(source: Path) -> bool:
    """Whether git LFS left a text where a recording would be."""
    if not source.is_file() or source.stat().st_size > 1000:
        return False
    with source.open('rb') as file:
        return file.read(len(LFS)) == LFS


def origin_of(recording: Recording, source: Path) -> dict[str, Any]:
    """What a map says about where it is from, before its images were decoded."""
    kinds = {ImageFolder: 'folder', VideoFrames: 'video', BagFrames: 'bag'}
    told = {'kind': kinds[type(recording)], 'path': str(source)}
    if isinstance(recording, BagFrames):
        told['image'] = recording.image_topic
    report = recording.report
    known = report.to_dict() if report.images else {}  # a video does not say it
    return {**told, 'poses': report.poses, **known}


def map_frame_of(recording: Source) -> str:
    """The coordinate frame of its poses."""
    return recording.map_frame if isinstance(recording, BagFrames) else MapConfig().frame_id
