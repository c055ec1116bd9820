# SPDX-License-Identifier: MIT
"""What Nav2 gets: initialpose once a relocalisation, and map -> odom where tf2_msgs is there."""

from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
import pytest
from robot import Robot

from selavpr_ros.convert import from_ros
from selavpr_ros.node import qos

pytestmark = pytest.mark.usefixtures('ros')
SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND


def found_after(street, street_map, seconds, **parameters):
    """initialpose messages of a robot that is found, lost and found again after `seconds`."""
    heard = []
    with Robot(map=str(street_map), foreign_clock_s=1e9, **parameters) as robot:
        robot.user.create_subscription(
            PoseWithCovarianceStamped, 'initialpose', heard.append, qos.reliable(10)
        )
        robot.until_active()
        camera, nothing = robot.camera(), np.full((64, 64, 3), 90, np.uint8)
        views = [street[3].image, street[3].image, nothing, street[5].image]
        stamps = [0.0, 0.1, 0.2, seconds]
        for image, stamp in zip(views, stamps, strict=True):
            robot.ask(camera, robot.picture(image, START_NS + round(stamp * SECOND)))
        robot.until(lambda: len(robot.heard['pose']) == 3, 'three poses')
        robot.rest(0.3)
    return heard


def test_initialpose_comes_once_each_time_the_robot_is_found(street, street_map):
    heard = found_after(street, street_map, 11.0, initialpose=True)
    assert [from_ros.stamp_ns(m) - START_NS for m in heard] == [0, 11 * SECOND]
    for message in heard:
        covariance = np.asarray(message.pose.covariance).reshape(6, 6)
        assert message.header.frame_id == 'map' and (np.diagonal(covariance) > 0).all()
        assert not (covariance - np.diag(np.diagonal(covariance))).any()


def test_not_again_within_the_cooldown_and_not_unasked(street, street_map):
    assert len(found_after(street, street_map, 9.0, initialpose=True)) == 1
    assert found_after(street, street_map, 11.0) == []
