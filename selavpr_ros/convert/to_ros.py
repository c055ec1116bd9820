# SPDX-License-Identifier: MIT
"""Records -> ROS messages: hypotheses, poses, images.

The modules of this folder are the only ones that touch message fields.
"""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Any

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseWithCovariance,
    PoseWithCovarianceStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
import numpy as np
from selavpr.msg import PlaceHypotheses, PlaceHypothesis
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from selavpr_model.poses import inverse, position_quaternion
from selavpr_model.records import Candidate, LoopClosure, Place, Recognition, SECOND, State
from selavpr_ros.convert.tf_message import TFMessage

NOWHERE = (math.nan,) * 7
LEAST_VARIANCE = 1e-6  # m^2 and rad^2: consumers reject or misread a zero


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Whose pose is published, and where. T_base_camera: (4, 4)."""

    map_frame: str
    base_frame: str
    T_base_camera: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A recognition with what the messages about it say besides.

    keyframe_covariance: (6, 6) of a place's pose taken as the robot's; closures: of SLAM, None in
    a fixed map; keyframe: what the frame became there, or None.
    """

    recognition: Recognition
    frame_number: int
    camera_frame: str
    map_id: str
    map_revision: int
    keyframe_covariance: np.ndarray
    queue_ns: int = 0
    compute_ns: int = 0
    dropped: int = 0
    closures: tuple[LoopClosure, ...] | None = None
    keyframe: Place | None = None


def time(ns: int) -> Time:
    """Nanoseconds -> Time; what does not fit its 31 bits of seconds becomes 0, 'unknown'."""
    seconds, rest = divmod(int(ns), SECOND)
    return Time(sec=seconds, nanosec=rest) if 0 <= seconds < 2**31 else Time()


def duration(ns: int) -> Duration:
    seconds, rest = divmod(int(ns), SECOND)
    return Duration(sec=seconds, nanosec=rest)


def header(stamp_ns: int, frame: str) -> Header:
    return Header(stamp=time(stamp_ns), frame_id=frame)


def hypotheses(outcome: Outcome, body: Body, limit: int) -> PlaceHypotheses:
    recognition = outcome.recognition
    return PlaceHypotheses(
        header=header(recognition.stamp_ns, body.map_frame),
        query_frame_id=outcome.camera_frame,
        child_frame_id=body.base_frame,
        map_id=outcome.map_id,
        map_revision=outcome.map_revision,
        state=int(recognition.state),
        queue_latency=duration(outcome.queue_ns),
        compute_latency=duration(outcome.compute_ns),
        frames_dropped=outcome.dropped,
        hypotheses=[
            hypothesis(rank, candidate, body, outcome.keyframe_covariance)
            for rank, candidate in enumerate(recognition.candidates[:limit])
        ],
    )


def hypothesis(rank: int, c: Candidate, body: Body, covariance: np.ndarray) -> PlaceHypothesis:
    kind, pose = PlaceHypothesis.POSE_NONE, no_pose()
    if c.pose is not None and c.covariance is not None:
        kind, pose = PlaceHypothesis.POSE_REFINED, _base_pose(c.pose, c.covariance, body)
    elif c.place.pose is not None:
        kind, pose = PlaceHypothesis.POSE_KEYFRAME, _base_pose(c.place.pose, covariance, body)
    return PlaceHypothesis(
        rank=rank,
        place_id=c.place.id,
        session_id=text(c.place.session),
        place_stamp=time(c.place.stamp_ns),
        place_name=text(c.place.known_as),
        camera_frame_id=text(c.place.camera_frame),
        global_similarity=float(c.global_similarity),
        global_rank=int(c.global_rank),
        num_matches=int(c.mutual_matches),
        num_inliers=int(c.inliers),
        confidence=or_nan(c.confidence),
        status=int(c.status),
        reject_mask=int(c.reject),
        pose_type=kind,
        pose=pose,
    )


