# SPDX-License-Identifier: MIT
"""Odometry over DDS with live TF: what cannot be used is named with its cure, and not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from rcl_interfaces.msg import Log
from robot import Robot
from selavpr.msg import LocalizerStatus

from selavpr_ros.convert import to_ros
from selavpr_ros.convert.tf_buffer import TransformBuffer
from selavpr_ros.node import qos
from selavpr_ros.node.incoming.odometry import OdometryInput

MS = 1_000_000
UNIT = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
WARN = bytes([LocalizerStatus.WARN])


class Driver:
    """A robot with a camera and odometry."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot.until_active()
        self.frames: list[Any] = []  # that reach the recogniser
        self.logged: list[str] = []
        robot.user.create_subscription(Log, '/rosout', lambda m: self.logged.append(m.msg), 100)
        self.odometry = robot.user.create_publisher(Odometry, 'odom', 1000)
        self.camera = robot.camera()
        pipeline = robot.localizer.pipeline
        process = pipeline.process

        def seen(frame: Any, **more: Any) -> Any:
            self.frames.append(frame)
            return process(frame, **more)

        pipeline.process = seen  # type: ignore[method-assign]
        robot.until(self.odometry.get_subscription_count, 'odometry')

    def send(
        self, stamp_ns: int, x: float = 0.0, w: float = 1.0, child: str = 'base_link'
    ) -> None:
        message = Odometry(header=to_ros.header(stamp_ns, 'odom'), child_frame_id=child)
        message.pose.pose.position.x, message.pose.pose.orientation.w = x, w
        self.odometry.publish(message)

    def see(self, image: np.ndarray, stamp_ns: int | None = None, **odometry: Any) -> Any:
        """An image and the odometry of its moment; the frame that the recogniser got."""
        stamp_ns = self.robot.next_stamp() if stamp_ns is None else stamp_ns
        before = self.robot.localizer.inputs.odometry.arrivals.count
        self.send(stamp_ns, **odometry)
        arrivals = self.robot.localizer.inputs.odometry.arrivals
        self.robot.until(lambda: arrivals.count > before, 'odometry')
        self.robot.ask(self.camera, self.robot.picture(image, stamp_ns))
        return self.frames[-1]

    def until_said(self, text: str, again: Callable[[], Any] | None = None) -> Any:
        """The line Odometry, once it says this at WARN."""

        def said() -> Any:
            if again is not None:
                again()
                self.robot.rest(0.1)
            part = self.robot.diagnostic('Odometry')
            return part if part and part.level == WARN and text in part.message else None

        return self.robot.until(said, text)


def values(part: Any) -> dict[str, str]:
    return {v.key: v.value for v in part.values}


