# SPDX-License-Identifier: MIT
"""ROS 2 bags (sqlite3 or mcap) as frames, without ROS: deterministic and in recorded order."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
import logging
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import ReplayConfig
from selavpr_model.data.odometry import segment_starts
from selavpr_model.errors import InputError
from selavpr_model.poses import PoseTrack
from selavpr_model.records import Camera, Frame
from selavpr_ros.bags.stamps import Stamps
from selavpr_ros.bags.topics import (
    camera_topic,
    choose_image_topic,
    choose_odometry,
    choose_pose_topic,
    open_bag,
)
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import camera_info, from_ros
from selavpr_ros.convert.transforms import StaticTransforms

with suppress(ModuleNotFoundError):  # a folder of images is read without it; open_bag asks for it
    from rosbags.highlevel import AnyReader

DEFAULTS = ReplayConfig()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An image or odometry message of a bag: recorded and header time, and its CDR bytes."""

    time_ns: int
    stamp_ns: int
    data: bytes
    is_image: bool


class BagFrames:
    """A bag's images as frames, with the poses and odometry of its other topics.

    image_topic: empty picks the only one; pose_topic: empty picks the only stamped pose topic,
    else the only odometry, 'none' leaves the poses out; base_camera: (4, 4) T_base_camera, by
    default from /tf_static. A bag or topic that cannot be used raises SourceError. After an
    iteration `dropped` counts the images that gave no frame, by reason. `camera`: of the
    camera_info beside the images, None where there is none or it is not calibrated.
    """

    def __init__(
        self,
        path: Path | str,
        image_topic: str = '',
        pose_topic: str = '',
        base_camera: np.ndarray | None = None,
        *,
        base_frame: str = NodeConfig().base_frame,
        config: ReplayConfig = DEFAULTS,
    ) -> None:
        self.path = Path(path)
        self.max_gap_ns = round(config.pose_gap_s * 1e9)
        self.odom_gap_ns = round(NodeConfig().odom_gap_s * 1e9)
        self.dropped: Counter[str] = Counter()
        with open_bag(self.path) as bag:
            self.image_topic = choose_image_topic(bag, image_topic)
            self.pose_topic = choose_pose_topic(bag, pose_topic)
            self.odom_topic = choose_odometry(bag, self.pose_topic)
            topic = bag.topics[self.image_topic]
            self.count, self.image_type = topic.msgcount, topic.msgtype
            self.camera_frame = _first_frame_id(bag, self.image_topic)
            self.camera_info, self.camera = _camera(
                bag, camera_topic(bag, self.image_topic), self.image_topic
            )
            if base_camera is None:
                base_camera = static_transform(bag, base_frame, self.camera_frame)
            self.poses = _pose_track(bag, self.pose_topic)
            self.odometry = _pose_track(bag, self.odom_topic)
        self._segment_starts = segment_starts(self.odometry.stamps.tolist(), self.odometry.poses)
        self.has_base_camera = base_camera is not None
        self.base_camera = np.eye(4) if base_camera is None else base_camera
        self._warn_of_identity(base_frame)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Frame]:
        self.dropped.clear()
        with open_bag(self.path) as bag:
            for index, (stamp, message) in enumerate(stamped(bag, self.image_topic)):
                try:
                    yield self._frame(index, stamp, message)
                except InputError as error:
                    self.dropped['undecodable'] += 1
                    log.warning('%s, image %d: %s', self.path, index, error)

    def serialized(self) -> Iterator[Recorded]:
        """Every image and odometry message as it was recorded, odometry first on equal times."""
        topics = {self.image_topic, self.odom_topic} - {''}
        with open_bag(self.path) as bag:
            connections = [c for c in bag.connections if c.topic in topics]
            recorded = map(partial(self._recorded, bag), bag.messages(connections))
            for _, group in groupby(recorded, key=lambda r: r.time_ns):
                yield from sorted(group, key=lambda r: r.is_image)

    def _recorded(self, bag: AnyReader, raw: tuple[Any, int, bytes]) -> Recorded:
        connection, time, data = raw
        stamp = from_ros.stamp_ns(bag.deserialize(data, connection.msgtype))
        return Recorded(time, stamp, bytes(data), connection.topic == self.image_topic)

    def truth(self) -> dict[int, np.ndarray | None]:
        """stamp_ns of every image -> (4, 4) T_map_camera or None; decodes no image."""
        with open_bag(self.path) as bag:
            stamps = [stamp for stamp, _ in stamped(bag, self.image_topic)]
        return {stamp: self._camera_pose(stamp) for stamp in stamps}

    def _frame(self, index: int, stamp: int, message: Any) -> Frame:
        image = from_ros.rgb_image(message)
        return Frame(
            stamp_ns=stamp,
            image=image,
            camera_frame=from_ros.frame_id(message),
            pose=self._camera_pose(stamp),
            odom=self._odometry(stamp),
            odom_segment=bisect_right(self._segment_starts, stamp),
            name=f'{index:06d}',
            camera=self.camera if self.camera and self.camera.sees(image) else None,
        )

    def _odometry(self, stamp: int) -> np.ndarray | None:
        """What a live node would know at this stamp: T_odom_camera."""
        T_odom_base = self.odometry.latest(stamp, self.odom_gap_ns)
        return None if T_odom_base is None else T_odom_base @ self.base_camera

    def _camera_pose(self, stamp: int) -> np.ndarray | None:
        T_map_base = self.poses.at(stamp, self.max_gap_ns)
        return None if T_map_base is None else T_map_base @ self.base_camera

    def _warn_of_identity(self, base_frame: str) -> None:
        if self.pose_topic and not self.has_base_camera:
            log.warning(
                '%s: no /tf_static from %r to %r; the camera is taken to sit at the base. '
                'Give the transform with --base-camera',
                self.path, base_frame, self.camera_frame,
            )  # fmt: skip


