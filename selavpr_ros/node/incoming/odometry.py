# SPDX-License-Identifier: MIT
"""Odometry as it comes in: what can be used of it, and what cannot and why."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any

import numpy as np

from selavpr_model.data.odometry import OdometrySegments
from selavpr_model.errors import InputError
from selavpr_model.poses import inverse
from selavpr_model.records import SECOND
from selavpr_model.runtime.shown import shortened
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import from_ros
from selavpr_ros.node.incoming.arrivals import Arrivals
from selavpr_ros.node.tf.listener import TransformListener

KEPT_NS = 10 * SECOND
APART_NS = SECOND // 200  # nearer messages than this are left out: 1,000 Hz say no more
USED_WINDOW = 100  # images
MOST_OF_A_NAME = 200  # characters
RECENT_NS = 10 * SECOND  # how long a rejected message or a break is worth telling


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """pose: (4, 4) T_odom_child."""

    stamp_ns: int
    pose: np.ndarray
    child: str
    segment: int


class OdometryInput:
    """on_message belongs to the ROS thread, `at` and `observe_use` to the worker.

    on_sample: called on the ROS thread with stamp in ns and (4, 4) T_odom_base of what is kept,
    and why odometry broke before it, in words; empty where it did not.
    """

    def __init__(self, tf: TransformListener, now_ns: Callable[[], int]) -> None:
        """now_ns: the clock of the node."""
        self._tf, self._now_ns = tf, now_ns
        self.on_sample: Callable[[int, np.ndarray, str], None] = lambda *sample: None
        self._lock = threading.Lock()
        self.arrivals = Arrivals()
        self.topic = ''
        self.camera_frame = ''  # of the last image
        self.open('', NodeConfig())

    def open(self, topic: str, config: NodeConfig) -> None:
        """Begin anew on a topic."""
        self.topic, self._config = topic, config
        self.arrivals.clear()
        self.rejected: Counter[str] = Counter()
        self.frames: tuple[str, str] = ('', '')  # of the last message: frame and child frame
        self.used: deque[bool] = deque(maxlen=USED_WINDOW)  # for the last images
        self._rejected_ns = self._broken_ns = -RECENT_NS  # time.monotonic_ns
        self.last_rejection = ''
        self._without_stamp = False
        self._segments = OdometrySegments()
        self._T_child_base: np.ndarray | None = None  # last used
        self._turns = 0  # how often that changed
        self._newest_ns: int | None = None  # stamp of the last sample, be it forgotten
        with self._lock:
            self._samples: list[Sample] = []

    def configure(self, config: NodeConfig) -> None:
        """Other frames or limits; what has come stays."""
        self._config = config

    def forget(self) -> None:
        """The clock was restarted."""
        with self._lock:
            self._samples = []

    def on_message(self, message: Any) -> None:
        """A nav_msgs/Odometry."""
        stamp, now = from_ros.stamp_ns(message), self._now_ns()
        self.arrivals.add(stamp, now)
        self.frames = _name(from_ros.frame_id(message)), _name(str(message.child_frame_id))
        self._without_stamp = stamp == 0
        try:
            self._add(stamp or now, message)
        except InputError as error:
            self._reject(str(error))

    def _reject(self, why: str) -> None:
        self.rejected[why.partition(';')[0]] += 1
        self.last_rejection, self._rejected_ns = why, time.monotonic_ns()

    def _add(self, stamp: int, message: Any) -> None:
        last = self._newest_ns
        if last is not None and 0 <= stamp - last < APART_NS:
            return
        pose = from_ros.odometry_pose(message)
        if last is not None and stamp < last:
            if last - stamp <= round(self._config.clock_jump_s * SECOND):
                raise InputError('stamp before that of the message before; check its publishers')
            self.forget()
            seconds = (last - stamp) / SECOND
            self._segments.break_off(f'its stamps jumped back by {seconds:.1f} s')
        before = self._segments.segment
        segment = self._segments.add(stamp, pose)
        broken = segment != before or (last is not None and stamp < last)
        if broken:
            self._broken_ns = time.monotonic_ns()
        self._keep(Sample(stamp, pose, self.frames[1], segment))
        T_child_base = self.T_child_base(self.frames[1], stamp)
        T_odom_base = pose if T_child_base is None else pose @ T_child_base
        self.on_sample(stamp, T_odom_base, self._segments.last_break if broken else '')

    def _keep(self, sample: Sample) -> None:
        self._newest_ns = sample.stamp_ns
        with self._lock:
            self._samples.append(sample)
            if sample.stamp_ns - self._samples[0].stamp_ns > 2 * KEPT_NS:
                oldest = sample.stamp_ns - KEPT_NS
                self._samples = [s for s in self._samples if s.stamp_ns >= oldest]

    def at(self, stamp_ns: int) -> tuple[np.ndarray | None, int]:
        """(4, 4) T_odom_base, of the last message at or before the stamp, and its segment. None
        without one as young as odom_gap_s, and where odometry cannot be believed.
        """
        with self._lock:
            index = bisect_right(self._samples, stamp_ns, key=lambda s: s.stamp_ns) - 1
            sample = self._samples[index] if index >= 0 else None
        max_age = round(self._config.odom_gap_s * SECOND)
        if sample is None or stamp_ns - sample.stamp_ns > max_age or self._segments.is_torn:
            return None, self.segment
        T_child_base = self._child_base(sample)
        if T_child_base is None:
            return sample.pose, sample.segment + self._turns
        return sample.pose @ T_child_base, sample.segment + self._turns

    def _child_base(self, sample: Sample) -> np.ndarray | None:
        """(4, 4); None where odometry is the base's own, or has to be taken for it."""
        found = self.T_child_base(sample.child, sample.stamp_ns)
        before, self._T_child_base = self._T_child_base, found
        known = before is not None and found is not None
        on_joint = known and self._is_on_joint(sample.child)
        if not on_joint and not _same(before, found):
            self._turns += 1  # a motion between two mountings would be none of the robot
        return found

    def _is_on_joint(self, child: str) -> bool:
        """Whether something on /tf moves between the base and the body of odometry."""
        return self._tf.buffer.latest_ns(child, self._config.base_frame) is not None

    def T_child_base(self, child: str, stamp_ns: int | None = None) -> np.ndarray | None:
        """By TF at the stamp, else its newest, or by base_camera for the odometry of the camera
        itself; None where it is the base's own, and where nothing says where its body sits.
        """
        base, camera = self._config.base_frame, self._config.base_camera
        if not child or child.lstrip('/') == base.lstrip('/'):
            return None
        if camera is not None and child == self.camera_frame:
            return inverse(from_ros.checked_pose(camera))
        buffer = self._tf.buffer
        found = buffer.find(child, base, stamp_ns)
        if found is None:
            found = buffer.find(child, base)
        if found is None:
            self._tf.want_moving()
        return found

    def observe_use(self, used: bool) -> None:
        """Whether the frame had odometry that counted."""
        self.used.append(used)

    @property
    def segment(self) -> int:
        """Number of the stretch of unbroken odometry, now."""
        return self._segments.segment + self._turns

    @property
    def is_torn(self) -> bool:
        return self._segments.is_torn

    @property
    def without_stamp(self) -> bool:
        """Whether the last message had none, so that its arrival counts."""
        return self._without_stamp

    @property
    def recent_break(self) -> str:
        """In words; '' where odometry has not broken lately."""
        fresh = time.monotonic_ns() - self._broken_ns < RECENT_NS
        return self._segments.last_break if fresh else ''

    @property
    def recent_rejection(self) -> str:
        """Why a message was not used lately, and the cure; '' where all were."""
        fresh = time.monotonic_ns() - self._rejected_ns < RECENT_NS
        return self.last_rejection if fresh else ''


def _name(frame: str) -> str:
    """Of a stranger, who may send a megabyte."""
    return shortened(frame, MOST_OF_A_NAME)


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.array_equal(a, b))
