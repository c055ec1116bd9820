# SPDX-License-Identifier: MIT
"""What all parts of the node share: its situation, its clock, its settings and its log."""

from __future__ import annotations

from concurrent.futures import Future
import time

from lifecycle_msgs.msg import State as LifecycleState
from rclpy.node import Node

from selavpr_model.records import SECOND
from selavpr_ros.config import Mode, NodeConfig
from selavpr_ros.node.health.health import Health
from selavpr_ros.node.health.throttled_logger import ThrottledLogger
from selavpr_ros.node.parameters import Parameters


class Context:
    """Written by the ROS thread, read by both."""

    def __init__(self, node: Node, parameters: Parameters) -> None:
        self._node = node
        self.parameters = parameters
        self.log = ThrottledLogger(node.get_logger())
        self.health = Health()
        self.lifecycle = LifecycleState.PRIMARY_STATE_UNCONFIGURED
        self.mode = Mode.LOCALIZE
        self.active_since_ns = 0  # time.monotonic_ns
        self.load_job: Future[None] | None = None

    @property
    def config(self) -> NodeConfig:
        return self.parameters.node

    @property
    def name(self) -> str:
        """With its namespace."""
        return str(self._node.get_fully_qualified_name())

    @property
    def configured(self) -> bool:
        return self.lifecycle in (
            LifecycleState.PRIMARY_STATE_INACTIVE,
            LifecycleState.PRIMARY_STATE_ACTIVE,
        )

    @property
    def active(self) -> bool:
        return bool(self.lifecycle == LifecycleState.PRIMARY_STATE_ACTIVE)

    @property
    def processing(self) -> bool:
        """Whether images are used now."""
        return self.active and self.mode is not Mode.PAUSE

    @property
    def active_s(self) -> float:
        """Seconds since images are used."""
        return (time.monotonic_ns() - self.active_since_ns) / SECOND

    @property
    def loading(self) -> bool:
        return self.load_job is not None and not self.load_job.done()

    @property
    def can_publish(self) -> bool:
        """Whether ROS is still up. The handle says so without the lock of its context, which a
        shutdown holds while it waits for the worker."""
        handle = self._node.context.handle
        return handle is not None and handle.ok()

    @property
    def uses_sim_time(self) -> bool:
        return bool(self._node.get_parameter('use_sim_time').value)

    def now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
