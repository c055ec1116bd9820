# SPDX-License-Identifier: MIT
"""The calibration of the camera, as camera_info says it."""

from __future__ import annotations

from collections import deque
import time
from typing import Any

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import Camera, SECOND
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert import camera_info, from_ros
from selavpr_ros.node.health.throttled_logger import ThrottledLogger

CHANGES, WINDOW_NS = 4, 10 * SECOND  # so many changes within it: two cameras on one topic
FRAMES_KEPT = 8


class CameraInput:
    """on_message belongs to the ROS thread, `of` to the worker."""

    def __init__(self, log: ThrottledLogger) -> None:
        self._log = log
        self.topic = self.image_topic = ''
        self.open('', '', NodeConfig())

    def open(self, topic: str, image_topic: str, config: NodeConfig) -> None:
        """Begin anew; a calibration is the camera's and outlives a clock that jumps."""
        self.topic, self.image_topic = topic, image_topic
        self.rectified = camera_info.is_rectified(config.rectified, image_topic)
        self._messages: dict[str, Any] = {}  # of each frame, the last
        self._changes: deque[int] = deque(maxlen=CHANGES)  # time.monotonic_ns
        self.received = 0
        self.problem: str | None = None  # with what came last
        self.misfit: str | None = None  # with the size of the last image
        self._made: tuple[Any, tuple[int, int], Camera | None] | None = None

    def on_message(self, message: Any) -> None:
        """A sensor_msgs/CameraInfo."""
        self.received += 1
        frame = from_ros.frame_id(message)
        before = self._messages.get(frame)
        if before is not None and _same(before, message):
            return
        try:
            new = camera_info.camera(message, self.rectified)
        except InputError as error:
            self.problem = str(error)
            return
        if before is not None:
            self._changed(before, new)
        self.problem = None
        self._messages = dict([*self._messages.items(), (frame, message)][-FRAMES_KEPT:])

    def _changed(self, before: Any, new: Camera) -> None:
        self._changes.append(time.monotonic_ns())
        old = camera_info.camera(before, self.rectified)
        self._log.warn(
            f'{self.topic}: the calibration changed from {describe(old)} to {describe(new)}; '
            'it is used from now on, the map keeps its own'
        )

    @property
    def alternates(self) -> bool:
        """Whether calibrations of one frame take turns, as of two cameras."""
        changes = self._changes
        recent = len(changes) == CHANGES and time.monotonic_ns() - changes[0] < WINDOW_NS
        return recent

    def of(self, image: np.ndarray, frame: str) -> Camera | None:
        """The camera that took (H, W, 3), where what is known can be of it."""
        messages = self._messages
        message = messages.get(frame, next(reversed(messages.values()), None))
        if message is None:
            return None
        size = (image.shape[1], image.shape[0])
        made = self._made
        if made is None or made[0] is not message or made[1] != size:
            made = self._made = message, size, self._made_for(message, image, size)
        return made[2]

    def _made_for(self, message: Any, image: np.ndarray, size: tuple[int, int]) -> Camera | None:
        found = camera_info.camera(message, self.rectified, size)
        if found.sees(image):
            self.misfit = None
            return found
        expected = 'x'.join(map(str, found.size))
        self.misfit = (
            f'{self.topic} is of {expected}, images are {size[0]}x{size[1]}: it is not used; '
            'remap camera_info to that of these images, or calibrate at their size'
        )
        self._log.once(self.misfit)
        return None

    @property
    def known(self) -> bool:
        return bool(self._messages)

    def about(self) -> str:
        """In words, for people."""
        if not self._messages:
            return self.problem or 'none received'
        message = next(reversed(self._messages.values()))
        return describe(camera_info.camera(message, self.rectified))


def describe(camera: Camera) -> str:
    """Size, focal length and model."""
    width, height = camera.size
    shape = camera.model if camera.distortion.any() else 'no distortion'
    return f'{width}x{height} f {camera.K[0, 0]:.1f} {shape}'


def _same(a: Any, b: Any) -> bool:
    """Whether two messages say the same but for their stamps."""
    plain = ('width', 'height', 'distortion_model', 'binning_x', 'binning_y', 'roi')
    lists = ('k', 'd', 'r', 'p')
    return all(getattr(a, n) == getattr(b, n) for n in plain) and all(
        np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in lists
    )
