# SPDX-License-Identifier: MIT
"""initialpose as RViz's 2D Pose Estimate gives it: places there are believed in first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile
from robot import Robot
from tf_helpers import AT_BASE, between, pose, Wheels

from selavpr_model.config import RecognizerConfig, TemporalConfig
from selavpr_model.errors import InputError
from selavpr_model.maps.storage.store import open_map
from selavpr_model.poses import pose_matrix
from selavpr_model.recognizer import PlaceRecognizer, prior_weights
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.node import qos
from selavpr_ros.node.nav2.initial_pose import completed

ROSOUT = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # with what was said
ESTIMATE = np.zeros(36)
ESTIMATE[[0, 7, 35]] = 0.25, 0.25, 0.0685  # as RViz sends it


def estimate(T_map_base: np.ndarray, frame: str = 'map') -> Any:
    message = PoseWithCovarianceStamped(header=to_ros.header(1, frame))
    message.pose.pose = to_ros.pose_of(T_map_base)
    message.pose.covariance = ESTIMATE
    return message


@pytest.fixture
def robot(ros: None, street_map: Path) -> Iterator[Robot]:
    with Robot(
        map=str(street_map), publish_tf=True, initialpose=True, base_camera=AT_BASE,
        temporal__enabled=True, no_image_after_s=600.0,
    ) as robot:  # fmt: skip
        yield robot.until_active()


def given_by(robot: Robot, message: Any) -> None:
    """Publish it, and wait until the node has said what it makes of it."""
    said: list[Any] = []
    log = robot.user.create_subscription(Log, '/rosout', said.append, ROSOUT)
    publisher = robot.user.create_publisher(
        PoseWithCovarianceStamped, 'initialpose', qos.reliable(1)
    )
    robot.until(lambda: publisher.get_subscription_count() > 0, 'subscription to initialpose')
    publisher.publish(message)
    topic = f'{robot.namespace}/initialpose'
    robot.until(lambda: any(topic in m.msg for m in said), 'a word about initialpose')
    robot.user.destroy_subscription(log)


def test_the_robot_is_placed_there_and_believed_to_be_there(
    robot: Robot, street: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    wheels = Wheels(robot)
    wheels.T_odom_base = pose(x=9.0)
    wheels.roll(0.4)
    there = street[5].pose @ pose(x=0.3)
    given_by(robot, estimate(there))
    robot.until(lambda: wheels.heard, 'map -> odom')
    assert between(wheels.T_map_odom() @ wheels.T_odom_base, there) < 1e-6
    belief = robot.localizer.pipeline.state.recognizer._decider.belief
    assert int(np.argmax(belief._belief)) == 5
    assert 'the robot is said to be at' in capfd.readouterr().err


@pytest.mark.parametrize('frame', ['odom', ''])
def test_a_pose_in_another_frame_is_refused_and_said(
    robot: Robot, street: Any, frame: str, capfd: pytest.CaptureFixture[str]
) -> None:
    given_by(robot, estimate(street[5].pose, frame))
    assert f"expected a pose in frame 'map', got {frame!r}" in capfd.readouterr().err


def test_a_pose_that_is_none_is_refused(
    robot: Robot, street: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    message = estimate(street[5].pose)
    message.pose.pose.orientation.w = message.pose.pose.orientation.z = 0.0
    message.pose.pose.orientation.x = message.pose.pose.orientation.y = 0.0
    given_by(robot, message)
    assert 'unit quaternion' in capfd.readouterr().err


def test_our_own_is_no_prior(robot: Robot, street: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert robot.set('temporal.enabled', False).successful
    camera, heard = robot.camera(), []
    robot.user.create_subscription(
        PoseWithCovarianceStamped, 'initialpose', heard.append, qos.reliable(10)
    )

    def found() -> bool:
        robot.ask(camera, street[3].image)
        return bool(heard)

    robot.until(found, 'initialpose of our own')
    robot.rest(0.5)
    assert 'said to be at' not in capfd.readouterr().err


def test_the_weights_are_those_of_the_places_around(
    street: Any, street_map: Path, extractor: Any
) -> None:
    place_map = open_map(street_map, extractor.identity)
    weights = prior_weights(place_map, street[4].pose, completed(ESTIMATE.reshape(6, 6)))
    assert int(np.argmax(weights)) == 4 and weights[4] == 1.0 and (weights >= 0.0).all()
    recognizer = PlaceRecognizer(extractor, place_map, RecognizerConfig(), TemporalConfig())
    far = pose_matrix((1e6, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    recognizer.expect(far, np.eye(6))  # nobody is there: as if nothing had been said
    belief = recognizer._decider.belief
    assert belief is not None
    np.testing.assert_allclose(belief._belief, belief._belief[0])


@given(hnp.arrays(float, (6, 6), elements=st.floats(-10, 10)))
def test_any_covariance_becomes_one(matrix: np.ndarray) -> None:
    full = completed(matrix)
    assert np.linalg.eigvalsh(full)[0] > 0.0
    np.testing.assert_allclose(full, full.T)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match='finite'):
        completed(np.full((6, 6), np.nan))


def test_what_rviz_says_is_kept_and_the_rest_is_wide() -> None:
    sigma = np.sqrt(np.diagonal(completed(ESTIMATE.reshape(6, 6))))
    np.testing.assert_allclose(sigma, [0.5, 0.5, 2.0, 0.2, 0.2, np.sqrt(0.0685)])
    assert from_ros.pose_covariance(estimate(np.eye(4))).shape == (6, 6)
