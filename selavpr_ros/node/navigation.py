# SPDX-License-Identifier: MIT
"""What navigation wants of a found robot: Nav2's initialpose, and map -> odom on /tf."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from selavpr_model.poses import inverse
from selavpr_model.records import State
from selavpr_ros.convert import to_ros
from selavpr_ros.node.inputs import TFMessage

if TYPE_CHECKING:
    from selavpr_ros.node.localizer import LocalizerNode

SECOND = 1_000_000_000


class Navigation:
    """Belongs to the worker. Both are off unless their parameters ask for them."""

    def __init__(self, node: LocalizerNode) -> None:
        self._node = node
        self.reset()

    def reset(self) -> None:
        """The robot, the clock or the map is another now."""
        self._found = False
        self._told_ns: int | None = None
        self._T_map_odom: np.ndarray | None = None

    def on_outcome(self, outcome: to_ros.Outcome, T_odom_camera: np.ndarray | None) -> None:
        """After each frame; T_odom_camera: (4, 4) at the image's stamp, so that odometry's drift
        until now does not count as motion of the map.
        """
        recognition = outcome.recognition
        found = recognition.state is State.LOCALIZED and recognition.pose is not None
        if found and not self._found:
            self._tell_initial_pose(outcome)
        self._found = found
        if recognition.pose is not None and T_odom_camera is not None:
            self._T_map_odom = recognition.pose @ inverse(T_odom_camera)
        if self._node.parameters.node.publish_tf and self._T_map_odom is not None:
            self._tell_transform(recognition.stamp_ns, self._T_map_odom)

    def _tell_initial_pose(self, outcome: to_ros.Outcome) -> None:
        """Once each time the robot is found, and not again within the cooldown."""
        config, stamp = self._node.parameters.node, outcome.recognition.stamp_ns
        cooled = self._told_ns is None or (
            abs(stamp - self._told_ns) >= config.initialpose_cooldown_s * SECOND
        )
        if config.initialpose and cooled:
            self._told_ns = stamp
            pose = to_ros.robot_pose(outcome.recognition, self._node.body())
            self._node.outputs.send('initialpose', to_ros.diagonal(pose))

    def _tell_transform(self, stamp_ns: int, T_map_odom: np.ndarray) -> None:
        if TFMessage is None:
            self._node.voice.once('publish_tf: the package tf2_msgs is not installed')
            return
        config = self._node.parameters.node
        frames = config.map_frame, config.odom_frame
        self._node.outputs.send('tf', to_ros.transform(stamp_ns, frames, T_map_odom))
