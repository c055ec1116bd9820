# SPDX-License-Identifier: MIT
"""Live /tf and /tf_static, as on a robot: the set-up builds TFMessage (tools/tf_message)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from robot import Robot

from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.node import qos

TFMessage = pytest.importorskip('tf2_msgs.msg', reason='run make setup').TFMessage
HEIGHT_M = 1.5


def test_the_camera_sits_where_tf_static_says(ros: None, street_map: Path, street: Any) -> None:
    with Robot(map=str(street_map)) as robot:
        robot.until_active()
        publisher = robot.user.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)
        mounting = TransformStamped(header=to_ros.header(0, 'base_link'))
        mounting.child_frame_id = 'camera_optical'
        mounting.transform.translation.z = HEIGHT_M
        robot.publish(publisher, TFMessage(transforms=[mounting]))
        T_base_camera = np.eye(4)
        T_base_camera[2, 3] = HEIGHT_M
        camera = robot.camera()

        def seated() -> bool:
            poses = robot.heard['pose']
            before = len(poses)
            robot.ask(camera, street[2].image)
            robot.until(lambda: len(poses) > before, 'pose')
            pose = from_ros.pose_matrix(poses[-1])
            return bool(np.allclose(pose @ T_base_camera, street[2].pose, atol=1e-6))

        robot.until(seated, 'a pose of the base below the camera')


def test_map_to_odom_is_sent_where_it_is_asked_for(
    ros: None, street_map: Path, street: Any
) -> None:
    heard: list[Any] = []
    mounting = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    with Robot(map=str(street_map), publish_tf=True, base_camera=mounting) as robot:
        robot.until_active()
        robot.user.create_subscription(TFMessage, '/tf', heard.append, qos.reliable(100))
        odometry = robot.user.create_publisher(Odometry, 'odom', 10)
        camera = robot.camera()

        def sent() -> bool:
            stamp = robot.next_stamp()
            for offset in (-50_000_000, 50_000_000):
                message = Odometry(header=to_ros.header(stamp + offset, 'odom'))
                message.child_frame_id = 'base_link'
                message.pose.pose.position.x = 3.0
                message.pose.pose.orientation.w = 1.0
                robot.publish(odometry, message)
            robot.rest(0.1)
            robot.ask(camera, robot.picture(street[3].image, stamp))
            robot.rest(0.2)
            return bool(heard)

        robot.until(sent, 'map -> odom on /tf')
    (transform,) = heard[-1].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ('map', 'odom')
    T_odom_camera = np.eye(4)
    T_odom_camera[0, 3] = 3.0
    T_map_odom = street[3].pose @ np.linalg.inv(T_odom_camera)
    moved = transform.transform.translation
    np.testing.assert_allclose([moved.x, moved.y, moved.z], T_map_odom[:3, 3], atol=1e-6)
