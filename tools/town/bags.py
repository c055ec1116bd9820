# SPDX-License-Identifier: MIT
"""Writes a rendered run as a rosbag2 directory (mcap), always the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

from town.layout import rng_of
from town.odometry import Drift, interpolate, wheel
from town.routes import T_base_camera

FRAME_NS, ODOM_NS = 200_000_000, 50_000_000  # camera at 5 Hz, odometry at 20 Hz
FOREVER = QosTime(0x7FFFFFFF, 0xFFFFFFFF)
LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)
TOPICS = {
    '/camera/image/compressed': 'sensor_msgs/msg/CompressedImage',
    '/camera/camera_info': 'sensor_msgs/msg/CameraInfo',
    '/odom': 'nav_msgs/msg/Odometry',
    '/ground_truth/pose': 'geometry_msgs/msg/PoseStamped',
    '/tf_static': 'tf2_msgs/msg/TFMessage',
}


class Messages:
    """Makes messages of the ROS 2 Humble types."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_HUMBLE)

    def new(self, name: str, *fields: Any) -> Any:
        """Message of a type like `std_msgs/Header` from its fields in order."""
        package, kind = name.split('/')
        return self.store.types[f'{package}/msg/{kind}'](*fields)

    def header(self, stamp_ns: int, frame: str) -> Any:
        """Header with its time stamp."""
        time = self.new('builtin_interfaces/Time', *divmod(stamp_ns, 1_000_000_000))
        return self.new('std_msgs/Header', time, frame)

    def pose(self, x: float, y: float, yaw: float) -> Any:
        """Level pose in the ground plane."""
        turn = self.new(
            'geometry_msgs/Quaternion', 0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))
        )
        return self.new(
            'geometry_msgs/Pose', self.new('geometry_msgs/Point', float(x), float(y), 0.0), turn
        )

    def image(self, stamp_ns: int, jpeg: bytes) -> Any:
        """Compressed image."""
        return self.new(
            'sensor_msgs/CompressedImage',
            self.header(stamp_ns, 'camera_optical'),
            'jpeg',
            np.frombuffer(jpeg, np.uint8),
        )

    def camera_info(self, stamp_ns: int, size: tuple[int, int], fov_deg: float) -> Any:
        """Ideal pinhole; size is width and height in pixels."""
        width, height = size
        f = width / 2 / np.tan(np.deg2rad(fov_deg) / 2)
        # Pixel centres are whole numbers: the middle of 320 columns is 159.5.
        K = np.array([f, 0, (width - 1) / 2, 0, f, (height - 1) / 2, 0, 0, 1.0])
        P = np.insert(K.reshape(3, 3), 3, 0.0, axis=1).ravel()
        roi = self.new('sensor_msgs/RegionOfInterest', 0, 0, 0, 0, False)
        return self.new(
            'sensor_msgs/CameraInfo',
            self.header(stamp_ns, 'camera_optical'),
            height,
            width,
            'plumb_bob',
            np.zeros(5),
            K,
            np.eye(3).ravel(),
            P,
            0,
            0,
            roi,
        )

    def odometry(self, stamp_ns: int, row: np.ndarray, travelled: float) -> Any:
        """Wheel odometry; row of odometry.wheel, travelled in metres."""
        vector = [
            self.new('geometry_msgs/Vector3', *(float(v) for v in values))
            for values in (
                (*row[3:5] / (ODOM_NS * 1e-9), 0.0),
                (0.0, 0.0, row[5] / (ODOM_NS * 1e-9)),
            )
        ]
        xy, yaw = (0.02 + 0.015 * travelled) ** 2, (0.005 + 3e-4 * travelled) ** 2
        pose = self.new(
            'geometry_msgs/PoseWithCovariance',
            self.pose(*row[:3]),
            np.diag([xy, xy, 1e-6, 1e-6, 1e-6, yaw]).ravel(),
        )
        twist = self.new(
            'geometry_msgs/TwistWithCovariance',
            self.new('geometry_msgs/Twist', *vector),
            np.diag([0.04, 0.01, 1e-6, 1e-6, 1e-6, 2e-4]).ravel(),
        )
        return self.new(
            'nav_msgs/Odometry', self.header(stamp_ns, 'odom'), 'base_link', pose, twist
        )

    def camera_mount(self, stamp_ns: int) -> Any:
        """T_base_link_camera_optical as a static transform."""
        T = T_base_camera()
        move = self.new('geometry_msgs/Vector3', *(float(v) for v in T[:3, 3]))
        turn = self.new('geometry_msgs/Quaternion', *_quaternion(T[:3, :3]))
        transform = self.new('geometry_msgs/Transform', move, turn)
        return self.new(
            'tf2_msgs/TFMessage',
            [
                self.new(
                    'geometry_msgs/TransformStamped',
                    self.header(stamp_ns, 'base_link'),
                    'camera_optical',
                    transform,
                )
            ],
        )


