# SPDX-License-Identifier: MIT
"""The heartbeat that nav2_lifecycle_manager expects of an active node: topic bond, id its name."""

from __future__ import annotations

from typing import Any
import uuid

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from selavpr_ros.node import qos

try:
    from bond.msg import Status
except ImportError:  # it comes with Nav2
    Status = None

TOPIC = 'bond'
PERIOD_S, TIMEOUT_S = 0.1, 4.0
FAREWELLS = 3  # the other end may miss one


class Bond:
    """Ours of the two ends. Belongs to the ROS thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher: Any = None
        self._timer: Any = None
        self._instance = ''

    @property
    def possible(self) -> bool:
        return Status is not None

    def start(self) -> None:
        """Say every tenth of a second that we live."""
        if not self.possible or self._timer is not None:
            return
        self._instance = str(uuid.uuid4())
        self._publisher = self._node.create_publisher(Status, TOPIC, qos.reliable(5))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(PERIOD_S, self._beat, clock=steady)
        self._beat()

    def stop(self) -> None:
        """Say that we end, and be silent."""
        if self._timer is None:
            return
        self._node.destroy_timer(self._timer)
        for _ in range(FAREWELLS):
            self._beat(active=False)
        self._node.destroy_publisher(self._publisher)
        self._timer = self._publisher = None

    def _beat(self, active: bool = True) -> None:
        message = Status(id=self._node.get_name(), instance_id=self._instance, active=active)
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.heartbeat_timeout, message.heartbeat_period = TIMEOUT_S, PERIOD_S
        self._publisher.publish(message)
