# SPDX-License-Identifier: MIT
"""map -> odom on live /tf: ahead of time, repeated, steady, withdrawn where it does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot import Robot
from tf_helpers import AT_BASE, between, pose, SECOND, TFMessage, transform, Wheels

from selavpr_model.poses import inverse
from selavpr_ros.convert import from_ros
from selavpr_ros.node import qos

pytestmark = pytest.mark.usefixtures('ros')
NOTHING = np.full((64, 64, 3), 90, np.uint8)
TOLERANCE_S = 0.3


@pytest.fixture
def robot(street_map: Path) -> Iterator[Robot]:
    """It is a camera."""
    with Robot(
        map=str(street_map), publish_tf=True, base_camera=AT_BASE,
        transform_tolerance_s=TOLERANCE_S, tf_hold_s=60.0,
    ) as robot:  # fmt: skip
        yield robot.until_active()


@pytest.fixture
def camera(robot: Robot) -> Any:
    return robot.camera()


def said(robot: Robot) -> str:
    line = robot.diagnostic('Transform')
    return '' if line is None else str(line.message)


def found(robot: Robot, camera: Any, street: Any) -> Wheels:
    """A robot that is at street[3], with odometry that says 3 m."""
    wheels = Wheels(robot)
    wheels.T_odom_base = pose(x=3.0)

    def sent() -> bool:
        wheels.see(camera, street[3].image)
        return bool(wheels.heard)

    robot.until(sent, 'map -> odom on /tf')
    return wheels


def test_it_is_sent_ahead_of_odometry_and_again_without_images(
    robot: Robot, camera: Any, street: Any
) -> None:
    wheels = found(robot, camera, street)
    last = wheels.heard[-1]
    assert (last.header.frame_id, last.child_frame_id) == ('map', 'odom')
    T_map_odom = street[3].pose @ inverse(pose(x=3.0))
    np.testing.assert_allclose(wheels.T_map_odom(), T_map_odom, atol=1e-6)
    before = len(wheels.heard)
    for _ in range(10):  # no image comes, as in a camera's stall
        wheels.roll(0.1)
        robot.until(
            lambda: from_ros.stamp_ns(wheels.heard[-1]) >= wheels.newest_ns, 'one of this odometry'
        )
    assert len(wheels.heard) - before >= 10
    ahead = from_ros.stamp_ns(wheels.heard[-1]) - wheels.newest_ns
    assert ahead <= (TOLERANCE_S + 1.0) * SECOND
    np.testing.assert_allclose(wheels.T_map_odom(), T_map_odom, atol=1e-6)
    assert 'map -> odom is sent' in robot.until(lambda: said(robot), 'the line')
    stamps = [from_ros.stamp_ns(t) for t in wheels.heard]
    assert stamps == sorted(stamps)


def test_it_glides_to_where_the_next_answer_says(robot: Robot, camera: Any, street: Any) -> None:
    """street[3] seen from a metre further on: the answers are coarse, odometry is not."""
    wheels = found(robot, camera, street)
    for x in (3.2, 3.4, 3.6, 3.8, 4.0):
        wheels.T_odom_base = pose(x=x)
        wheels.roll(0.1)
    for _ in range(5):
        wheels.see(camera, street[3].image)
        wheels.roll(0.2)
    steps = [
        between(a @ wheels.T_odom_base, b @ wheels.T_odom_base)
        for a, b in zip(
            map(from_ros.pose_matrix, wheels.heard), map(from_ros.pose_matrix, wheels.heard[1:]),
            strict=False,
        )
    ]  # fmt: skip
    assert 0.0 < max(steps) < 0.11 and sum(steps) < 0.9


def test_a_restart_of_odometry_withdraws_it_until_the_robot_is_found_again(
    robot: Robot, camera: Any, street: Any
) -> None:
    wheels = found(robot, camera, street)
    for _ in range(4):
        wheels.roll(0.2)
    old = wheels.T_map_odom()
    wheels.T_odom_base = pose(x=-60.0, y=20.0)
    wheels.send(robot.next_stamp())
    robot.until(lambda: 'odometry was restarted, it jumped by' in said(robot), 'the reason')
    wheels.heard.clear()
    wheels.roll(0.5)
    assert not wheels.heard
    wheels.see(camera, street[3].image)
    robot.until(lambda: wheels.heard, 'map -> odom again')
    assert all(between(from_ros.pose_matrix(t), old) > 50.0 for t in wheels.heard)
    assert between(wheels.T_map_odom() @ wheels.T_odom_base, street[3].pose) < 0.01


def test_it_is_withdrawn_while_lost_for_longer_than_tf_hold_s(
    robot: Robot, camera: Any, street: Any
) -> None:
    wheels = found(robot, camera, street)
    assert robot.set('tf_hold_s', 2.0).successful

    def withdrawn() -> bool:
        robot.ask(camera, NOTHING)
        wheels.roll(0.3)
        return 'is LOST, or no image is answered, for 2 s' in said(robot)

    robot.until(withdrawn, 'the reason')
    wheels.heard.clear()
    wheels.roll(0.5)
    assert not wheels.heard


def test_without_odometry_it_says_so(robot: Robot, camera: Any, street: Any) -> None:
    robot.ask(camera, street[3].image)
    robot.until(lambda: f'no odometry on {robot.namespace}/odom' in said(robot), 'the reason')
    assert robot.diagnostic('Transform').level > b'\x00' and 'remap' in said(robot)
    wheels = found(robot, camera, street)
    robot.until(lambda: 'is sent' in said(robot), 'well again')
    robot.until(lambda: 'for more than 1 s' in said(robot), 'odometry that stopped')
    wheels.heard.clear()
    robot.rest(0.5)
    assert not wheels.heard


def test_not_before_the_mounting_is_known(street_map: Path, street: Any) -> None:
    with Robot(map=str(street_map), publish_tf=True) as robot:
        robot.until_active()
        camera, wheels = robot.camera(), Wheels(robot)
        for _ in range(3):
            wheels.see(camera, street[3].image)
        robot.until(lambda: 'base_camera is not given' in said(robot), 'the reason')
        assert not wheels.heard
        static = robot.user.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)
        robot.publish(static, transform('base_link', 'camera_optical', pose(z=1.5)))

        def sent() -> bool:
            wheels.see(camera, street[3].image)
            return bool(wheels.heard)

        robot.until(sent, 'map -> odom on /tf')
        T_map_base = street[3].pose @ inverse(pose(z=1.5))
        np.testing.assert_allclose(wheels.T_map_odom(), T_map_base, atol=1e-6)


def test_a_namespaced_robot_sends_on_its_own_tree(street_map: Path, street: Any) -> None:
    remap = ('/tf:=tf', '/tf_static:=tf_static')
    with Robot(remap=remap, map=str(street_map), publish_tf=True, base_camera=AT_BASE) as robot:
        robot.until_active()
        camera, wheels = robot.camera(), Wheels(robot, 'tf')

        def sent() -> bool:
            wheels.see(camera, street[3].image)
            return bool(wheels.heard)

        robot.until(sent, 'map -> odom on the tf of the namespace')
