# SPDX-License-Identifier: MIT
"""A recording whose stamps say nothing has the times of its recording, and says so once."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.survey import Clock

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ('stamps', 'expected'),
    [
        ([0, 0], [100, 101]),
        ([5, 6, 7], [5, 6, 7]),
        ([5, 5, 6], [5, 5, 6]),  # written twice
        ([5, 5, 5, 5], [100, 101, 102, 103]),
        ([100, 0, 102], [100, 101, 102]),
        ([100, 101, 102, 103, 104, 104, 104], [100, 101, 102, 103, 104, 105, 106]),
    ],
)
def test_the_time_of_recording_takes_the_place_of_a_stamp_that_says_nothing(
    stamps: list[int], expected: list[int]
) -> None:
    clock = Clock([(100 + i, stamp) for i, stamp in enumerate(stamps)])
    assert [clock.stamp(100 + i, stamp) for i, stamp in enumerate(stamps)] == expected
    assert (clock.replaced > 0) == (stamps != expected)


def write_bag(path: Path) -> None:
    """Ten images with stamp 0, recorded twice a second, and poses 1 m apart with right stamps."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import get_typestore, Stores

    store = get_typestore(Stores.ROS2_JAZZY)
    t = store.types
    image, pose = 'sensor_msgs/msg/Image', 'geometry_msgs/msg/PoseStamped'
    header, time = t['std_msgs/msg/Header'], t['builtin_interfaces/msg/Time']
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        to_image = bag.add_connection('/image', image, typestore=store)
        to_pose = bag.add_connection('/pose', pose, typestore=store)
        for i in range(10):
            at = START + i * SECOND // 2
            picture = np.full(8 * 8 * 3, 20 * i, np.uint8)
            message = t[image](header(time(0, 0), 'camera'), 8, 8, 'rgb8', 0, 24, picture)
            bag.write(to_image, at, store.serialize_cdr(message, image))
            stamp = time(at // SECOND, at % SECOND)
            place = t['geometry_msgs/msg/Pose'](
                t['geometry_msgs/msg/Point'](float(i), 0.0, 0.0),
                t['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0),
            )
            bag.write(to_pose, at, store.serialize_cdr(t[pose](header(stamp, 'map'), place), pose))


def test_images_without_stamps_find_their_poses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_bag(tmp_path / 'bag')
    with caplog.at_level(logging.WARNING):
        bag = BagFrames(tmp_path / 'bag')
        frames = list(bag)
    assert [f.stamp_ns for f in frames] == [START + i * SECOND // 2 for i in range(10)]
    assert [f.pose[0, 3] for f in frames if f.pose is not None] == list(range(10))
    assert list(bag.truth()) == [f.stamp_ns for f in frames]
    assert 'header.stamp of 10 of 10 images' in caplog.text and 'let the driver' in caplog.text
