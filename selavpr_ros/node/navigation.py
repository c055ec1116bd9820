# SPDX-License-Identifier: MIT
"""What navigation needs of a robot that was found: Nav2's initialpose, a tracker's hint, and
map -> odom on /tf.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from selavpr_model.records import SECOND, State
from selavpr_ros.convert import to_ros
from selavpr_ros.node.context import Context
from selavpr_ros.node.mounting import Mounting
from selavpr_ros.node.nav2.hint import Hint
from selavpr_ros.node.outputs import Outputs
from selavpr_ros.node.tf.broadcaster import Broadcaster


class Navigation:
    """Belongs to the worker. All is off unless parameters, or a tracker, ask for it."""

    def __init__(
        self, context: Context, outputs: Outputs, mounting: Mounting, broadcaster: Broadcaster,
        hint: Hint,
    ) -> None:  # fmt: skip
        self._context, self._outputs, self._mounting = context, outputs, mounting
        self._broadcaster, self._hint = broadcaster, hint
        self._own: Any = None  # the last initialpose that we sent
        self.reset()

    def reset(self) -> None:
        """The robot, the clock or the map is another now."""
        self._is_localized = False
        self._sent_ns: int | None = None  # stamp of the last initialpose
        self._broadcaster.reset()

    def expect(self, T_map_base: np.ndarray, covariance: np.ndarray) -> None:
        """Somebody says where the robot is; covariance: (6, 6)."""
        self._broadcaster.expect(T_map_base, covariance)

    def sent(self, message: Any) -> bool:
        """Whether this initialpose is our own."""
        own = self._own
        return own is not None and (message.header, message.pose.pose) == (
            own.header,
            own.pose.pose,
        )

    def on_outcome(self, outcome: to_ros.Outcome, T_odom_camera: np.ndarray | None) -> None:
        """After each frame; T_odom_camera: (4, 4) at the image's stamp, so that odometry's drift
        until now does not count as motion of the map.
        """
        recognition = outcome.recognition
        localized = recognition.state is State.LOCALIZED and recognition.pose is not None
        if localized and not self._is_localized:
            self._send_initial_pose(outcome)
        self._is_localized = localized
        self._hint.on_outcome(outcome)
        self._broadcaster.on_answer(recognition, T_odom_camera)

    def _send_initial_pose(self, outcome: to_ros.Outcome) -> None:
        """Once each time the robot is found, and not again within the cooldown."""
        config, stamp = self._context.config, outcome.recognition.stamp_ns
        cooled = self._sent_ns is None or (
            abs(stamp - self._sent_ns) >= config.initialpose_cooldown_s * SECOND
        )
        if config.initialpose and cooled:
            self._sent_ns = stamp
            pose = to_ros.robot_pose(outcome.recognition, self._mounting.body())
            self._own = to_ros.diagonal(pose)
            self._outputs.send('initialpose', self._own)
