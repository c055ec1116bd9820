# SPDX-License-Identifier: MIT
"""The node's subscriptions: image, camera_info, odom."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nav_msgs.msg import Odometry
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from selavpr_model.errors import InputError
from selavpr_model.poses import PoseTrack
from selavpr_model.records import Camera
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import from_ros
from selavpr_ros.node import qos
from selavpr_ros.node.health.throttled_logger import ThrottledLogger
from selavpr_ros.node.tf.listener import TransformListener

ODOM_KEPT = 200  # messages; a few seconds at the usual 20 to 50 Hz


@dataclass(frozen=True, slots=True)
class Arrival:
    """An image message as it came in."""

    message: Any
    stamp_ns: int
    number: int
    received_ns: int  # time.monotonic_ns


class Inputs:
    """Subscriptions, made and destroyed with the lifecycle."""

    def __init__(self, node: Node, log: ThrottledLogger) -> None:
        self._node, self._log = node, log
        self._subscriptions: list[Any] = []
        self._odom_frame = ''
        self._odom: deque[tuple[int, np.ndarray]] = deque(maxlen=ODOM_KEPT)
        self.tf = TransformListener(node, log)
        self.transforms = self.tf.buffer
        self.on_odometry: Callable[[int, np.ndarray], None] = lambda stamp_ns, T_odom_base: None
        self.camera: Camera | None = None
        self._camera_problem: str | None = None
        self._qos_problem: str | None = None
        self.image_topic = ''
        self.image_qos = qos.camera('sensor_data')

    def open(self, config: NodeConfig, on_image: Callable[[Any], None]) -> None:
        """Subscribe as configured, replacing what there was."""
        self.close()
        self._odom_frame = config.odom_frame
        self._open_image(config, on_image)
        sensor = qos.camera('sensor_data')
        self._subscribe(CameraInfo, 'camera_info', self._on_camera_info, sensor)
        self._subscribe(Odometry, 'odom', self._on_odom, qos.burst(ODOM_KEPT))
        self.tf.open()

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self.tf.close()
        self.forget()
        self._qos_problem = self._camera_problem = None

    def forget(self) -> None:
        """Drop what belongs to an old clock or camera."""
        self._odom.clear()
        self.transforms.clear()
        self.camera = None

    def publishers(self) -> list[Any]:
        """Who publishes images on our topic."""
        return list(self._node.get_publishers_info_by_topic(self.image_topic))

    def other_transport(self) -> str | None:
        """The value of image_transport that images are there for, if not the one in use."""
        compressed = self.image_topic.endswith('/compressed')
        base = self.image_topic.removesuffix('/compressed')
        own_kinds = {end.topic_type.rpartition('/')[2] for end in self.publishers()}
        if not compressed and own_kinds == {'CompressedImage'}:
            return 'compressed'
        if own_kinds:
            return None
        beside = base if compressed else f'{base}/compressed'
        has_publisher = self._node.count_publishers(beside) > 0
        return ('raw' if compressed else 'compressed') if has_publisher else None

    def odometry(self, stamp_ns: int, max_age_ns: int) -> np.ndarray | None:
        """(4, 4) T_odom_base, the last at or before the stamp; None without one that young."""
        samples = list(self._odom)
        if not samples:
            return None
        return PoseTrack(*zip(*samples, strict=True)).latest(stamp_ns, max_age_ns)

    def camera_of(self, image: np.ndarray) -> Camera | None:
        """The calibration of camera_info, where it can be of this image."""
        camera = self.camera
        if camera is None or camera.sees(image):
            return camera
        expected, got = 'x'.join(map(str, camera.size)), f'{image.shape[1]}x{image.shape[0]}'
        self._log.once(f'camera_info is of {expected}, images are {got}: it is not used')
        return None

    def about_camera(self) -> str:
        """The calibration in words, or why there is none."""
        if self.camera is None:
            return self._camera_problem or 'none received'
        return f'{self.camera.size[0]}x{self.camera.size[1]} {self.camera.model}'

    def _open_image(self, config: NodeConfig, on_image: Callable[[Any], None]) -> None:
        self.image_topic = self._node.resolve_topic_name('image')
        kind: Any = Image
        if config.image_transport == 'compressed':
            kind = CompressedImage
            # As image_transport: a remapping of `image` moves its compressed form along.
            self.image_topic = self.image_topic.removesuffix('/compressed') + '/compressed'
        self.image_qos = qos.camera(config.qos_image)
        self._subscribe(kind, self.image_topic, on_image, self.image_qos)

    def _subscribe(
        self, kind: Any, topic: str, callback: Callable[[Any], None], profile: Any
    ) -> None:
        resolved = self._node.resolve_topic_name(topic)
        events = qos.subscription_events(self._node, resolved, profile, self._qos_event)
        subscription = self._node.create_subscription(
            kind, topic, callback, profile, event_callbacks=events
        )
        self._subscriptions.append(subscription)

    def _qos_event(self, text: str) -> None:
        self._qos_problem = text
        self._log.warn(text)

    @property
    def qos_problem(self) -> str | None:
        """The last report of incompatible QoS, as long as such an image publisher is there."""
        if self._qos_problem and not any(
            qos.incompatible(end.qos_profile, self.image_qos) for end in self.publishers()
        ):
            self._qos_problem = None
        return self._qos_problem

    def _on_camera_info(self, message: Any) -> None:
        try:
            self.camera, self._camera_problem = from_ros.camera(message), None
        except InputError as error:
            self._camera_problem = str(error)

    def _on_odom(self, message: Any) -> None:
        try:
            pose = from_ros.pose_matrix(message)
        except InputError:  # counts as no odometry
            return
        frame, expected = from_ros.frame_id(message), self._odom_frame
        if frame != expected:
            self._log.warn(f'odom: expected frame {expected!r}, got {frame!r}; set odom_frame')
        stamp_ns = from_ros.stamp_ns(message)
        self._odom.append((stamp_ns, pose))
        self.on_odometry(stamp_ns, pose)
