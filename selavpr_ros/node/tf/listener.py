# SPDX-License-Identifier: MIT
"""Hears /tf_static always and /tf where it is needed, and says where else transforms are sent."""

from __future__ import annotations

from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from selavpr_ros.convert.tf_message import TFMessage
from selavpr_ros.node import qos
from selavpr_ros.node.health.throttled_logger import ThrottledLogger
from selavpr_ros.node.tf.buffers import make_buffer
from selavpr_ros.node.tf.disputes import Disputes

STATIC, MOVING = '/tf_static', '/tf'
TYPE = 'tf2_msgs/msg/TFMessage'
LOOK_S = 0.2
NOT_INSTALLED = 'tf2_msgs is not installed, so no transform is heard: install it'


class TransformListener:
    """/tf is heavy where a robot has many joints: it is heard from want_moving() on."""

    def __init__(self, node: Node, log: ThrottledLogger) -> None:
        self._node, self._log = node, log
        self.buffer, self.disputes = make_buffer(), Disputes()
        self._subscriptions: list[Any] = []
        self._timer: Any = None
        self._wanted = self._hears_moving = False

    def open(self) -> None:
        """On the ROS thread, as is close."""
        if TFMessage is None:
            return
        self._subscribe(STATIC, qos.TF_STATIC)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(LOOK_S, self._look, clock=steady)

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self._hears_moving = False

    def want_moving(self) -> None:
        """From any thread: /tf_static alone does not connect what has to be connected."""
        self._wanted = True

    def hint(self) -> str:
        """Why nothing may be heard; empty where something was."""
        if TFMessage is None:
            return NOT_INSTALLED
        if self.buffer.frames():
            return ''
        return elsewhere(self._node)

    def _look(self) -> None:
        if self._wanted and not self._hears_moving:
            self._hears_moving = True
            self._subscribe(MOVING, qos.reliable(100))

    def _subscribe(self, topic: str, profile: Any) -> None:
        resolved = self._node.resolve_topic_name(topic)
        heard = partial(self._on_message, resolved, topic == STATIC)
        events = qos.subscription_events(self._node, resolved, profile, self._log.warn)
        self._subscriptions.append(
            self._node.create_subscription(
                TFMessage, topic, heard, profile, event_callbacks=events
            )
        )

    def _on_message(self, topic: str, static: bool, message: Any) -> None:
        for trouble in self.buffer.add(message, static):
            self._log.warn(f'{topic}: {trouble}; it is left out, correct its publisher')
        for text in self.disputes.see(message, static):
            self._log.warn(text)


def elsewhere(node: Node) -> str:
    """What it means that no transform was heard: where else they are sent, and the cure."""
    own = {node.resolve_topic_name(name) for name in (STATIC, MOVING)}
    topics = {name for name, kinds in node.get_topic_names_and_types() if TYPE in kinds}
    others = sorted(name for name in topics - own if node.count_publishers(name) > 0)
    nothing = f'nothing came on {" or ".join(sorted(own))}'
    if not others:
        return nothing
    there = others[0].rpartition('/')[0]
    return (
        f'{nothing}, transforms are sent on {", ".join(others)}: remap -r /tf:={there}/tf '
        f'-r /tf_static:={there}/tf_static (the launch files do, with namespace)'
    )
