# SPDX-License-Identifier: MIT
"""Frames to ROS 2 bags, without ROS: image sequences become what a robot would have recorded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from selavpr_model.errors import SourceError
from selavpr_model.poses import inverse, position_quaternion
from selavpr_model.records import Camera, Frame
from selavpr_model.runtime.needs import needs
from selavpr_ros.config import NodeConfig

with needs('rosbags', extra='bags'):
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import get_typestore, Stores

IMAGE_TOPIC = '/camera/image'
CAMERA_TOPIC = '/camera/camera_info'
POSE_TOPIC = '/ground_truth/pose'
ODOM_TOPIC = '/odom'
STORAGE = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}


def write_bag(
    path: Path,
    frames: Iterable[Frame],
    encoding: str = 'jpeg',
    storage: str = 'mcap',
    base_camera: np.ndarray | None = None,
) -> None:
    """Write images, and what the frames hold of true poses (T_map_base), odometry and cameras.

    encoding: rgb8, bgr8 or mono8 on /camera/image, jpeg or png on /camera/image/compressed;
    base_camera: (4, 4) T_base_camera on /tf_static, by default the camera sits at the base.
    """
    if path.exists():
        raise SourceError(f'{path}: exists; a bag is never overwritten, remove it first')
    writer = Writer(path, version=9, storage_plugin=STORAGE[storage])
    with writer:
        bag = _Bag(writer, np.eye(4) if base_camera is None else base_camera)
        for index, frame in enumerate(frames):
            if index == 0:
                bag.write_static_transform(frame)
            bag.write_frame(frame, encoding)


class _Bag:
    """An open writer and the message classes."""

    def __init__(self, writer: Writer, base_camera: np.ndarray) -> None:
        self.writer = writer
        self.base_camera = base_camera
        self.store = get_typestore(Stores.ROS2_JAZZY)
        self.connections: dict[str, Any] = {}

    def write_frame(self, frame: Frame, encoding: str) -> None:
        stamp = frame.stamp_ns
        if encoding in ('jpeg', 'png'):
            topic, message = IMAGE_TOPIC + '/compressed', self.compressed(frame, encoding)
        else:
            topic, message = IMAGE_TOPIC, self.raw(frame, encoding)
        self.write(topic, stamp, message)
        if frame.camera is not None:
            self.write(CAMERA_TOPIC, stamp, self.camera_info(frame, frame.camera))
        if frame.pose is not None:
            pose = self.pose(frame.pose @ inverse(self.base_camera))
            header = self.header(stamp, 'map')
            self.write(POSE_TOPIC, stamp, self.make('geometry_msgs/PoseStamped', header, pose))
        if frame.odom is not None:
            self.write(
                ODOM_TOPIC, stamp, self.odometry(stamp, frame.odom @ inverse(self.base_camera))
            )

    def write_static_transform(self, frame: Frame) -> None:
        x, y, z, *turn = position_quaternion(self.base_camera)
        transform = self.make(
            'geometry_msgs/Transform',
            self.make('geometry_msgs/Vector3', x, y, z),
            self.make('geometry_msgs/Quaternion', *turn),
        )
        header = self.header(frame.stamp_ns, NodeConfig().base_frame)
        edge = self.make('geometry_msgs/TransformStamped', header, frame.camera_frame, transform)
        self.write('/tf_static', frame.stamp_ns, self.make('tf2_msgs/TFMessage', [edge]))

    def write(self, topic: str, stamp_ns: int, message: Any) -> None:
        name = message.__msgtype__
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(topic, name, typestore=self.store)
        data = self.store.serialize_cdr(message, name)
        self.writer.write(self.connections[topic], stamp_ns, data)

    def make(self, name: str, *fields: Any) -> Any:
        return self.store.types[name.replace('/', '/msg/')](*fields)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        time = self.make('builtin_interfaces/Time', *divmod(stamp_ns, 10**9))
        return self.make('std_msgs/Header', time, frame_id)

    def pose(self, T: np.ndarray) -> Any:
        x, y, z, *turn = position_quaternion(T)
        point = self.make('geometry_msgs/Point', x, y, z)
        return self.make('geometry_msgs/Pose', point, self.make('geometry_msgs/Quaternion', *turn))

    def odometry(self, stamp_ns: int, T: np.ndarray) -> Any:
        zero = [self.make('geometry_msgs/Vector3', 0.0, 0.0, 0.0) for _ in range(2)]
        unknown = np.zeros(36)
        pose = self.make('geometry_msgs/PoseWithCovariance', self.pose(T), unknown)
        twist = self.make('geometry_msgs/Twist', *zero)
        twist = self.make('geometry_msgs/TwistWithCovariance', twist, unknown)
        header = self.header(stamp_ns, NodeConfig().odom_frame)
        return self.make('nav_msgs/Odometry', header, NodeConfig().base_frame, pose, twist)

    def camera_info(self, frame: Frame, camera: Camera) -> Any:
        width, height = camera.size
        P = np.c_[camera.K, np.zeros(3)]
        roi = self.make('sensor_msgs/RegionOfInterest', 0, 0, 0, 0, False)
        header = self.header(frame.stamp_ns, frame.camera_frame)
        return self.make(
            'sensor_msgs/CameraInfo', header, height, width, camera.model,
            np.asarray(camera.distortion, float), camera.K.ravel(), np.eye(3).ravel(), P.ravel(),
            0, 0, roi,
        )  # fmt: skip

    def compressed(self, frame: Frame, encoding: str) -> Any:
        bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(f'.{encoding}', bgr)
        header = self.header(frame.stamp_ns, frame.camera_frame)
        return self.make('sensor_msgs/CompressedImage', header, encoding, data.ravel())

    def raw(self, frame: Frame, encoding: str) -> Any:
        image = frame.image
        if encoding != 'rgb8':
            grey = encoding == 'mono8'
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
        height, width = image.shape[:2]
        step = image.size // height
        header = self.header(frame.stamp_ns, frame.camera_frame)
        return self.make(
            'sensor_msgs/Image', header, height, width, encoding, 0, step, image.ravel()
        )
