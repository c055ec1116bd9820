# SPDX-License-Identifier: MIT
"""The node's subscriptions: image, camera_info, odom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import time
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from selavpr_ros.config import NodeConfig
from selavpr_ros.convert.encodings import OTHER_TRANSPORTS
from selavpr_ros.node import qos
from selavpr_ros.node.health.throttled_logger import ThrottledLogger
from selavpr_ros.node.incoming.camera import CameraInput
from selavpr_ros.node.incoming.odometry import OdometryInput
from selavpr_ros.node.tf.listener import TransformListener

LATCHED_S = 0.5  # until publishers of camera_info are looked at again
ODOM_QUEUE = 200  # messages between two turns of the executor


@dataclass(frozen=True, slots=True)
class Arrival:
    """An image message as it came in. time_ns: its stamp; where it has none, when it came."""

    message: Any
    stamp_ns: int
    number: int
    received_ns: int  # time.monotonic_ns
    time_ns: int


class Inputs:
    """Subscriptions, made and destroyed with the lifecycle."""

    def __init__(self, node: Node, log: ThrottledLogger) -> None:
        self._node, self._log = node, log
        self._subscriptions: list[Any] = []
        self.tf = TransformListener(node, log)
        self.odometry, self.camera = OdometryInput(self.tf, self._now_ns), CameraInput(log)
        self._qos_problem: str | None = None
        self._timer: Any = None
        self._hears_latched = False
        self.image_topic = ''
        self.image_qos = qos.camera('sensor_data')

    def open(self, config: NodeConfig, on_image: Callable[[Any], None]) -> None:
        """Subscribe as configured, replacing what there was."""
        self.close()
        resolve = self._node.resolve_topic_name
        self._open_image(config, on_image)
        self.camera.open(resolve('camera_info'), self.image_topic, config)
        self.odometry.open(resolve('odom'), config)
        self._subscribe(Odometry, 'odom', self.odometry.on_message, qos.burst(ODOM_QUEUE))
        self._open_camera_info()
        self.tf.open()

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._timer, self._hears_latched = None, False
        self.tf.close()
        self.forget()
        self._qos_problem = None

    def _now_ns(self) -> int:
        """Simulated time is 0 before the first /clock."""
        return int(self._node.get_clock().now().nanoseconds) or time.time_ns()

    def forget(self) -> None:
        """Drop what belongs to an old clock."""
        self.odometry.forget()
        self.tf.buffer.clear()

    def publishers(self) -> list[Any]:
        """Who publishes images on our topic."""
        return self.ends(self.image_topic)

    def ends(self, topic: str) -> list[Any]:
        """Who publishes on a topic; nobody on '', before the node is configured."""
        return list(self._node.get_publishers_info_by_topic(topic)) if topic else []

    def topics_of(self, kind: str) -> list[str]:
        """Topics of a type, such as nav_msgs/msg/Odometry, that somebody publishes."""
        known = self._node.get_topic_names_and_types()
        names = [name for name, kinds in known if kind in kinds]
        return [name for name in names if self._node.count_publishers(name)]

    def namesakes(self) -> int:
        """How many nodes have our name and namespace, ourselves included."""
        own = self._node.get_name(), self._node.get_namespace()
        return self._node.get_node_names_and_namespaces().count(own)

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

    def foreign_transports(self) -> list[str]:
        """Topics of these images in forms that only a plugin of image_transport decodes."""
        base = self.image_topic.removesuffix('/compressed')
        names = [f'{base}/{name}' for name in OTHER_TRANSPORTS] if base else []
        return [name for name in names if self._node.count_publishers(name)]

    def _open_camera_info(self) -> None:
        """Sent again and again; or sent once and kept for who comes later, see below."""
        profile = qos.camera('sensor_data')
        self._subscribe(CameraInfo, 'camera_info', self.camera.on_message, profile)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(LATCHED_S, self._hear_latched, clock=steady)

    def _hear_latched(self) -> None:
        """Ask for what was sent before we came, of publishers that keep it (transient local). Any
        other publisher would complain about us.
        """
        ends = self.ends(self.camera.topic)
        latched = [e for e in ends if e.qos_profile.durability == qos.LATCHED.durability]
        if latched and not self.camera.known and not self._hears_latched:
            self._hears_latched = True
            silent = qos.SubscriptionEventCallbacks(use_default_callbacks=False)
            subscription = self._node.create_subscription(
                CameraInfo, 'camera_info', self.camera.on_message, qos.LATCHED,
                event_callbacks=silent,
            )  # fmt: skip
            self._subscriptions.append(subscription)

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
