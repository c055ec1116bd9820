# SPDX-License-Identifier: MIT
"""What one pass over a recording finds: when its images are, and everything else there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import logging
import struct
from typing import Any

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import Camera
from selavpr_ros.bags.bag import Bag
from selavpr_ros.bags.storage.compression import DamagedError
from selavpr_ros.bags.topics import TRANSFORMS
from selavpr_ros.bags.tracks import Track, track_of, Transforms
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import camera_info, from_ros

TF, TF_STATIC = '/tf', '/tf_static'
ENOUGH = 2000
"""Messages on /tf that tell which frames there are, where nobody asked for its poses."""
log = logging.getLogger(__name__)
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that were chosen; '' for none."""

    image: str
    pose: str
    odometry: str
    camera: str


@dataclass(slots=True)
class Survey:
    """images: (time recorded, stamp) of each; the rest as it was found beside them."""

    images: list[tuple[int, int]] = field(default_factory=list)
    camera_frame: str = ''
    camera_info: bytes = b''
    camera: Camera | None = None
    poses: Track = field(default_factory=Track)
    odometry: Track = field(default_factory=Track)
    transforms: Transforms = field(default_factory=Transforms)


def survey(bag: Bag, topics: Topics) -> Survey:
    """One pass; damaged messages are left out and counted by the bag."""
    found = Survey()
    samples: dict[str, list[tuple[int, Any]]] = {topics.pose: [], topics.odometry: []}
    wanted = {topics.image, topics.camera, topics.pose, topics.odometry, TF_STATIC}
    if topics.pose.startswith(TRANSFORMS) or not topics.pose:
        wanted.add(TF)
    rectified = camera_info.is_rectified(NodeConfig().rectified, topics.image)
    moving = 0
    for topic, time, data in bag.messages(wanted - {''}):
        try:
            if topic == topics.image:
                found.images.append((time, _image(bag, found, topic, data)))
            elif topic == topics.camera:
                _camera(bag, found, topic, data, rectified)
            elif topic in (TF, TF_STATIC):
                moving += topic == TF
                if moving > ENOUGH and not topics.pose:
                    continue
                found.transforms.add(time, _transforms(bag, topic, data), topic == TF_STATIC)
            else:
                samples[topic].append((time, bag.decode(topic, data)))
        except DamagedError as error:
            bag.lose(topic, error)
    found.odometry = track_of(samples[topics.odometry])
    same = topics.pose == topics.odometry
    found.poses = found.odometry if same else track_of(samples[topics.pose])
    return found


def _image(bag: Bag, found: Survey, topic: str, data: bytes) -> int:
    if not found.camera_frame:
        found.camera_frame = from_ros.frame_id(bag.decode(topic, data))
    return stamp_of(data)


def stamp_of(data: bytes) -> int:
    """The stamp in the header at the front of a message in CDR, in ns; DamagedError."""
    if len(data) < 12:
        raise DamagedError(f'a message of {len(data)} bytes')
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return seconds * 10**9 + nanoseconds


def with_stamp(data: bytes, stamp_ns: int) -> bytes:
    """The message with another stamp in its header."""
    new = struct.pack('<iI' if data[1] & 1 else '>iI', *divmod(stamp_ns, 10**9))
    return data[:4] + new + data[12:]


def _camera(bag: Bag, found: Survey, topic: str, data: bytes, rectified: bool) -> None:
    if found.camera_info:
        return
    found.camera_info = data
    try:
        found.camera = camera_info.camera(bag.decode(topic, data), rectified)
    except InputError as error:
        log.warning('%s: %s', topic, error)


def _transforms(bag: Bag, topic: str, data: bytes) -> Any:
    message = bag.decode(topic, data)
    if not hasattr(message, 'transforms'):
        raise DamagedError(f'{bag.topics[topic].msgtype} is no TFMessage')
    return message


class Clock:
    """Which time images and poses share: their stamps, or the time of recording."""

    def __init__(self, images: Sequence[tuple[int, int]]) -> None:
        self.times = np.array([time for time, _ in images], np.int64)
        stamps = np.array([stamp for _, stamp in images], np.int64)
        values, counts = np.unique(stamps, return_counts=True)
        self._stuck = frozenset(values[counts > REPEATS].tolist())
        good = (stamps > 0) & ~np.isin(stamps, list(self._stuck))
        self.unstamped = len(stamps) > 0 and 2 * good.sum() < len(stamps)
        self.replaced = len(stamps) if self.unstamped else int((~good).sum())
        late = (stamps - self.times)[good]
        self.offset = 0 if self.unstamped or not len(late) else int(np.median(late))
        self.stamps = np.where(good & ~np.bool_(self.unstamped), stamps, self.times + self.offset)

    def stamp(self, time: int, stamp: int) -> int:
        """The image's stamp in ns; made of the time of recording where it has none, or one that
        stands still.
        """
        good = stamp > 0 and stamp not in self._stuck and not self.unstamped
        return stamp if good else time + self.offset

    def span(self, recorded: bool) -> Span:
        return _span(self.times if recorded else self.stamps)

    def recorded(self, track: Track, gap_ns: int) -> bool:
        """Whether only the time of recording joins these poses to the images."""
        if not len(track) or not len(self.times):
            return False
        stamps = np.array(track.stamps, np.int64)
        times = np.array(track.times, np.int64)
        if not meet(self.span(True), _span(times), gap_ns):
            return False
        unstamped = 2 * (stamps > 0).sum() < len(stamps)
        late = abs(int(np.median(stamps - times)) - self.offset)
        apart = not meet(self.span(False), _span(stamps), gap_ns)
        return bool(unstamped or apart or (late > FAR_NS and len(stamps) > 2))


REPEATS = 2
"""Images that may have one stamp; more show that stamps stand still."""
FAR_NS = 60 * 10**9
"""No sensor is that late: clocks that differ by more are not one."""


def _span(values: np.ndarray) -> Span:
    return (int(values.min()), int(values.max())) if len(values) else (0, 0)


def meet(one: Span, other: Span, gap_ns: int) -> bool:
    """Whether two stretches of time overlap, or nearly."""
    return one[0] - gap_ns <= other[1] and other[0] - gap_ns <= one[1]


def track_span(track: Track, recorded: bool) -> Span:
    return _span(np.array(track.times if recorded else track.stamps, np.int64))


def seconds(span: Span) -> str:
    """For people."""
    return f'{span[0] / 1e9:.3f} to {span[1] / 1e9:.3f} s'