def _messages(bag: AnyReader, topic: str) -> Iterator[tuple[int, Any]]:
    """(time recorded in ns, message) in recorded order."""
    for connection, time, data in _raw_messages(bag, topic):
        yield time, bag.deserialize(data, connection.msgtype)


def stamped(bag: AnyReader, topic: str, may_repeat: bool = False) -> Iterator[tuple[int, Any]]:
    """(stamp in ns, message) in recorded order; where a stamp is 0 or stands still, the time of
    the recording takes its place.
    """
    judge = Stamps(f'{bag.paths[0]}: {topic}', may_repeat)
    for time, message in _messages(bag, topic):
        yield judge.of(from_ros.stamp_ns(message), time), message


def _raw_messages(bag: AnyReader, topic: str) -> Iterator[tuple[Any, int, bytes]]:
    connections = [c for c in bag.connections if c.topic == topic]
    # without this an empty choice would mean every topic
    return iter(bag.messages(connections) if connections else ())


def _camera(bag: AnyReader, topic: str, image_topic: str) -> tuple[bytes, Camera | None]:
    """The first camera_info as it was recorded and as a camera; empty and None without one."""
    rectified = camera_info.is_rectified(NodeConfig().rectified, image_topic)
    for connection, _, data in _raw_messages(bag, topic):
        try:
            message = bag.deserialize(data, connection.msgtype)
            return bytes(data), camera_info.camera(message, rectified)
        except InputError as error:
            log.warning('%s: %s', topic, error)
            break
    return b'', None


def _first_frame_id(bag: AnyReader, topic: str) -> str:
    return next((from_ros.frame_id(message) for _, message in _messages(bag, topic)), '')


def _pose_track(bag: AnyReader, topic: str) -> PoseTrack:
    """T_map_base (or T_odom_base) of an odometry or stamped pose topic over time."""
    samples = []
    for stamp, message in stamped(bag, topic, may_repeat=True) if topic else ():
        try:
            samples.append((stamp, from_ros.pose_matrix(message)))
        except InputError as error:
            log.warning('%s: a sample is left out: %s', topic, error)
    return PoseTrack([stamp for stamp, _ in samples], [pose for _, pose in samples])


def static_transform(bag: AnyReader, parent: str, child: str) -> np.ndarray | None:
    """(4, 4) T_parent_child from the bag's /tf_static; None if it does not connect them."""
    transforms = StaticTransforms()
    for _, message in _messages(bag, '/tf_static'):
        transforms.add(message)
    return transforms.find(parent, child)
