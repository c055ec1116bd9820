# SPDX-License-Identifier: MIT
"""Transforms that contradict each other are named, over DDS; the last one counts, as in tf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseStamped
import pytest
from robot import Robot
from tf_helpers import pose, TFMessage, transform, until_heard

from selavpr_ros.node import qos
from selavpr_ros.node.tf.disputes import Disputes

CAMERA = ('base_link', 'camera_optical')


def test_what_is_told_again_or_moves_is_no_dispute() -> None:
    disputes = Disputes()
    for k in range(3):
        assert not disputes.see(transform(*CAMERA, pose(z=1.5 + 0.001 * k)), static=True)
        assert not disputes.see(transform('odom', 'base_link', pose(x=3.0 * k), k), static=False)
        assert not disputes.see(transform('/odom', '/base_link', pose(x=3.0 * k), k), static=False)
    assert disputes.between(*CAMERA) is None


@pytest.mark.parametrize('other', [pose(z=1.0), pose(z=1.5, yaw_deg=5.0)])
def test_a_static_transform_of_two_values_is_one(other: Any) -> None:
    disputes = Disputes()
    disputes.see(transform(*CAMERA, pose(z=1.5)), static=True)
    (text,) = disputes.see(transform(*CAMERA, other), static=True)
    assert "'camera_optical' below 'base_link' was told twice on /tf_static" in text
    assert disputes.between(*CAMERA) == text
    assert disputes.between('base_link', 'lidar') is None  # of another frame


def test_a_dispute_in_the_middle_of_the_way_counts() -> None:
    disputes = Disputes()
    disputes.see(transform('mast', 'camera_optical', pose()), static=True)
    disputes.see(transform('base_link', 'mast', pose()), static=False)
    disputes.see(transform('elevator', 'mast', pose()), static=False)
    assert "'mast' is told to be below 'base_link' and below 'elevator'" in str(
        disputes.between(*CAMERA)
    )


def test_a_loop_ends_and_a_stranger_cannot_fill_it() -> None:
    disputes = Disputes()
    disputes.see(transform('a', 'b', pose()), static=True)
    disputes.see(transform('b', 'a', pose()), static=True)
    assert disputes.between('base_link', 'a') is None
    for k in range(3000):
        disputes.see(transform('a', f'x{k}', pose()), static=False)
    assert len(disputes._told) <= 2000


def test_two_publishers_that_disagree_are_in_the_diagnostics(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        camera = robot.camera()
        for height in (1.5, 2.5):
            publisher = robot.user.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)
            robot.publish(publisher, transform(*CAMERA, pose(z=height)))
            until_heard(robot, 'camera_optical')
        robot.ask(camera, street[2].image)
        text = 'was told twice on /tf_static, 1.00 m and 0 degrees apart'
        robot.until(
            lambda: text in robot.diagnostic('Localization').message, 'the dispute about height'
        )
        assert robot.diagnostic('Localization').level == b'\x01'


def test_odometry_of_another_type_is_named(ros: None, street_map: Path) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        other = robot.user.create_publisher(PoseStamped, 'odom', 10)
        other.publish(PoseStamped())
        text = 'it is of type geometry_msgs/msg/PoseStamped, expected nav_msgs/msg/Odometry; remap'
        robot.until(lambda: text in robot.diagnostic('Odometry').message, 'the type of odometry')
