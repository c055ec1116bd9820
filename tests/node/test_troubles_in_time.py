# SPDX-License-Identifier: MIT
"""Troubles are in /diagnostics with their cure after three seconds at latest.

Counted in reports, of which there is one every PERIOD_S by the robot's own timer: a computer that
is busy makes both the reports and the time between them longer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nav_msgs.msg import Odometry
import pytest
from robot import Robot
from selavpr.msg import LocalizerStatus
from tf_helpers import AT_BASE

from selavpr_ros.convert import to_ros
from selavpr_ros.node.health.reporter import PERIOD_S

pytestmark = pytest.mark.usefixtures('ros')
MOST_REPORTS = round(3.0 / PERIOD_S)
SECOND = 1_000_000_000
WARN = bytes([LocalizerStatus.WARN])


def reports_of(robot: Robot, name: str) -> list[Any]:
    """The line of that name in each report so far."""
    full = f'{robot.namespace.lstrip("/")}/localizer: {name}'
    return [s for a in robot.heard['diagnostics'] for s in a.status if s.name == full]


def wait_for(robot: Robot, name: str, words: str) -> list[Any]:
    """The reports up to the one that says this at WARN."""

    def said() -> bool:
        last = robot.diagnostic(name)
        return last is not None and last.level == WARN and words in last.message

    robot.until(said, words)
    return reports_of(robot, name)


def value(line: Any, key: str) -> str:
    return {v.key: v.value for v in line.values}[key]


def test_a_transform_that_cannot_be_sent_as_there_is_no_odometry(
    street_map: Path, street: Any
) -> None:
    """Case 21."""
    with Robot(map=str(street_map), publish_tf=True, base_camera=AT_BASE) as robot:
        robot.until_active()
        lines = wait_for(robot, 'Odometry', 'nobody publishes odometry')
        active = [line for line in lines if line.message != 'not processing images']
        assert len(active) <= 1 + MOST_REPORTS  # the first comes in the moment of activation
        assert '-r odom:=' in active[-1].message and 'publish_tf' in active[-1].message
        robot.ask(robot.camera(), street[3].image)
        before = len(reports_of(robot, 'Transform'))
        lines = wait_for(robot, 'Transform', 'but no odometry on')
        assert len(lines) - before <= MOST_REPORTS and '-r odom:=' in lines[-1].message


@pytest.mark.parametrize('ahead_s', [1, -3 * 3600])
def test_a_camera_with_another_clock_than_odometry(
    street_map: Path, street: Any, ahead_s: int
) -> None:
    """Case 01."""
    with Robot(map=str(street_map), base_camera=AT_BASE) as robot:
        robot.until_active()
        camera, odometry = robot.camera(), robot.user.create_publisher(Odometry, 'odom', 10)
        robot.until(odometry.get_subscription_count, 'subscription to odom')
        robot.until(camera.get_subscription_count, 'subscription to images')

        def drive() -> None:
            now = robot.next_stamp()
            message = Odometry(header=to_ros.header(now, 'odom'), child_frame_id='base_link')
            message.pose.pose.orientation.w = 1.0
            odometry.publish(message)
            camera.publish(robot.picture(street[3].image, now + ahead_s * SECOND))

        def said() -> bool:
            drive()
            robot.rest(0.1)
            last = robot.diagnostic('Odometry')
            return last.level == WARN and 'those of odometry' in last.message

        robot.until(said, 'clocks that differ')
        both = [line for line in reports_of(robot, 'Odometry') if int(value(line, 'received'))]
        assert len(both) <= MOST_REPORTS
        assert 'chrony' in both[-1].message and 'the camera is' in both[-1].message


def test_geometry_without_a_calibration(street_map: Path) -> None:
    """Case 16."""
    with Robot(map=str(street_map), geometry__enabled=True) as robot:
        robot.until_active()
        lines = wait_for(robot, 'Camera', 'geometry checks nothing')
        active = [line for line in lines if line.message != 'not processing images']
        assert len(active) <= 1 + MOST_REPORTS  # the first comes in the moment of activation
        assert 'remap -r camera_info:=' in active[-1].message
