# SPDX-License-Identifier: MIT
"""Bags of robots that are set up wrongly, each in its own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from selavpr_model.records import Frame
from selavpr_ros.bags import writer

SECOND = 10**9
Change = Callable[['Bag', str, int, Any], Any]


class Bag(writer._Bag):
    """Changes each message on its way: a robot that is set up wrongly."""

    def __init__(self, opened: Any, base_camera: np.ndarray, change: Change | None) -> None:
        super().__init__(opened, base_camera)
        self.change = change
        self.index = 0

    def write(self, topic: str, stamp_ns: int, message: Any) -> None:
        if self.change is not None:
            self.index += 1
            message = self.change(self, topic, self.index, message)
        for one in message if isinstance(message, list) else [message]:
            if one is not None:
                super().write(topic, stamp_ns, one)

    def later(self, message: Any, ns: int) -> Any:
        header = message.header
        stamp = header.stamp.sec * SECOND + header.stamp.nanosec + ns
        return replace(message, header=self.header(stamp, header.frame_id))


def on(topic: str, change: Callable[[Bag, int, Any], Any]) -> Change:
    """Change the messages of one topic only."""
    return lambda bag, there, k, message: change(bag, k, message) if there == topic else message


def zero_turn(bag: Bag, k: int, message: Any) -> Any:
    pose = message.pose.pose
    none = replace(pose.orientation, x=0.0, y=0.0, z=0.0, w=0.0)
    return replace(message, pose=replace(message.pose, pose=replace(pose, orientation=none)))


def frozen(bag: Bag, k: int, message: Any) -> Any:
    still = replace(message.pose.pose.position, x=7.0, y=0.0, z=0.0)
    pose = replace(message.pose.pose, position=still)
    return replace(message, pose=replace(message.pose, pose=pose))


def restarted(bag: Bag, k: int, message: Any) -> Any:
    p = message.pose.pose.position
    if k < 60:
        return message
    pose = replace(message.pose.pose, position=replace(p, x=p.x - 57.0))
    return replace(message, pose=replace(message.pose, pose=pose))


def turned(bag: Bag, k: int, message: Any) -> Any:
    edge = message.transforms[0]
    bad = replace(edge.transform, rotation=replace(edge.transform.rotation, x=0.0, y=0.0, z=0.0,
                                                   w=0.0))  # fmt: skip
    return replace(message, transforms=[replace(edge, transform=bad)])


def renamed(bag: Bag, k: int, message: Any) -> Any:
    edge = message.transforms[0]
    header = replace(edge.header, frame_id='robot1/base_link')
    return replace(message, transforms=[replace(edge, header=header)])


def body_frame(bag: Bag, k: int, message: Any) -> Any:
    """As a driver that stamps its images with camera_link."""
    edge = message.transforms[0]
    none = replace(edge.transform.rotation, x=0.0, y=0.0, z=0.0, w=1.0)
    return replace(
        message, transforms=[replace(edge, transform=replace(edge.transform, rotation=none))]
    )


def two_parents(bag: Bag, k: int, message: Any) -> Any:
    edge = message.transforms[0]
    other = replace(edge, header=replace(edge.header, frame_id='other'))
    return replace(message, transforms=[edge, other])


def two_places(bag: Bag, k: int, message: Any) -> Any:
    edge = message.transforms[0]
    moved = replace(edge.transform.translation, z=edge.transform.translation.z + 0.5)
    other = replace(edge, transform=replace(edge.transform, translation=moved))
    return replace(message, transforms=[edge, other])


def in_millimetres(bag: Bag, k: int, message: Any) -> Any:
    p = message.pose.pose.position
    pose = replace(message.pose.pose, position=replace(p, x=1000.0 * p.x))
    return replace(message, pose=replace(message.pose, pose=pose))


def same_picture(bag: Bag, k: int, message: Any) -> Any:
    kept = bag.__dict__.setdefault('kept', message.data)
    return replace(message, data=kept)


def depth(bag: Bag, k: int, message: Any) -> Any:
    return replace(message, format='16UC1; compressedDepth png')


def black(bag: Bag, k: int, message: Any) -> Any:
    frame = Frame(0, np.zeros((240, 320, 3), np.uint8))
    return replace(message, data=bag.compressed(frame, 'jpeg').data)


def damaged(bag: Bag, k: int, message: Any) -> Any:
    return replace(message, data=message.data[:50])


def two_cameras(bag: Bag, k: int, message: Any) -> Any:
    other = replace(message, header=replace(message.header, frame_id='rear_optical'))
    return [message, other]
