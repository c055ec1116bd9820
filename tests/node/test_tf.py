# SPDX-License-Identifier: MIT
"""Where the camera sits, by live /tf and /tf_static (the set-up builds TFMessage)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot import Robot
from tf_helpers import pose, SECOND, TFMessage, transform, until_heard

from selavpr_ros.convert import from_ros
from selavpr_ros.node import qos

pytestmark = pytest.mark.usefixtures('ros')
LATCHED = qos.TF_STATIC


def seen_from(robot: Robot, camera: Any, message: Any) -> np.ndarray:
    """(4, 4) T_map_base that the node gives for an image."""
    answer = robot.ask(camera, message)
    poses = robot.heard['pose']
    stamps = lambda: [p.header.stamp for p in poses]  # noqa: E731
    robot.until(lambda: answer.header.stamp in stamps(), 'pose')
    return from_ros.pose_matrix(poses[stamps().index(answer.header.stamp)])


def test_the_camera_sits_where_tf_static_says(street_map: Path, street: Any) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        publisher = robot.user.create_publisher(TFMessage, '/tf_static', LATCHED)
        robot.publish(publisher, transform('base_link', 'camera_optical', pose(z=1.5)))
        camera = robot.camera()

        def seated() -> bool:
            T_map_base = seen_from(robot, camera, robot.picture(street[2].image))
            return bool(np.allclose(T_map_base @ pose(z=1.5), street[2].pose, atol=1e-6))

        robot.until(seated, 'a pose of the base below the camera')
        assert robot.localizer.mounting.trouble() is None


def test_a_camera_on_a_joint_sits_where_tf_says_at_the_image(
    street_map: Path, street: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """base_link -> pan on /tf, pan -> camera_optical on /tf_static."""
    resets: list[int] = []
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        static = robot.user.create_publisher(TFMessage, '/tf_static', LATCHED)
        joints = robot.user.create_publisher(TFMessage, '/tf', 10)
        robot.publish(static, transform('pan', 'camera_optical', pose(x=0.2)))
        camera = robot.camera()
        robot.ask(camera, street[2].image)  # now /tf is needed
        robot.until(joints.get_subscription_count, 'subscription to /tf')
        reset = robot.localizer.pipeline.reset
        for k in range(5):
            stamp = robot.next_stamp()
            for offset, angle in ((-SECOND // 20, 10.0 * k), (SECOND // 20, 10.0 * k + 20.0)):
                joints.publish(transform('base_link', 'pan', pose(yaw_deg=angle), stamp + offset))
            until_heard(robot, 'pan', stamp)
            found = seen_from(robot, camera, robot.picture(street[2].image, stamp))
            T_base_camera = pose(yaw_deg=10.0 * k + 10.0) @ pose(x=0.2)
            np.testing.assert_allclose(found @ T_base_camera, street[2].pose, atol=1e-6)
            if k == 0:
                monkeypatch.setattr(
                    robot.localizer.pipeline, 'reset', lambda: (resets.append(1), reset())
                )
        assert not resets  # a joint that moves is the same mounting
        robot.ask(camera, robot.picture(street[2].image, robot.next_stamp() + 5 * SECOND))
        robot.until(
            lambda: "'pan' on /tf do not reach it" in robot.diagnostic('Localization').message,
            'the joint that is no longer told',
        )
        assert 'another clock' in robot.diagnostic('Localization').message


def test_a_joint_that_is_told_a_little_late_is_waited_for(street_map: Path, street: Any) -> None:
    with Robot(map=str(street_map), tf_gap_s=0.0) as robot:
        robot.until_active()
        joints = robot.user.create_publisher(TFMessage, '/tf', 10)
        camera = robot.camera()
        robot.ask(camera, street[2].image)
        robot.until(joints.get_subscription_count, 'subscription to /tf')

        def waited() -> bool:
            stamp = robot.next_stamp()
            before = transform('base_link', 'camera_optical', pose(x=1.0), stamp - SECOND // 10)
            after = transform('base_link', 'camera_optical', pose(x=3.0), stamp + SECOND // 10)
            joints.publish(before)
            until_heard(robot, 'camera_optical', stamp - SECOND // 10)
            robot.publish(camera, robot.picture(street[2].image, stamp))
            robot.rest(0.02)
            joints.publish(after)
            found = seen_from(robot, camera, robot.picture(street[2].image, stamp))
            return bool(np.allclose(found @ pose(x=2.0), street[2].pose, atol=1e-6))

        robot.until(waited, 'a pose by the transform after the image')


def test_a_namespaced_robot_hears_its_own_tree(street_map: Path, street: Any) -> None:
    remap = ('/tf:=tf', '/tf_static:=tf_static')
    with Robot(remap=remap, map=str(street_map)) as robot:
        robot.until_active()
        publisher = robot.user.create_publisher(TFMessage, 'tf_static', LATCHED)
        robot.publish(publisher, transform('base_link', 'camera_optical', pose(z=2.0)))
        camera = robot.camera()
        until_heard(robot, 'camera_optical')
        found = seen_from(robot, camera, robot.picture(street[4].image))
        np.testing.assert_allclose(found @ pose(z=2.0), street[4].pose, atol=1e-6)


def test_transforms_on_other_topics_or_under_other_names_are_named(
    street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        own = robot.user.create_publisher(TFMessage, 'tf_static', LATCHED)
        there = f'{robot.namespace}/tf_static'
        robot.until(lambda: robot.localizer.count_publishers(there), 'the other topic')
        camera = robot.camera()
        robot.ask(camera, street[4].image)

        def said() -> str:
            return str(robot.diagnostic('Localization').message)

        robot.until(lambda: f'remap -r /tf:={robot.namespace}/tf' in said(), 'the other topic')
        assert there in said() and 'base_camera is not given' in said()
        robot.user.destroy_publisher(own)
        publisher = robot.user.create_publisher(TFMessage, '/tf_static', LATCHED)
        robot.publish(publisher, transform('r1/base_link', 'camera_optical', pose()))
        robot.until(lambda: 'set base_frame:=r1/base_link' in said(), 'the other name')
        assert robot.set('base_frame', 'r1/base_link').successful
        robot.ask(camera, street[4].image)
        robot.until(lambda: robot.diagnostic('Localization').level == b'\x00', 'a known mounting')


def test_a_transform_that_is_none_is_named_and_the_others_count(
    street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        publisher = robot.user.create_publisher(TFMessage, '/tf_static', LATCHED)
        bad = transform('base_link', 'arm', pose())
        bad.transforms[0].transform.rotation.w = 0.0
        good = transform('base_link', 'camera_optical', pose(z=1.0))
        robot.publish(publisher, TFMessage(transforms=[*bad.transforms, *good.transforms]))
        camera = robot.camera()
        until_heard(robot, 'camera_optical')
        found = seen_from(robot, camera, robot.picture(street[4].image))
        np.testing.assert_allclose(found @ pose(z=1.0), street[4].pose, atol=1e-6)
