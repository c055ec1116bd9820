# SPDX-License-Identifier: MIT
"""The pose that somebody gives on initialpose, as RViz's 2D Pose Estimate does: a prior."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
from rclpy.node import Node

from selavpr_model.errors import InputError
from selavpr_ros.config import Mode
from selavpr_ros.convert import from_ros
from selavpr_ros.node import qos
from selavpr_ros.node.context import Context
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.navigation import Navigation
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.worker import Worker

# Standard deviations where the message has none, or 0: RViz gives x, y and yaw only.
UNSAID = np.array([1.0, 1.0, 2.0, 0.2, 0.2, 0.5])


class InitialPose:
    """On the ROS thread; the worker is told what follows from it."""

    def __init__(
        self, node: Node, context: Context, worker: Worker[Any], pipeline: Pipeline,
        navigation: Navigation, mounting: Mounting,
    ) -> None:  # fmt: skip
        self._context, self._worker, self._pipeline = context, worker, pipeline
        self._navigation, self._mounting, self._node = navigation, mounting, node
        self._topic = node.resolve_topic_name('initialpose')
        node.create_subscription(
            PoseWithCovarianceStamped, 'initialpose', self._on_message, qos.reliable(10)
        )

    def _on_message(self, message: Any) -> None:
        if self._navigation.sent(message):  # our own, for AMCL
            return
        trouble = self._refusal(message)
        try:
            T_map_base = from_ros.pose_matrix(message)
            covariance = completed(from_ros.pose_covariance(message))
        except InputError as error:
            trouble = trouble or str(error)
        if trouble is not None:
            self._context.log.warn(f'{self._topic} is not used: {trouble}')
            return
        self._worker.post(lambda: self._apply(T_map_base, covariance))

    def _refusal(self, message: Any) -> str | None:
        frame, expected = from_ros.frame_id(message), self._context.config.map_frame
        if frame != expected:
            return f'expected a pose in frame {expected!r}, got {frame!r}; set the fixed frame'
        if not self._context.processing:
            return 'the node is not active; activate it first'
        if self._context.mode is Mode.SLAM:
            return 'a growing map has no frame to be placed in; leave SLAM first'
        return None

    def _apply(self, T_map_base: np.ndarray, covariance: np.ndarray) -> None:
        """On the worker: believe in the places there, and place the robot there meanwhile."""
        T_base_camera = self._mounting.body().T_base_camera
        self._navigation.reset()
        self._pipeline.expect(T_map_base @ T_base_camera, covariance)
        self._navigation.expect(T_map_base, covariance)
        x, y, _ = T_map_base[:3, 3]
        sigma = np.sqrt(np.trace(covariance[:2, :2]))
        self._node.get_logger().info(
            f'{self._topic}: the robot is said to be at ({x:.2f}, {y:.2f}) m, 1 sigma '
            f'{sigma:.2f} m: places there are believed in first'
        )


def completed(covariance: np.ndarray) -> np.ndarray:
    """(6, 6) with what is not said, or cannot be, in its place; InputError where not finite."""
    if not np.isfinite(covariance).all():
        raise InputError('covariance: expected finite numbers')
    variances = np.diagonal(covariance)
    kept = np.outer(variances > 0.0, variances > 0.0)
    full = np.where(kept, (covariance + covariance.T) / 2, 0.0)
    full += np.diag(np.where(variances > 0.0, 0.0, UNSAID**2))
    if np.linalg.eigvalsh(full)[0] <= 0.0:
        full = np.diag(np.diagonal(full))
    return full
