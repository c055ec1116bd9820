# SPDX-License-Identifier: MIT
"""Some seconds beside a robot, over ROS."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from selavpr_model.records import SECOND
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert.camera_info import is_rectified
from selavpr_ros.convert.encodings import OTHER_TRANSPORTS
from selavpr_ros.convert.tf_message import TFMessage
from selavpr_ros.doctor.observation import MOST_PICTURES, Observation, Settings, Stream
from selavpr_ros.node import qos
from selavpr_ros.node.tf.listener import elsewhere, NOT_INSTALLED

DISCOVERY_S = 3.0
KINDS = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage}
NOT_IMAGES = ('debug_image', 'compressedDepth', *OTHER_TRANSPORTS)
ODOMETRY = 'nav_msgs/msg/Odometry'
EITHER = qos.burst(200)  # best effort and volatile: it reaches every publisher


def observe_robot(settings: Settings, namespace: str = '') -> Observation:
    """Listen for settings.seconds."""
    ros = Context()
    rclpy.init(context=ros)
    arguments = ['--ros-args', '-r', '/tf:=tf', '-r', '/tf_static:=tf_static']
    node = Node('selavpr_doctor', context=ros, namespace=namespace, cli_args=arguments)
    executor = SingleThreadedExecutor(context=ros)
    executor.add_node(node)
    try:
        return _Listener(node, settings).listen(executor)
    finally:
        executor.shutdown()
        node.destroy_node()
        ros.try_shutdown()


class _Listener:
    def __init__(self, node: Node, settings: Settings) -> None:
        self._node, self._settings = node, settings
        where = node.get_namespace()
        self.seen = Observation(f'robot, namespace {where}', live=True)
        spacing_s = 0.9 * settings.seconds / MOST_PICTURES
        self.seen.images.spacing_ns = round(spacing_s * SECOND)

    def listen(self, executor: SingleThreadedExecutor) -> Observation:
        self._spin(executor, DISCOVERY_S, self._choose)
        self._subscribe()
        self._spin(executor, self._settings.seconds, lambda: False)
        self._look_at_publishers()
        return self.seen

    @staticmethod
    def _spin(executor: SingleThreadedExecutor, seconds: float, done: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done():
            executor.spin_once(timeout_sec=0.1)

    def _choose(self) -> bool:
        """Whether the topics are known by now; else why not is noted."""
        seen, settings = self.seen, self._settings
        seen.images.topic = self._topic(seen.images, settings.image_topic, tuple(KINDS))
        seen.odometry.topic = self._topic(seen.odometry, settings.odom_topic, (ODOMETRY,))
        beside = seen.images.topic.removesuffix('/compressed').rpartition('/')[0]
        seen.calibration.topic = f'{beside}/camera_info' if seen.images.topic else ''
        seen.calibration.rectified = is_rectified(NodeConfig().rectified, seen.images.topic)
        return bool(seen.images.topic and seen.odometry.topic)

    def _topic(self, stream: Stream, named: str, kinds: tuple[str, ...]) -> str:
        stream.problem = ''
        if named:
            return str(self._node.resolve_topic_name(named))
        topics = self._topics(kinds)
        if len(topics) == 1:
            return topics[0]
        kind = kinds[0].rpartition('/')[2]
        stream.problem = f'no topic of {kind}{self._other_forms(kinds)}'
        if topics:
            stream.problem = f'several topics of {kind}: {", ".join(topics)}'
        return ''

    def _other_forms(self, kinds: tuple[str, ...]) -> str:
        """Images that are there, but not as the node reads them."""
        known = self._node.get_topic_names_and_types() if kinds == tuple(KINDS) else []
        own = self._node.get_namespace().rstrip('/') + '/'
        names = [name for name, _ in known
                 if name.startswith(own) and name.rpartition('/')[2] in OTHER_TRANSPORTS
                 and self._node.count_publishers(name)]  # fmt: skip
        return f' but {", ".join(names)}, which has to be decoded first' if names else ''

    def _topics(self, kinds: tuple[str, ...]) -> list[str]:
        """That somebody publishes; of an image in both forms the raw one."""
        own = self._node.get_namespace().rstrip('/') + '/'
        topics = sorted(
            name
            for name, types in self._node.get_topic_names_and_types()
            if set(types) & set(kinds)
            and name.startswith(own)
            and name.rpartition('/')[2] not in NOT_IMAGES
            and self._node.count_publishers(name)
        )
        return [name for name in topics if name.removesuffix('/compressed') not in
                set(topics) - {name}]  # fmt: skip

    def _subscribe(self) -> None:
        seen, node = self.seen, self._node
        clock = node.get_clock()

        def put(stream: Any) -> Callable[[Any], None]:
            return lambda message: stream.add(message, clock.now().nanoseconds)

        if seen.images.topic:
            node.create_subscription(self._kind(), seen.images.topic, put(seen.images), EITHER)
            info, latched = seen.calibration, qos.LATCHED
            node.create_subscription(CameraInfo, info.topic, put(info), EITHER)
            node.create_subscription(CameraInfo, info.topic, put(info), latched)
        if seen.odometry.topic:
            node.create_subscription(Odometry, seen.odometry.topic, put(seen.odometry), EITHER)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        if TFMessage is None:
            seen.tree.hint = NOT_INSTALLED
            return
        for topic, profile in (('/tf', qos.reliable(100)), ('/tf_static', qos.TF_STATIC)):
            static = topic == '/tf_static'
            node.create_subscription(
                TFMessage, topic, lambda m, static=static: seen.tree.add(m, static), profile
            )

    def _kind(self) -> Any:
        """Of the image topic, by who publishes it, else by its name."""
        topic = self.seen.images.topic
        types = dict(self._node.get_topic_names_and_types()).get(topic, [])
        compressed = topic.endswith('/compressed')
        named = [KINDS[t] for t in types if t in KINDS]
        return named[0] if named else CompressedImage if compressed else Image

    def _on_diagnostics(self, message: Any) -> None:
        for line in message.status:
            node, _, part = line.name.partition(': ')
            if node.rpartition('/')[2] == 'localizer':
                level = line.level
                number = level[0] if isinstance(level, bytes) else int(level)
                self.seen.node[part] = (number, line.message)

    def _look_at_publishers(self) -> None:
        """Who sends, with which QoS, and where else transforms are."""
        seen, node = self.seen, self._node
        for stream in (seen.images, seen.odometry):
            if stream.topic:
                ends = node.get_publishers_info_by_topic(stream.topic)
                stream.publishers = [qos.describe_ends([end]) for end in ends]
        asked = qos.camera(self._settings.node.qos_image)
        ends = node.get_publishers_info_by_topic(seen.images.topic) if seen.images.topic else []
        for end in ends:
            if qos.incompatible(end.qos_profile, asked):
                offered = qos.describe(end.qos_profile)
                seen.images.refuses = f'the node asks {qos.describe(asked)}, offered is {offered}'
        if not seen.tree.edges and not seen.tree.hint:
            seen.tree.hint = elsewhere(node)