def text(value: str) -> str:
    """As DDS can carry it: names of files may hold bytes that are no UTF-8."""
    return value.encode(errors='replace').decode().replace('\0', '?')


def or_nan(value: float | None) -> float:
    """As messages say that a number is not known."""
    return math.nan if value is None else float(value)


def robot_pose(recognition: Recognition, body: Body) -> PoseWithCovarianceStamped | None:
    """Pose of the base in the map, stamped as the image; None unless LOCALIZED."""
    if recognition.state != State.LOCALIZED or recognition.pose is None:
        return None
    assert recognition.covariance is not None  # records.Recognition: both or none
    return PoseWithCovarianceStamped(
        header=header(recognition.stamp_ns, body.map_frame),
        pose=_base_pose(recognition.pose, recognition.covariance, body),
    )


def diagonal(
    message: PoseWithCovarianceStamped | None,
) -> PoseWithCovarianceStamped | None:
    """With the variances alone: Nav2 rejects negative entries."""
    if message is not None:
        matrix = np.asarray(message.pose.covariance).reshape(6, 6)
        message.pose.covariance = np.diag(np.diagonal(matrix)).ravel()
    return message


def transform(stamp_ns: int, frames: tuple[str, str], T: np.ndarray) -> Any:
    """(4, 4) T of (parent, child) -> TFMessage, which must be installed."""
    pose = pose_of(T)
    p = pose.position
    motion = Transform(translation=Vector3(x=p.x, y=p.y, z=p.z), rotation=pose.orientation)
    stamp = header(stamp_ns, frames[0])
    return TFMessage(
        transforms=[TransformStamped(header=stamp, child_frame_id=frames[1], transform=motion)]
    )


def stamped(stamp: Header, pose: PoseWithCovariance) -> PoseWithCovarianceStamped:
    return PoseWithCovarianceStamped(header=stamp, pose=pose)


def base_of(T_map_camera: np.ndarray, body: Body) -> np.ndarray:
    """(4, 4) T_map_base."""
    return np.asarray(T_map_camera @ inverse(body.T_base_camera))


def _base_pose(T_map_camera: np.ndarray, covariance: np.ndarray, body: Body) -> PoseWithCovariance:
    T_map_base = base_of(T_map_camera, body)
    return PoseWithCovariance(
        pose=pose_of(T_map_base),
        covariance=_moved(covariance, T_map_base[:3, 3] - T_map_camera[:3, 3]).ravel(),
    )


def _moved(covariance: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """(6, 6) of a point, for another point of the same body `arm` metres away (map axes)."""
    J = np.eye(6)
    J[:3, 3:] = np.cross(np.eye(3), -arm)  # rotating by r moves the point by r x arm
    moved = J @ covariance @ J.T
    np.fill_diagonal(moved, np.maximum(np.diagonal(moved), LEAST_VARIANCE))
    return np.asarray(moved)


def pose_of(T: np.ndarray) -> Pose:
    """(4, 4) -> Pose."""
    return _pose(position_quaternion(T))


def _pose(values: Sequence[float]) -> Pose:
    x, y, z, *q = values
    pose = Pose(position=Point(x=x, y=y, z=z))
    pose.orientation = Quaternion(x=q[0], y=q[1], z=q[2], w=q[3])
    return pose


def no_pose() -> PoseWithCovariance:
    """All NaN: whoever uses it although pose_type says NONE must notice."""
    return PoseWithCovariance(pose=_pose(NOWHERE), covariance=np.full(36, math.nan))


def image(pixels: np.ndarray, stamp_ns: int, frame: str) -> Image:
    """(H, W, 3) uint8 RGB -> rgb8."""
    height, width = pixels.shape[:2]
    return Image(
        header=header(stamp_ns, frame),
        height=height,
        width=width,
        encoding='rgb8',
        step=3 * width,
        data=array.array('B', pixels.tobytes()),  # an array is taken as it is, bytes are not
    )
