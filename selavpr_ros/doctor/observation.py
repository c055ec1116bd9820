# SPDX-License-Identifier: MIT
"""What was heard in a few seconds, of a robot or of a bag, and what was to be expected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import Camera, SECOND
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import camera_info, from_ros
from selavpr_ros.convert.tf_buffer import TransformBuffer
from selavpr_ros.node.tf.disputes import Disputes

MOST_PICTURES = 60


@dataclass(frozen=True, slots=True)
class Settings:
    """As the node has them. image_topic, odom_topic: empty for the only one."""

    map: Path | None = None
    image_topic: str = ''
    odom_topic: str = ''
    node: NodeConfig = field(default_factory=NodeConfig)
    seconds: float = 10.0


@dataclass(slots=True)
class Stream:
    """The messages of one topic."""

    topic: str = ''
    problem: str = ''  # why there is no such topic, with the cure
    stamps: list[int] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)  # as recorded, or by our clock
    frames: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)  # reason -> messages
    publishers: list[str] = field(default_factory=list)  # with their QoS; of a robot
    refuses: str = ''  # the QoS of a publisher that would not reach the node

    def note(self, message: Any, arrival_ns: int) -> None:
        self.stamps.append(from_ros.stamp_ns(message))
        self.arrivals.append(arrival_ns)
        self.frames[from_ros.frame_id(message)] += 1

    @property
    def rate_hz(self) -> float:
        if len(self.arrivals) < 2 or self.arrivals[-1] <= self.arrivals[0]:
            return 0.0
        return (len(self.arrivals) - 1) * SECOND / (self.arrivals[-1] - self.arrivals[0])

    @property
    def delay_s(self) -> float | None:
        """Median time from stamp to arrival; None without a stamp."""
        pairs = zip(self.stamps, self.arrivals, strict=True)
        delays = [(arrival - stamp) / SECOND for stamp, arrival in pairs if stamp]
        return float(np.median(delays)) if delays else None


@dataclass(slots=True)
class Images(Stream):
    """pictures: (stamp_ns, RGB), at most MOST_PICTURES, spread over the time."""

    kinds: Counter[str] = field(default_factory=Counter)
    pictures: list[tuple[int, np.ndarray]] = field(default_factory=list)
    spacing_ns: int = 0

    def add(self, message: Any, arrival_ns: int) -> None:
        due = not self.arrivals or arrival_ns - self._kept_ns() >= self.spacing_ns
        self.note(message, arrival_ns)
        self.kinds[from_ros.describe_image(message)] += 1
        if due and len(self.pictures) < MOST_PICTURES:
            try:
                self.pictures.append((self.stamps[-1], from_ros.rgb_image(message)))
                self._kept.append(arrival_ns)
            except InputError as error:
                self.rejected[str(error)] += 1

    _kept: list[int] = field(default_factory=list)

    def _kept_ns(self) -> int:
        return self._kept[-1] if self._kept else -(2**62)


@dataclass(slots=True)
class Odometry(Stream):
    """poses: (stamp_ns, (4, 4) T_odom_child)."""

    children: Counter[str] = field(default_factory=Counter)
    poses: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def add(self, message: Any, arrival_ns: int) -> None:
        self.note(message, arrival_ns)
        self.children[str(message.child_frame_id)] += 1
        try:
            self.poses.append((self.stamps[-1], from_ros.pose_matrix(message)))
        except InputError as error:
            self.rejected[str(error)] += 1


@dataclass(slots=True)
class Calibration(Stream):
    """camera: of the last message that can be used; rectified: whether its images are."""

    camera: Camera | None = None
    rectified: bool = False

    def add(self, message: Any, arrival_ns: int) -> None:
        self.note(message, arrival_ns)
        try:
            self.camera = camera_info.camera(message, self.rectified)
        except InputError as error:
            self.rejected[str(error)] += 1


@dataclass(slots=True)
class Tree:
    """The transforms. edges: (parent, child) -> messages; hint: where else they are sent."""

    buffer: TransformBuffer = field(default_factory=TransformBuffer)
    edges: Counter[tuple[str, str]] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    disputes: Disputes = field(default_factory=Disputes)
    disputed: list[str] = field(default_factory=list)
    hint: str = ''

    def add(self, message: Any, static: bool) -> None:
        self.troubles.update(self.buffer.add(message, static))
        self.disputed += self.disputes.see(message, static)
        self.edges.update((e.header.frame_id, e.child_frame_id) for e in message.transforms)


@dataclass(slots=True)
class Observation:
    """Everything. node: what a running localizer says of itself, as (name, level, message)."""

    source: str
    live: bool
    images: Images = field(default_factory=Images)
    calibration: Calibration = field(default_factory=Calibration)
    odometry: Odometry = field(default_factory=Odometry)
    tree: Tree = field(default_factory=Tree)
    node: dict[str, tuple[int, str]] = field(default_factory=dict)
