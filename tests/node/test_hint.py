# SPDX-License-Identifier: MIT
"""A tracker that asks where the robot is, as cuVSLAM does, over real DDS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_services_default
from robot import Robot
from tf_helpers import AT_BASE

from selavpr_model.errors import ConfigError
from selavpr_model.poses import inverse
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import from_ros

pytestmark = pytest.mark.usefixtures('ros')
GREY = np.full((64, 64, 3), 90, np.uint8)
NEAR_M = 5.0


class Tracker:
    """What cuVSLAM's node does with these topics: it tries each pose that it gets, and asks for
    another where the pose is too far from where it is to be found.
    """

    def __init__(
        self, namespace: str, T_map_base: np.ndarray, folder: str = 'visual_slam'
    ) -> None:
        self.node = rclpy.create_node('visual_slam_node', namespace=namespace)
        self.T_map_base, self.heard = T_map_base, []
        self.localized = False
        kind, hint = PoseWithCovarianceStamped, f'{folder}/initial_pose'
        self.node.create_subscription(kind, hint, self._on_hint, qos_profile_services_default)
        self.trigger = self.node.create_publisher(kind, f'{folder}/trigger_hint', 10)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def _on_hint(self, message: Any) -> None:
        self.heard.append(message)
        moved = inverse(self.T_map_base) @ from_ros.pose_matrix(message)
        self.localized = message.header.frame_id == 'map' and bool(
            np.linalg.norm(moved[:3, 3]) < NEAR_M
        )
        if not self.localized:
            self.ask()

    def ask(self) -> None:
        self.trigger.publish(PoseWithCovarianceStamped())  # as cuVSLAM: all zero

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def made(street_map: Path) -> Any:
    """made(where the tracker is to be found, settings) -> robot, its camera and the tracker."""
    opened: list[Any] = []

    def make(T_map_base: np.ndarray, folder: str = 'visual_slam', **settings: Any) -> Any:
        given = {k: v for k, v in {'base_camera': AT_BASE, **settings}.items() if v is not None}
        robot = Robot(map=str(street_map), **given).__enter__()
        opened.append(robot)
        tracker = Tracker(robot.namespace, T_map_base, folder)
        opened.append(tracker)
        robot.until_active()
        robot.until(tracker.trigger.get_subscription_count, 'subscription to trigger_hint')
        hint = f'{robot.namespace}/{folder}/initial_pose'
        robot.until(lambda: robot.localizer.count_subscribers(hint), 'subscription of the tracker')
        return robot, robot.camera(), tracker

    yield make
    for one in reversed(opened):
        one.close() if isinstance(one, Tracker) else one.__exit__()


def serve(robot: Robot, tracker: Tracker, seconds: float = 0.5) -> None:
    for _ in range(round(seconds / 0.05)):
        tracker.executor.spin_once(timeout_sec=0.05)
        robot.rest(0.01)


def test_it_is_told_with_the_next_image_that_is_localized(made: Any, street: Any) -> None:
    robot, camera, tracker = made(street[5].pose)
    robot.ask(camera, street[3].image)
    serve(robot, tracker)
    assert not tracker.heard  # nobody asked
    tracker.ask()
    serve(robot, tracker)
    assert not tracker.heard  # where the robot was before it asked is of no use
    robot.ask(camera, GREY)
    answer = robot.ask(camera, street[5].image)
    robot.until(lambda: serve(robot, tracker, 0.05) or tracker.heard, 'the hint')
    (hint,) = tracker.heard
    assert tracker.localized and hint.header.stamp == answer.header.stamp
    covariance = np.asarray(hint.pose.covariance).reshape(6, 6)
    assert (np.diagonal(covariance) > 0).all()
    assert not (covariance - np.diag(np.diagonal(covariance))).any()
    robot.ask(camera, street[5].image)
    serve(robot, tracker)
    assert len(tracker.heard) == 1


def test_it_asks_until_a_hint_does(made: Any, street: Any) -> None:
    robot, camera, tracker = made(street[7].pose, hint_unasked=True)

    def until_heard(place: int, count: int) -> None:
        def seen() -> bool:
            robot.ask(camera, street[place].image)
            serve(robot, tracker, 0.1)
            return len(tracker.heard) == count

        robot.until(seen, f'hint {count}')

    until_heard(3, 1)  # unasked, as the robot is found
    assert not tracker.localized
    until_heard(7, 2)
    assert tracker.localized
    first, second = (from_ros.stamp_ns(m) for m in tracker.heard)
    assert second - first >= 1_000_000_000
    robot.ask(camera, street[2].image)
    serve(robot, tracker)
    assert len(tracker.heard) == 2


def test_under_other_names_and_not_before_the_mounting_is_known(
    made: Any, street: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {'hint_request_topic': 'other/trigger_hint', 'hint_topic': 'other/initial_pose'}
    robot, camera, tracker = made(street[3].pose, 'other', base_camera=None, **names)
    tracker.ask()
    serve(robot, tracker)
    robot.ask(camera, street[3].image)
    serve(robot, tracker)
    assert not tracker.heard
    assert 'no hint is given' in capfd.readouterr().err
    assert robot.set('base_camera', list(AT_BASE)).successful
    robot.ask(camera, street[3].image)
    robot.until(lambda: serve(robot, tracker, 0.05) or tracker.localized, 'the hint')


def test_a_node_that_does_not_localise_says_why_it_gives_none(
    made: Any, street: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    robot, camera, tracker = made(street[3].pose)
    assert robot.transition('deactivate')
    tracker.ask()
    said: list[str] = []

    def told() -> bool:
        said.append(capfd.readouterr().err)
        return 'trigger_hint is not answered: the node is not active' in ''.join(said)

    robot.until(told, 'the reason')
    assert robot.transition('activate')
    robot.ask(camera, street[3].image)
    serve(robot, tracker)
    assert not tracker.heard


@pytest.mark.parametrize('name', ['', 'a b', '/', '9lives', 'x/'])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match='expected the name of a topic'):
        NodeConfig(hint_topic=name)
    assert NodeConfig(hint_topic='~/hint', hint_request_topic='/a/b').hint_topic == '~/hint'
