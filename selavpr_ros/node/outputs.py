# SPDX-License-Identifier: MIT
"""The node's publishers. Called from the ROS thread and from the worker."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
from rclpy.lifecycle import LifecycleNode
from selavpr.msg import LocalizerStatus, LoopClosure, MapInfo, PlaceHypotheses
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from selavpr_ros.convert import closures, markers, to_ros
from selavpr_ros.convert.tf_message import TFMessage
from selavpr_ros.node import qos

# Three publishers on ~/markers: a late subscriber gets the last map, match and closures.
GATED: dict[str, tuple[Any, str, Any]] = {
    'hypotheses': (PlaceHypotheses, '~/hypotheses', qos.reliable(10)),
    'pose': (PoseWithCovarianceStamped, '~/pose', qos.reliable(10)),
    'loop_closures': (LoopClosure, '~/loop_closures', qos.reliable(100)),
    'keyframes': (MarkerArray, '~/markers', qos.LATCHED),
    'match': (MarkerArray, '~/markers', qos.LATCHED),
    'closures': (MarkerArray, '~/markers', qos.LATCHED),
    'initialpose': (PoseWithCovarianceStamped, 'initialpose', qos.reliable(1)),
    'debug_image': (Image, '~/debug_image', qos.reliable(1)),
}

if TFMessage is not None:
    GATED['tf'] = (TFMessage, '/tf', qos.reliable(100))


class Outputs:
    """Publishers for results (only while configured, silent unless active) and for the state."""

    def __init__(self, node: LifecycleNode, warn: Callable[[str], None]) -> None:
        self._node = node
        self._warn = warn
        self._lock = threading.Lock()  # the worker must not publish on what is being destroyed
        self._gated: dict[str, Any] = {}
        self._lines = markers.ClosureLines()
        self.status = node.create_publisher(LocalizerStatus, '~/status', qos.LATCHED)
        self.map_info = node.create_publisher(MapInfo, '~/map_info', qos.LATCHED)
        self.diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', qos.reliable(10))

    def open(self) -> None:
        """Create the result publishers; the lifecycle node enables them on activation."""
        with self._lock:
            for name, (kind, topic, profile) in GATED.items():
                resolved = self._node.resolve_topic_name(topic)
                events = qos.publisher_events(self._node, resolved, profile, self._warn)
                self._gated[name] = self._node.create_lifecycle_publisher(
                    kind, topic, profile, event_callbacks=events
                )

    def close(self) -> None:
        with self._lock:
            for publisher in self._gated.values():
                self._node.destroy_lifecycle_publisher(publisher)
            self._gated.clear()

    def has_listener(self, name: str) -> bool:
        """Whether somebody listens."""
        with self._lock:
            return name in self._gated and self._gated[name].get_subscription_count() > 0

    def send(self, name: str, message: Any) -> None:
        """Publish on a result topic; nothing happens for None or while not active."""
        with self._lock:
            if message is not None and name in self._gated:
                self._gated[name].publish(message)

    def recognition(self, outcome: to_ros.Outcome, body: to_ros.Body, limit: int) -> None:
        """Everything about one frame but the debug image."""
        self.send('hypotheses', to_ros.hypotheses(outcome, body, limit))
        self.send('pose', to_ros.robot_pose(outcome.recognition, body))
        for closure in closures.loop_closures(outcome, body):
            self.send('loop_closures', closure)
        self.send('match', markers.match(outcome, body))
        if self._lines.add(outcome.closures or (), outcome.map_id):
            stamp = outcome.recognition.stamp_ns
            self.send('closures', self._lines.markers(stamp, body.map_frame))

    def keyframes(self, positions: np.ndarray, stamp_ns: int, frame: str) -> None:
        self.send('keyframes', markers.keyframes(positions, stamp_ns, frame))
