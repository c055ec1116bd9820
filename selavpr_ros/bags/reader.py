# SPDX-License-Identifier: MIT
"""Recordings (ROS 2 or ROS 1) as frames, without ROS: deterministic and in recorded order."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
import logging
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import MapConfig, ReplayConfig
from selavpr_model.data.odometry import segment_starts
from selavpr_model.data.source_report import SourceReport
from selavpr_model.errors import InputError, SourceError
from selavpr_model.maps.place_map import ODOMETRY
from selavpr_model.records import Frame
from selavpr_ros.bags import camera_poses
from selavpr_ros.bags.bag import Bag, open_bag
from selavpr_ros.bags.camera_poses import CameraPoses, Mounting
from selavpr_ros.bags.pose_file import of_file, pose_file
from selavpr_ros.bags.storage.compression import DamagedError
from selavpr_ros.bags.survey import Clock, seconds, stamp_of, Survey, survey, Topics, with_stamp
from selavpr_ros.bags.topics import (
    camera_topic,
    choose_image_topic,
    choose_odometry,
    choose_pose_topic,
    NO_POSE,
    TRANSFORMS,
)
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import from_ros

DEFAULTS = ReplayConfig()
FEW = 0.05
"""Share of the images with a pose below which the poses that were asked for are others'."""
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
    else the only odometry, 'none' leaves the poses out, 'tf:map' takes the camera's pose in that
    frame from /tf, the name of a file those that it has; base_camera: (4, 4) T_base_camera, by
    default from /tf_static. A bag or topic that cannot be used raises SourceError. `dropped`
    counts the images that gave no frame, by reason, and `report` says it; which cannot be decoded
    is known after an iteration. `camera`: of the camera_info beside the images, None where there
    is none or it is not calibrated.
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
        self.pose_file = pose_file(self.path, pose_topic)
        found = self._survey(image_topic, NO_POSE if self.pose_file else pose_topic)
        self.camera_info, self.camera = found.camera_info, found.camera
        self.camera_frame, self.images = found.camera_frame, found.images
        self.dropped = self._damaged()
        self.clock = Clock(found.images)
        self._warn_of_stamps()
        mounting = Mounting(str(self.path), base_frame, base_camera, found)
        mounted = mounting.base_camera()
        self.has_base_camera = mounted is not None
        self.base_camera = np.eye(4) if mounted is None else mounted
        self.poses = self._poses(found, mounting, base_camera)
        self.odometry = found.odometry
        self._odometry_recorded = self.clock.recorded(found.odometry, self.odom_gap_ns)
        self._odometry_track = track = found.odometry.over(self._odometry_recorded)
        self._segment_starts = segment_starts(track.stamps.tolist(), track.poses)
        self._body_camera = (
            mounting.of_body(found.odometry.body, self.odom_topic)
            if self.odom_topic and self.odom_topic != self.pose_topic
            else self.poses.T_body_camera
            if self.odom_topic
            else self.base_camera
        )
        self._check_poses(found, bool(pose_topic), base_frame)

    def _survey(self, image_topic: str, pose_topic: str) -> Survey:
        with open_bag(self.path) as bag:
            try:
                self._choose(bag, image_topic, pose_topic)
            except SourceError as error:
                raise SourceError(f'{error}{_also(bag.trouble())}') from error
            found, trouble = survey(bag, self.topics), bag.trouble()
            if not found.images:
                raise SourceError(
                    f'{self.path}: no image of {self.image_topic} can be read{_also(trouble)}'
                )
            if trouble:
                log.warning('%s: %s', self.path, trouble)
            self.damaged = bag.topics[self.image_topic].msgcount - len(found.images)
        return found

    def _choose(self, bag: Bag, image_topic: str, pose_topic: str) -> None:
        self.image_topic = choose_image_topic(bag, image_topic)
        self.pose_topic = choose_pose_topic(bag, pose_topic)
        self.odom_topic = choose_odometry(bag, self.pose_topic)
        self.image_type = bag.topics[self.image_topic].msgtype
        camera = camera_topic(bag, self.image_topic)
        self.topics = Topics(self.image_topic, self.pose_topic, self.odom_topic, camera)
        self._unasked = pose_topic == ''

    def _poses(
        self, found: Survey, mounting: Mounting, base_camera: np.ndarray | None
    ) -> CameraPoses:
        if self.pose_file is not None:
            return of_file(self.pose_file, self.clock, base_camera, self.max_gap_ns)
        if self.pose_topic.startswith(TRANSFORMS):
            return camera_poses.of_transforms(
                self.pose_topic, self.clock, mounting, self.max_gap_ns
            )
        if not self.pose_topic:
            return camera_poses.NOWHERE
        return camera_poses.of_track(
            found.poses, self.pose_topic, self.clock, mounting, self.max_gap_ns
        )

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Frame]:
        self.dropped = self._damaged()
        with open_bag(self.path) as bag:
            for index, (_, time, data) in enumerate(bag.messages([self.image_topic])):
                try:
                    yield self._frame(index, time, bag.decode(self.image_topic, data))
                except (InputError, DamagedError) as error:
                    self._drop(index, error)
        level = logging.WARNING if self.dropped else logging.INFO
        log.log(level, '%s: %s', self.path, self.report.words())

    def _damaged(self) -> Counter[str]:
        return Counter({'damaged': self.damaged} if self.damaged > 0 else {})

    def _drop(self, index: int, error: Exception) -> None:
        """Count an image that gives no frame; SourceError where none of them does."""
        self.dropped['undecodable'] += 1
        if self.dropped['undecodable'] <= MOST_WARNINGS:
            log.warning('%s, image %d: %s', self.path, index, error)
        if self.dropped['undecodable'] == len(self.images):
            raise SourceError(
                f'{self.path}: not one of the {len(self.images)} images on {self.image_topic} '
                f'can be decoded: {error}'
            ) from error

    @property
    def report(self) -> SourceReport:
        """What the last iteration used and left out."""
        total = len(self.images) + max(self.damaged, 0)
        posed = sum(self._camera_pose(t, s) is not None for t, s in self.images)
        used = total - sum(self.dropped.values())
        origin = None if self.poses.origin is None else self.poses.origin.to_dict()
        return SourceReport(
            used, posed, self.poses.source, left_out=dict(self.dropped), origin=origin
        )

    @property
    def map_frame(self) -> str:
        """What the frame of the poses is to be called in a map: as `tf:FRAME` was asked for, or as
        odometry calls its own, which no other drive shares."""
        frame, asked = self.poses.frame, self.pose_topic.startswith(TRANSFORMS)
        return frame if frame and (asked or frame == ODOMETRY) else MapConfig().frame_id

    def serialized(self) -> Iterator[Recorded]:
        """Every image and odometry message as it was recorded, odometry first on equal times."""
        with open_bag(self.path) as bag:
            messages = bag.messages({self.image_topic, self.odom_topic} - {''})
            recorded = map(self._recorded, messages)
            for _, group in groupby(recorded, key=lambda r: r.time_ns):
                yield from sorted(group, key=lambda r: r.is_image)

    def _recorded(self, message: tuple[str, int, bytes]) -> Recorded:
        topic, time, data = message
        stamp = stamp_of(data)
        if topic != self.image_topic:
            return Recorded(time, stamp, data, False)
        known = self.clock.stamp(time, stamp)
        return Recorded(time, known, data if known == stamp else with_stamp(data, known), True)

    def truth(self) -> dict[int, np.ndarray | None]:
        """stamp_ns of every image -> (4, 4) T_map_camera or None; decodes no image."""
        return {self.clock.stamp(t, s): self._camera_pose(t, s) for t, s in self.images}

    def _frame(self, index: int, time: int, message: Any) -> Frame:
        recorded, image = from_ros.stamp_ns(message), from_ros.rgb_image(message)
        return Frame(
            stamp_ns=self.clock.stamp(time, recorded),
            image=image,
            camera_frame=from_ros.frame_id(message),
            pose=self._camera_pose(time, recorded),
            odom=self._odometry(time, recorded),
            odom_segment=bisect_right(self._segment_starts, self._when(time, recorded)),
            name=f'{index:06d}',
            camera=self.camera if self.camera and self.camera.sees(image) else None,
        )

    def _odometry(self, time: int, recorded: int) -> np.ndarray | None:
        """What a live node would know at this stamp: T_odom_camera."""
        T_odom_body = self._odometry_track.latest(self._when(time, recorded), self.odom_gap_ns)
        return None if T_odom_body is None else T_odom_body @ self._body_camera

    def _when(self, time: int, recorded: int) -> int:
        """The image's time by the clock of odometry, ns."""
        return time if self._odometry_recorded else self.clock.stamp(time, recorded)

    def _camera_pose(self, time: int, recorded: int) -> np.ndarray | None:
        return self.poses.at(time, self.clock.stamp(time, recorded), self.max_gap_ns)

    def _warn_of_stamps(self) -> None:
        if self.clock.replaced:
            log.warning(
                '%s: header.stamp of %d of %d images of %s is not set or stands still; the times '
                'of recording are taken; let the driver set it before the next recording',
                self.path, self.clock.replaced, len(self.images), self.image_topic,
            )  # fmt: skip

    def _check_poses(self, found: Survey, asked: bool, base_frame: str) -> None:
        """Say what is wrong with the poses; SourceError where those asked for are no one's."""
        if self._unasked and not self.pose_topic and (roots := found.transforms.roots()):
            log.warning(
                '%s: no pose topic, so no image has a pose; /tf has the roots %s: --poses tf:%s',
                self.path, ', '.join(roots), 'map' if 'map' in roots else roots[0],
            )  # fmt: skip
        if not self.pose_topic and self.pose_file is None:
            return
        posed = sum(self._camera_pose(t, s) is not None for t, s in self.images)
        if posed < FEW * len(self.images):
            self._refuse_or_warn(posed, asked)
        if self.pose_file is not None:
            return
        by_body = self.poses.T_body_camera is self.base_camera or not found.poses.body
        if not self.has_base_camera and by_body and found.poses.oriented:
            log.warning(
                '%s: no /tf_static from %r to %r; the camera is taken to sit at the base. '
                'Give the transform with --base-camera',
                self.path, base_frame, self.camera_frame,
            )  # fmt: skip

    def _refuse_or_warn(self, posed: int, asked: bool) -> None:
        text = (
            f'{self.path}: {posed} of {len(self.images)} images have a pose within '
            f'{self.max_gap_ns / 1e9:g} s: the images are of '
            f'{seconds(self.clock.span(self.poses.recorded))}, the poses of '
            f'{self.poses.source} of {seconds(self.poses.span)}; take poses of the same drive, '
            f'or --poses {NO_POSE}'
        )
        if asked:
            raise SourceError(text)
        log.warning('%s', text)


def _also(trouble: str) -> str:
    return f'; {trouble}' if trouble else ''


MOST_WARNINGS = 5
"""Of one kind about one bag; the rest is counted."""