@pytest.mark.parametrize(
    ('given', 'reason', 'cure'),
    [
        ({'w': 0.0}, 'quaternion is 0, 0, 0, 0', 'the driver has to set the orientation'),
        ({'w': 7.0}, 'quaternion is not of length 1', 'the driver has to set the orientation'),
        ({'x': float('nan')}, 'pose is not finite (NaN or inf)', 'correct the driver'),
    ],
)
def test_a_pose_that_is_none_is_counted_and_said_once(
    ros: None, street_map: Path, street: Any, given: Any, reason: str, cure: str
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        driver = Driver(robot)
        assert driver.see(street[1].image, **given).odom is None
        part = driver.until_said(reason, lambda: driver.send(robot.next_stamp(), **given))
        assert cure in part.message and '/odom' in part.message
        assert int(values(part)[f'rejected, {reason}']) >= 1
        robot.rest(2.5)
        assert len([line for line in driver.logged if reason in line]) == 1
        assert driver.see(street[1].image, x=1.0).odom is not None


def test_clocks_that_differ_are_named_with_their_distance(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        driver = Driver(robot)

        def ahead() -> None:
            now = robot.next_stamp()
            driver.send(now)
            robot.publish(driver.camera, robot.picture(street[1].image, now + 4_000 * MS))

        part = driver.until_said('ahead of those of odometry', ahead)
        assert 'chrony' in part.message and 'the camera is' in part.message
        assert 3.0 < float(values(part)['images ahead of odometry s']) < 5.0
        robot.until(lambda: 'in the future' in robot.diagnostic('Input').message, 'the future')
        assert all(frame.odom is None for frame in driver.frames)


def test_frozen_odometry_is_said_and_does_not_keep_the_robot_lost(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT, temporal__enabled=True) as robot:
        driver = Driver(robot)
        states = []
        for frame in [street[i] for i in (3, 4, 3, 4, 3, 4)]:
            driver.see(frame.image)
            states.append(robot.heard['hypotheses'][-1].state)
        part = driver.until_said('stands still while the views change')
        assert 'wheel encoders' in part.message
        assert int(values(part)['used'].split()[0]) <= 1
    with Robot(map=str(street_map), base_camera=UNIT, temporal__enabled=True) as robot:
        robot.until_active()
        camera = robot.camera()
        without = [robot.ask(camera, street[i].image).state for i in (3, 4, 3, 4, 3, 4)]
    assert states == without


def test_who_publishes_what_is_told_where_odometry_is_missing(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        robot.until_active()

        def line() -> Any:
            part = robot.diagnostic('Odometry')
            return part if part and 'nobody publishes' in part.message else None

        part = robot.until(line, 'the line')
        assert part.level == bytes([LocalizerStatus.OK]) and 'temporal.speed_mps' in part.message
        assert robot.set('publish_tf', True).successful

        def said(text: str) -> Any:
            part = robot.diagnostic('Odometry')
            return part if part.level == WARN and text in part.message else None

        assert '-r odom:=' in robot.until(lambda: said('publish_tf'), 'missed').message
        robot.user.create_publisher(Odometry, 'wheel/odometry', 10)
        part = robot.until(lambda: said('wheel/odometry'), 'the other topic')
        assert f'-r odom:={robot.namespace}/wheel/odometry' in part.message


def test_odometry_that_stops_and_a_second_source_are_said(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        driver = Driver(robot)
        driver.see(street[1].image)
        assert 'start its source again' in driver.until_said('no odometry for').message
        other = robot.user.create_publisher(Odometry, 'odom', 10)
        part = driver.until_said('2 publishers', lambda: driver.send(robot.next_stamp()))
        assert 'remap' in part.message
        robot.user.destroy_publisher(other)


def test_a_thousand_messages_a_second_serve_an_image_that_took_a_second(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        driver = Driver(robot)
        odometry, start = robot.localizer.inputs.odometry, robot.next_stamp() - 3_000 * MS
        for i in range(2000):
            driver.send(start + i * MS, x=0.001 * i)
            if i % 50 == 0:
                robot.rest(0.05)  # at its own pace: a burst would overrun the queue
        robot.until(lambda: odometry.at(start + 1990 * MS)[0] is not None, 'the last message')
        robot.ask(driver.camera, robot.picture(street[1].image, start + 700 * MS))
        assert driver.frames[-1].odom[0, 3] == pytest.approx(0.7, abs=0.011)
        assert odometry.segment == 0


def test_a_restart_is_said_and_starts_a_segment(ros: None, street_map: Path, street: Any) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        driver = Driver(robot)
        before = driver.see(street[1].image, x=8.0)
        after = driver.see(street[2].image, x=0.0)
        assert before.odom_segment != after.odom_segment and after.odom is not None
        assert 'SLAM starts a new segment' in driver.until_said('started anew').message


def test_odometry_of_another_body_is_transformed_by_tf_or_said(
    ros: None, street_map: Path, street: Any
) -> None:
    TFMessage = pytest.importorskip('tf2_msgs.msg', reason='run make setup').TFMessage
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        driver = Driver(robot)
        assert driver.see(street[1].image, x=2.0, child='imu').odom[0, 3] == 2.0
        assert '/tf_static' in driver.until_said("is the motion of 'imu'").message
        static = robot.user.create_publisher(TFMessage, '/tf_static', qos.TF_STATIC)
        edge = TransformStamped(header=to_ros.header(0, 'base_link'), child_frame_id='imu')
        edge.transform.translation.x = 0.5
        robot.publish(static, TFMessage(transforms=[edge]))
        robot.until(
            lambda: driver.see(street[1].image, x=2.1, child='imu').odom[0, 3] == 1.6, 'TF used'
        )
        robot.until(lambda: 'imu' not in robot.diagnostic('Odometry').message, 'all well')


def test_odometry_without_stamps_is_used_by_its_arrival(
    ros: None, street_map: Path, street: Any
) -> None:
    with Robot(map=str(street_map), base_camera=UNIT) as robot:
        driver = Driver(robot)
        assert driver.see(street[1].image, stamp_ns=0, x=1.0).odom[0, 3] == 1.0
        assert 'header.stamp' in driver.until_said('has stamp 0').message


@pytest.mark.parametrize('forgotten', [False, True])
def test_a_bag_that_starts_over_breaks_odometry_whoever_notices_first(forgotten: bool) -> None:
    def message(stamp_ns: int) -> Odometry:
        made = Odometry(header=to_ros.header(stamp_ns, 'odom'), child_frame_id='base_link')
        made.pose.pose.orientation.w = 1.0
        return made

    heard: list[tuple[int, str]] = []
    tf: Any = SimpleNamespace(buffer=TransformBuffer())  # not asked: odometry is the base's own
    odometry = OdometryInput(tf, lambda: 0)
    odometry.on_sample = lambda stamp_ns, T_odom_base, broken: heard.append((stamp_ns, broken))
    odometry.on_message(message(100_000 * MS))
    odometry.on_message(message(100_100 * MS))
    if forgotten:  # the first image of the next round came before its odometry
        odometry.forget()
    odometry.on_message(message(90_000 * MS))
    odometry.on_message(message(90_100 * MS))
    assert [stamp_ns // MS for stamp_ns, _ in heard] == [100_000, 100_100, 90_000, 90_100]
    assert [why for _, why in heard] == ['', '', 'its stamps jumped back by 10.1 s', '']
    assert odometry.at(90_100 * MS)[1] == 1
