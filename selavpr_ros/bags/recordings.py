# SPDX-License-Identifier: MIT
"""What commands take as a recording: a ROS 2 bag or a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.data.sequences import layout_of
from selavpr_model.errors import SourceError
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.topics import is_bag


def open_recording(
    source: Path, poses: str, image_topic: str = '', base_camera: np.ndarray | None = None
) -> BagFrames | ImageFolder:
    """Its frames. poses: pose topic of a bag, or a file; see BagFrames and ImageFolder."""
    if not source.exists():
        raise SourceError(f'{source}: does not exist; expected a folder of images or a ROS 2 bag')
    if is_bag(source):
        return BagFrames(source, image_topic, poses, base_camera)
    if not source.is_dir() and layout_of(source) is None:  # RTAB-Map's database is a file
        raise SourceError(
            f'{source}: expected a folder of images or a ROS 2 bag, got a file; of a video, '
            'write the images into a folder first'
        )
    return ImageFolder(source, poses, base_camera)