def _quaternion(R: np.ndarray) -> tuple[float, float, float, float]:
    """(x, y, z, w) of a rotation whose trace may be zero: the eigenvector of Bar-Itzhack."""
    (a, b, c), (d, e, f), (g, h, i) = R
    K = (
        np.array(
            [
                [a - e - i, d + b, g + c, h - f],
                [d + b, e - a - i, h + f, c - g],
                [g + c, h + f, i - a - e, d - b],
                [h - f, c - g, d - b, a + e + i],
            ]
        )
        / 3
    )
    q = np.linalg.eigh(K)[1][:, -1]
    return tuple(float(v) for v in q * np.sign(q[3]))


def _events(
    make: Messages,
    poses: np.ndarray,
    jpegs: dict[int, bytes],
    start_ns: int,
    camera: tuple[tuple[int, int], float],
    rng: np.random.Generator,
) -> Iterator[tuple[int, str, Any]]:
    """All messages of a run as (stamp in ns, topic, message), by time; jpegs by frame."""
    yield start_ns, '/tf_static', make.camera_mount(start_ns)
    ratio = FRAME_NS // ODOM_NS
    true = interpolate(poses, np.arange((len(poses) - 1) * ratio + 1) / ratio)
    odom = wheel(true, Drift(), rng)
    travelled = np.cumsum(np.hypot(odom[:, 3], odom[:, 4])) - np.hypot(*odom[0, 3:5])
    for k, row in enumerate(odom):
        stamp = start_ns + k * ODOM_NS
        yield stamp, '/odom', make.odometry(stamp, row, float(travelled[k]))
        frame = k // ratio
        if k % ratio or frame not in jpegs:
            continue
        truth = make.new(
            'geometry_msgs/PoseStamped', make.header(stamp, 'map'), make.pose(*poses[frame])
        )
        yield stamp, '/ground_truth/pose', truth
        yield stamp, '/camera/camera_info', make.camera_info(stamp, *camera)
        yield stamp, '/camera/image/compressed', make.image(stamp, jpegs[frame])


def encode(frames: dict[int, Path], quality: int) -> tuple[dict[int, bytes], tuple[int, int]]:
    """JPEG bytes of PNG files by frame number, and their width and height in pixels."""
    images = {k: cv2.imread(str(path)) for k, path in frames.items()}
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    jpegs = {k: cv2.imencode('.jpg', image, options)[1].tobytes() for k, image in images.items()}
    height, width = next(iter(images.values())).shape[:2]
    return jpegs, (width, height)


def write(
    target: Path,
    poses: np.ndarray,
    jpegs: dict[int, bytes],
    size: tuple[int, int],
    fov_deg: float,
    start_ns: int,
    seed: int,
) -> None:
    """Write the bag with jpegs by frame number; `target` must not exist yet."""
    make, rng = Messages(), rng_of(seed, 'odometry-' + target.name)
    with Writer(target, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        lines = {
            topic: bag.add_connection(
                topic,
                kind,
                typestore=make.store,
                offered_qos_profiles=[LATCHED] if topic == '/tf_static' else [],
            )
            for topic, kind in TOPICS.items()
        }
        for stamp, topic, message in _events(make, poses, jpegs, start_ns, (size, fov_deg), rng):
            bag.write(lines[topic], stamp, make.store.serialize_cdr(message, TOPICS[topic]))
