# SPDX-License-Identifier: MIT
"""ROS messages -> records.

The readers also take the messages of `rosbags`, which have the same field names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.poses import pose_matrix as matrix
from selavpr_model.records import SECOND
from selavpr_model.runtime.image_size import MAX_PIXELS
from selavpr_model.runtime.shown import shortened
from selavpr_ros.convert import encodings


def rgb_image(msg: Any, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """sensor_msgs Image or CompressedImage -> (H, W, 3) uint8 RGB; InputError if that fails."""
    if hasattr(msg, 'encoding'):
        return encodings.decode_raw(
            msg.data, msg.height, msg.width, msg.step, msg.encoding, bool(msg.is_bigendian),
            max_pixels,
        )  # fmt: skip
    return encodings.decode_compressed(msg.data, msg.format, max_pixels)


def describe_image(msg: Any) -> str:
    """Size and encoding for people, such as '640x480 rgb8' or 'jpeg'."""
    if hasattr(msg, 'encoding'):
        return f'{msg.width}x{msg.height} {shortened(msg.encoding)}'
    return shortened(str(msg.format))


def is_empty(msg: Any) -> bool:
    """Whether an Image or CompressedImage holds no data, as in a request that left it out."""
    return len(msg.data) == 0


def stamp_ns(message: Any) -> int:
    """A message with a header, a header or a time -> nanoseconds."""
    header = getattr(message, 'header', message)
    time = getattr(header, 'stamp', header)
    return int(time.sec) * SECOND + int(time.nanosec)


def frame_id(message: Any) -> str:
    """The frame of a message with a header, or of a header."""
    return str(getattr(message, 'header', message).frame_id)


def duration_s(message: Any) -> float:
    """builtin_interfaces/Duration -> seconds."""
    return float(message.sec) + message.nanosec / SECOND


def pose_matrix(message: Any) -> np.ndarray:
    """Pose, PoseStamped, PoseWithCovariance(Stamped), Odometry or Transform(Stamped) -> (4, 4).

    T_a_b with a = header.frame_id and b = child_frame_id or the body the pose is of.
    """
    while hasattr(message, 'pose') or hasattr(message, 'transform'):
        message = message.pose if hasattr(message, 'pose') else message.transform
    p = message.position if hasattr(message, 'position') else message.translation
    q = message.orientation if hasattr(message, 'orientation') else message.rotation
    return checked_pose((p.x, p.y, p.z, q.x, q.y, q.z, q.w))


def odometry_pose(message: Any) -> np.ndarray:
    """nav_msgs/Odometry -> (4, 4) T_odom_child; InputError in words for the owner of a robot."""
    p, q = message.pose.pose.position, message.pose.pose.orientation
    numbers = (p.x, p.y, p.z, q.x, q.y, q.z, q.w)
    if not np.isfinite(numbers).all():
        raise InputError('pose is not finite (NaN or inf); correct the driver or filter')
    length = float(np.linalg.norm(numbers[3:]))
    if not 0.9 < length < 1.1:
        kind = 'quaternion is 0, 0, 0, 0' if length < 1e-6 else 'quaternion is not of length 1'
        raise InputError(f'{kind}; the driver has to set the orientation (w = 1 for none)')
    return matrix(numbers[:3], numbers[3:])


def checked_pose(values: tuple[float, ...]) -> np.ndarray:
    """x, y, z, qx, qy, qz, qw -> (4, 4); InputError unless finite and the quaternion a rotation.

    The length of the quaternion may be off by rounding, not more: (0, 0, 0, 0) means 'not set'.
    """
    length = float(np.linalg.norm(values[3:]))
    if not np.isfinite(values).all() or not 0.9 < length < 1.1:
        raise InputError(f'pose: expected finite numbers and a unit quaternion, got {values}')
    return matrix(values[:3], values[3:])


def pose_covariance(message: Any) -> np.ndarray:
    """PoseWithCovariance(Stamped) -> (6, 6) float64."""
    while hasattr(message.pose, 'covariance'):
        message = message.pose
    return np.asarray(message.covariance, float).reshape(6, 6)
