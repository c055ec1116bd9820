# SPDX-License-Identifier: MIT
"""Odometry and transforms of a robot under test, over real DDS."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from robot import Robot
from scipy.spatial.transform import Rotation

from selavpr_model.poses import inverse
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.node import qos

TFMessage = pytest.importorskip('tf2_msgs.msg', reason='run make setup').TFMessage
SECOND = 1_000_000_000
AT_BASE = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw_deg: float = 0.0) -> np.ndarray:
    """(4, 4)."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('z', yaw_deg, degrees=True).as_matrix()
    T[:3, 3] = x, y, z
    return T


def transform(parent: str, child: str, T: np.ndarray, stamp_ns: int = 0) -> Any:
    """As a TFMessage."""
    made = TransformStamped(header=to_ros.header(stamp_ns, parent), child_frame_id=child)
    here = to_ros.pose_of(T)
    made.transform.rotation = here.orientation
    at, p = made.transform.translation, here.position
    at.x, at.y, at.z = p.x, p.y, p.z
    return TFMessage(transforms=[made])


class Wheels:
    """Odometry of a robot that is where `T_odom_base` says; it hears /tf as Nav2 does."""

    def __init__(self, robot: Robot, tf: str = '/tf') -> None:
        self.robot, self.T_odom_base = robot, np.eye(4)
        self.publisher = robot.user.create_publisher(Odometry, 'odom', 50)
        self.heard: list[Any] = []
        robot.user.create_subscription(TFMessage, tf, self._hear, qos.reliable(100))
        self.newest_ns = 0

    def _hear(self, message: Any) -> None:
        self.heard += [t for t in message.transforms if t.child_frame_id == 'odom']

    def send(self, stamp_ns: int) -> None:
        message = Odometry(header=to_ros.header(stamp_ns, 'odom'), child_frame_id='base_link')
        message.pose.pose = to_ros.pose_of(self.T_odom_base)
        arrivals = self.robot.localizer.inputs.odometry.arrivals
        before = arrivals.count
        self.robot.publish(self.publisher, message)
        self.robot.until(lambda: arrivals.count > before, 'arrival of odometry')
        self.newest_ns = stamp_ns

    def see(self, camera: Any, image: np.ndarray) -> Any:
        """Odometry, then an image a little after it; its answer."""
        stamp_ns = self.robot.next_stamp()
        self.send(stamp_ns - SECOND // 50)
        answer = self.robot.ask(camera, self.robot.picture(image, stamp_ns))
        self.send(self.robot.next_stamp())
        self.robot.rest(0.15)
        return answer

    def roll(self, seconds: float) -> None:
        """Go on sending odometry."""
        for _ in range(round(seconds / 0.1)):
            self.robot.rest(0.1)
            self.send(self.robot.next_stamp())

    def T_map_odom(self) -> np.ndarray:
        """The last that was heard."""
        return from_ros.pose_matrix(self.heard[-1])


def until_heard(robot: Robot, child: str, stamp_ns: int | None = None) -> None:
    """Wait until the node knows where a frame sits on base_link."""
    buffer = robot.localizer.inputs.tf.buffer
    robot.until(lambda: buffer.find('base_link', child, stamp_ns) is not None, f'{child} on /tf')


def T_map_base_of(message: Any) -> np.ndarray:
    return from_ros.pose_matrix(message)


def between(a: np.ndarray, b: np.ndarray) -> float:
    """Metres."""
    return float(np.linalg.norm((inverse(a) @ b)[:3, 3]))
