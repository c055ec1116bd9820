# SPDX-License-Identifier: MIT
"""What navigation needs of a robot that was found: Nav2's initialpose, and map -> odom on /tf."""

from __future__ import annotations

import numpy as np

from selavpr_model.poses import inverse
from selavpr_model.records import SECOND, State
from selavpr_ros.convert import to_ros
from selavpr_ros.convert.tf_message import TFMessage
from selavpr_ros.node.context import Context
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.outputs import Outputs


class Navigation:
    """Belongs to the worker. Both are off unless their parameters ask for them."""

    def __init__(self, context: Context, outputs: Outputs, mounting: Mounting) -> None:
        self._context, self._outputs, self._mounting = context, outputs, mounting
        self.reset()

    def reset(self) -> None:
        """The robot, the clock or the map is another now."""
        self._is_localized = False
        self._sent_ns: int | None = None  # stamp of the last initialpose
        self._T_map_odom: np.ndarray | None = None

    def on_outcome(self, outcome: to_ros.Outcome, T_odom_camera: np.ndarray | None) -> None:
        """After each frame; T_odom_camera: (4, 4) at the image's stamp, so that odometry's drift
        until now does not count as motion of the map.
        """
        recognition = outcome.recognition
        localized = recognition.state is State.LOCALIZED and recognition.pose is not None
        if localized and not self._is_localized:
            self._send_initial_pose(outcome)
        self._is_localized = localized
        if recognition.pose is not None and T_odom_camera is not None:
            self._T_map_odom = recognition.pose @ inverse(T_odom_camera)
        if self._context.config.publish_tf and self._T_map_odom is not None:
            self._send_transform(recognition.stamp_ns, self._T_map_odom)

    def _send_initial_pose(self, outcome: to_ros.Outcome) -> None:
        """Once each time the robot is found, and not again within the cooldown."""
        config, stamp = self._context.config, outcome.recognition.stamp_ns
        cooled = self._sent_ns is None or (
            abs(stamp - self._sent_ns) >= config.initialpose_cooldown_s * SECOND
        )
        if config.initialpose and cooled:
            self._sent_ns = stamp
            pose = to_ros.robot_pose(outcome.recognition, self._mounting.body())
            self._outputs.send('initialpose', to_ros.diagonal(pose))

    def _send_transform(self, stamp_ns: int, T_map_odom: np.ndarray) -> None:
        if TFMessage is None:
            self._context.log.once('publish_tf: the package tf2_msgs is not installed')
            return
        config = self._context.config
        frames = config.map_frame, config.odom_frame
        self._outputs.send('tf', to_ros.transform(stamp_ns, frames, T_map_odom))
