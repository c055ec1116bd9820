# SPDX-License-Identifier: MIT
"""Tells a tracker that is lost where the robot is, as cuVSLAM asks on visual_slam/trigger_hint.

cuVSLAM localises itself in its own map around a pose that it gets on visual_slam/initial_pose,
and asks for another one where that fails. Its map must have the frame of ours.
"""

from __future__ import annotations

import threading
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node

from selavpr_model.records import SECOND, State
from selavpr_ros.config import Mode, NodeConfig
from selavpr_ros.convert import to_ros
from selavpr_ros.node import qos
from selavpr_ros.node.context import Context
from selavpr_ros.node.mounting import Mounting

LEAST_NS = SECOND  # between two hints: the tracker has to try each
KIND = PoseWithCovarianceStamped


class Hint:
    """The ROS thread hears requests, the worker answers with the next frame that is LOCALIZED: an
    answer of before the request is of where the robot was.
    """

    def __init__(self, node: Node, context: Context, mounting: Mounting) -> None:
        self._node, self._context, self._mounting = node, context, mounting
        self._lock = threading.Lock()  # the worker must not publish on what is being destroyed
        self._publisher: Any = None
        self._subscription: Any = None
        self._wanted = False
        self._told_ns: int | None = None  # stamp of the last hint

    def open(self, config: NodeConfig) -> None:
        """Begin anew, under the names that are configured."""
        self.close()
        profile = qos.reliable(10)  # cuVSLAM's are reliable, too
        with self._lock:
            self._wanted, self._told_ns = config.hint_unasked, None
            self._publisher = self._node.create_publisher(KIND, config.hint_topic, profile)
        self._subscription = self._node.create_subscription(
            KIND, config.hint_request_topic, self._on_request, profile
        )

    def close(self) -> None:
        """Hear and answer nobody."""
        if self._publisher is None:
            return
        self._node.destroy_subscription(self._subscription)
        with self._lock:
            self._node.destroy_publisher(self._publisher)
            self._publisher, self._wanted = None, False

    def _on_request(self, message: Any) -> None:
        """What the request says does not matter: cuVSLAM sends an empty pose."""
        topic = self._node.resolve_topic_name(self._context.config.hint_request_topic)
        if trouble := self._refusal():
            self._context.log.warn(f'{topic} is not answered: {trouble}')
            return
        with self._lock:
            first, self._wanted = not self._wanted, True
        if first:
            self._node.get_logger().info(
                f'{topic}: a tracker asks where the robot is; it is told with the next image that '
                'is LOCALIZED'
            )

    def _refusal(self) -> str | None:
        if not self._context.processing:
            return 'the node is not active; activate it first'
        if self._context.mode is Mode.SLAM:
            return 'a growing map is in the frame of its odometry; localise in a fixed map'
        return None

    def on_outcome(self, outcome: to_ros.Outcome) -> None:
        """On the worker, after each frame."""
        recognition = outcome.recognition
        found = recognition.state is State.LOCALIZED and recognition.pose is not None
        if not (found and self._wanted and self._is_time(recognition.stamp_ns)):
            return
        if trouble := self._mounting.trouble():
            self._context.log.warn(f'no hint is given to the tracker that asks: {trouble}')
            return
        pose = to_ros.diagonal(to_ros.robot_pose(recognition, self._mounting.body()))
        with self._lock:
            if self._publisher is None or not self._publisher.get_subscription_count():
                return  # the tracker is not there yet, or not any more
            self._publisher.publish(pose)
            self._wanted, self._told_ns = False, recognition.stamp_ns

    def _is_time(self, stamp_ns: int) -> bool:
        return self._told_ns is None or abs(stamp_ns - self._told_ns) >= LEAST_NS
