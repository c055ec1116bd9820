# SPDX-License-Identifier: MIT
"""Messages on the topics of a node, with nonsense in some of their fields, by number."""

from __future__ import annotations

from collections.abc import Callable
import math
from pathlib import Path
import random
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image

from hostile.remote import RemoteRobot
from selavpr_ros.convert.tf_message import TFMessage
from selavpr_ros.node import qos

NUMBERS = [0.0, 1.0, -1.0, 1e300, -1e300, 1e-300, math.nan, math.inf, -math.inf, 0.5]
NAMES = ['', 'map', 'odom', 'base_link', 'x' * 10**5, '\x1b[2J\n\r', '../..', '%s%n', 'ä' * 500]
LARGE = bytes(60_000_000)


class Messages:
    """One on a topic of the node, with nonsense in some of its fields."""

    def __init__(self, robot: RemoteRobot, good: Path, folder: Path) -> None:
        self.robot, user = robot, robot.user
        sensor = qos.camera('sensor_data')
        self._topics: list[tuple[str, Any, Callable[[random.Random, int], Any]]] = [
            ('image', robot.camera(), image),
            ('camera_info', user.create_publisher(CameraInfo, 'camera_info', sensor), _info),
            ('odom', user.create_publisher(Odometry, 'odom', 50), _odometry),
        ]
        pose = user.create_publisher(PoseWithCovarianceStamped, 'initialpose', 10)
        self._topics.append(('initialpose', pose, posed))
        if TFMessage is not None:
            for name, profile in (('/tf_static', qos.TF_STATIC), ('/tf', qos.reliable(100))):
                tf = user.create_publisher(TFMessage, name, profile)
                self._topics.append((name, tf, _transforms))

    def one(self, rng: random.Random, number: int) -> tuple[str, str]:
        name, publisher, make = rng.choice(self._topics)
        message = make(rng, number)
        publisher.publish(message)
        self.robot.rest(0.0)
        if number % 10 == 0:
            self.robot.rest(0.005)
        return name, 'sent'


def name(rng: random.Random) -> str:
    """Of a frame; half of them never come again."""
    return rng.choice(NAMES) if rng.random() < 0.5 else f'frame{rng.randrange(10**9)}'


def header(message: Any, rng: random.Random) -> Any:
    message.header.frame_id = name(rng)
    message.header.stamp = Time(
        sec=rng.choice([0, -1, 2**31 - 1, 7]), nanosec=rng.choice([0, 5, rng.randrange(10**9)])
    )
    return message


def large() -> Image:
    """A sound one of 60 MB."""
    return Image(height=5000, width=4000, step=12_000, encoding='rgb8', data=LARGE)


def image(rng: random.Random, number: int) -> Image:
    if rng.random() < 0.002:
        return header(large(), rng)
    sides = [0, 1, 2, 33, 640, 2**16, 2**32 - 1]
    kinds = ['rgb8', 'mono8', 'mono16', 'bayer_rggb8', 'nv12', 'yuv422', '16UC1', *NAMES]
    return header(
        Image(
            height=rng.choice(sides), width=rng.choice(sides), step=rng.choice([*sides, 1920]),
            encoding=rng.choice(kinds), is_bigendian=rng.choice([0, 1, 255]),
            data=bytes(rng.choice([0, 1, 100, 640 * 480 * 3])),
        ),
        rng,
    )  # fmt: skip


def _info(rng: random.Random, number: int) -> CameraInfo:
    numbers = [rng.choice([*NUMBERS, 300.0]) for _ in range(9)]
    bent = [rng.choice(NUMBERS) for _ in range(rng.choice([0, 3, 4, 5, 6, 8, 14, 1000]))]
    sides = [0, 1, 320, 2**32 - 1]
    return header(
        CameraInfo(
            height=rng.choice(sides), width=rng.choice(sides), k=numbers, d=bent,
            distortion_model=rng.choice(['plumb_bob', 'equidistant', 'rational', *NAMES]),
        ),
        rng,
    )  # fmt: skip


def pose(pose: Any, rng: random.Random) -> None:
    for part, axes in ((pose.position, 'xyz'), (pose.orientation, 'xyzw')):
        for axis in axes:
            setattr(part, axis, rng.choice(NUMBERS))


def _odometry(rng: random.Random, number: int) -> Odometry:
    message = header(Odometry(child_frame_id=name(rng)), rng)
    pose(message.pose.pose, rng)
    message.pose.covariance = [rng.choice(NUMBERS) for _ in range(36)]
    return message


def posed(rng: random.Random, number: int) -> PoseWithCovarianceStamped:
    """A pose that is none, in a frame that may be the map."""
    message = header(PoseWithCovarianceStamped(), rng)
    message.header.frame_id = rng.choice(['map', *NAMES])
    pose(message.pose.pose, rng)
    message.pose.covariance = [rng.choice(NUMBERS) for _ in range(36)]
    return message


def _transforms(rng: random.Random, number: int) -> Any:
    edges = []
    for _ in range(rng.choice([0, 1, 5])):
        edge = header(TransformStamped(child_frame_id=name(rng)), rng)
        edge.transform.rotation.w = rng.choice([1.0, 1.0, *NUMBERS])
        edge.transform.translation.x = rng.choice(NUMBERS)
        edges.append(edge)
    return TFMessage(transforms=edges)
