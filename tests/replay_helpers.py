# SPDX-License-Identifier: MIT
"""For the tests that replay bags."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, Writer

from selavpr_model.poses import pose_matrix
from selavpr_model.records import Frame
from selavpr_ros.cli import main

TRUTH = '/ground_truth/pose'


def moved(frame: Frame) -> Frame:
    """The same place a little later, darker, cut at two sides and from 1 m to the side."""
    height, width = frame.image.shape[:2]
    image = (frame.image[height // 20 :, width // 16 :] * 0.85).astype(np.uint8)
    side = pose_matrix((1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    assert frame.pose is not None
    later = frame.stamp_ns + 10**12
    return replace(
        frame, image=np.ascontiguousarray(image), pose=frame.pose @ side, stamp_ns=later
    )


def copy_bag(source: Path, out: Path, *images: str) -> Path:
    """The bag with its images on these topics instead: two cameras, or none."""
    with Reader(source) as read, Writer(out, version=9) as write:
        made = {}
        for c in read.connections:
            topics = images if c.msgtype.endswith('Image') else (c.topic,)
            made[c.id] = [
                write.add_connection(t, c.msgtype, msgdef=c.msgdef.data, rihs01=c.digest)
                for t in topics
            ]
        for connection, time, data in read.messages():
            for copied in made[connection.id]:
                write.write(copied, time, data)
    return out


def command(*arguments: str) -> int:
    """The exit code of `selavpr ARGUMENTS`."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)
