# SPDX-License-Identifier: MIT
"""Where the camera sits on the robot."""

from __future__ import annotations

import numpy as np

from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.convert.transforms import StaticTransforms
from selavpr_ros.node.context import Context


class Mounting:
    """As base_camera says, else as /tf_static does; else the camera is taken for the base."""

    def __init__(self, context: Context, transforms: StaticTransforms) -> None:
        self._context, self._transforms = context, transforms
        self.camera_frame = ''  # of the last image that was decoded

    def body(self) -> to_ros.Body:
        """Whose pose is published, and where."""
        config, T_base_camera = self._context.config, self._T_base_camera()
        if T_base_camera is None:
            T_base_camera = np.eye(4)
        return to_ros.Body(config.map_frame, config.base_frame, T_base_camera)

    def _T_base_camera(self) -> np.ndarray | None:
        config = self._context.config
        if config.base_camera is not None:
            return from_ros.checked_pose(config.base_camera)
        return self._transforms.find(
            config.base_frame, self.camera_frame
        )  # also where both are one

    def trouble(self) -> str | None:
        """What it means that nobody said where the camera sits; None where somebody did, and
        before the first image.
        """
        base, camera = self._context.config.base_frame, self.camera_frame
        if not camera or self._T_base_camera() is not None:
            return None
        return (
            f'base_camera is not given: the pose given for {base!r} is that of {camera!r}, and '
            'odometry is applied along the wrong axes; give T_base_camera as '
            f'base_camera:=[x,y,z,qx,qy,qz,qw], or base_frame:={camera} to get the pose of the '
            'camera'
        )
