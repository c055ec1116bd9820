# SPDX-License-Identifier: MIT
"""Where the camera sits on the robot, at the time of each image."""

from __future__ import annotations

import time

import numpy as np

from selavpr_model.records import SECOND
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.convert.tf_buffer import OutOfTimeError, TransformError
from selavpr_ros.node.context import Context
from selavpr_ros.node.tf.listener import TransformListener

WAIT_S = 0.1  # for a joint's transform that is sent a little after the image
POLL_S = 0.005


class Mounting:
    """As base_camera says, else as /tf_static and /tf do; else the camera is taken for the base.

    A camera on a joint, such as a pan-tilt head or a lift, sits where /tf says at the image's
    stamp. The worker looks at each image; both threads read.
    """

    def __init__(self, context: Context, tf: TransformListener) -> None:
        self._context, self._tf = context, tf
        self.camera_frame = ''  # of the last image that was decoded
        self._T_base_camera = np.eye(4)  # at the last image
        self._moves = False
        self._late: str | None = None  # why the place at the last image is not known

    def look(self, camera_frame: str, stamp_ns: int) -> bool:
        """Find the camera at an image. True where it was put elsewhere since the one before, so
        that motion between the two would be none of the robot; not where a joint moved it.
        """
        moved_before, self.camera_frame = self._moves, camera_frame
        T_base_camera = self._at(stamp_ns)
        if T_base_camera is None:
            T_base_camera = self._T_base_camera if self._moves else np.eye(4)
        differs = not np.array_equal(T_base_camera, self._T_base_camera)
        self._T_base_camera = T_base_camera
        return differs and not (self._moves and moved_before)

    def _at(self, stamp_ns: int) -> np.ndarray | None:
        """(4, 4) T_base_camera, None where not known; notes whether it moves, and is late."""
        self._late, given = None, self._given()
        if given is not None:
            self._moves = False
            return given
        base, camera, buffer = self._context.config.base_frame, self.camera_frame, self._tf.buffer
        try:
            return buffer.lookup(base, camera, stamp_ns)
        except OutOfTimeError as error:
            return self._near(stamp_ns, error)
        except TransformError:
            self._tf.want_moving()
            return None
        finally:
            self._moves = buffer.latest_ns(base, camera) is not None

    def _near(self, stamp_ns: int, error: OutOfTimeError) -> np.ndarray | None:
        """Wait a moment for the sample after the image; else one close to it will do."""
        base, camera, buffer = self._context.config.base_frame, self.camera_frame, self._tf.buffer
        end = time.monotonic() + WAIT_S
        while stamp_ns > error.nearest_ns and time.monotonic() < end:
            time.sleep(POLL_S)
            found = buffer.find(base, camera, stamp_ns)
            if found is not None:
                return found
        newest = buffer.latest_ns(base, camera)
        nearest = newest if newest is not None and newest < stamp_ns else error.nearest_ns
        if abs(stamp_ns - nearest) <= self._context.config.tf_gap_s * SECOND:
            return buffer.find(base, camera, nearest)
        self._late = str(error)
        return None

    def body(self) -> to_ros.Body:
        """Whose pose is published, and where."""
        config, T_base_camera = self._context.config, self._T_base_camera
        if not self._moves:
            known = self._T_now()
            T_base_camera = np.eye(4) if known is None else known
        return to_ros.Body(config.map_frame, config.base_frame, T_base_camera)

    def _given(self) -> np.ndarray | None:
        values = self._context.config.base_camera
        return None if values is None else from_ros.checked_pose(values)

    def _T_now(self) -> np.ndarray | None:
        given = self._given()
        if given is not None:
            return given
        return self._tf.buffer.find(
            self._context.config.base_frame, self.camera_frame
        )  # also where both are one

    def trouble(self) -> str | None:
        """What it means that nobody said where the camera sits; None where somebody did, and
        before the first image.
        """
        base, camera = self._context.config.base_frame, self.camera_frame
        if not camera or self._given() is not None:
            return None
        if (dispute := self._tf.disputes.between(base, camera)) is not None:
            return f'where {camera!r} sits on {base!r} is in dispute: {dispute}'
        if self._late is not None:
            return (
                f'where {camera!r} sits on {base!r} is not known at the image: {self._late}; the '
                'last place is taken. Its publisher has stopped, or has another clock than the '
                'camera'
            )
        if self._T_now() is not None:
            return None
        return (
            f'base_camera is not given: the pose given for {base!r} is that of {camera!r}, and '
            'odometry is applied along the wrong axes; give T_base_camera as '
            f'base_camera:=[x,y,z,qx,qy,qz,qw], or base_frame:={camera} to get the pose of the '
            f'camera; {self._why_not(base, camera)}'
        )

    def _why_not(self, base: str, camera: str) -> str:
        """Why the transforms that are heard do not say it."""
        if hint := self._tf.hint():
            return hint
        for frame in sorted(self._tf.buffer.frames()):
            if frame.endswith(f'/{base}'):
                return f'the transforms call it {frame!r}: set base_frame:={frame}'
        try:
            self._tf.buffer.lookup(base, camera)
        except TransformError as error:
            return str(error)
        return 'a transform came just now'
