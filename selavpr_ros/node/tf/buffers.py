# SPDX-License-Identifier: MIT
"""The buffer of transforms: tf2's own where it is installed, else ours, which answers the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.runtime.shown import shown
from selavpr_ros.convert import from_ros
from selavpr_ros.convert.tf_buffer import (
    bare,
    CACHE_NS,
    MOST_FRAMES,
    OutOfTimeError,
    refused,
    TransformBuffer,
    TransformError,
    TransformTree,
)

try:
    import tf2_ros
except ImportError:  # rclpy from PyPI
    tf2_ros = None


class Tf2Buffer:
    """tf2's buffer with the calls of ours; its C++ core takes thousands of transforms a second."""

    def __init__(self) -> None:
        from rclpy.duration import Duration

        self._buffer = tf2_ros.Buffer(cache_time=Duration(nanoseconds=CACHE_NS))
        self._frames: set[str] = set()
        self._static: dict[str, Any] = {}  # edges by child; tf2's clear() may lose them

    def add(self, message: Any, static: bool = True) -> list[str]:
        troubles = []
        put = self._buffer.set_transform_static if static else self._buffer.set_transform
        for edge in message.transforms:
            parent, child = bare(edge.header.frame_id), bare(edge.child_frame_id)
            p, q = edge.transform.translation, edge.transform.rotation
            if trouble := refused(parent, child, (p.x, p.y, p.z, q.x, q.y, q.z, q.w)):
                troubles.append(trouble)
                continue
            if child not in self._frames and len(self._frames) >= 2 * MOST_FRAMES:
                troubles.append(f'more than {MOST_FRAMES} frames were named; {shown(child)}')
                continue
            put(edge, 'selavpr')
            self._frames |= {parent, child}
            if static:
                self._static[child] = edge
        return troubles

    def lookup(self, parent: str, child: str, stamp_ns: int | None = None) -> np.ndarray:
        from rclpy.time import Time

        parent, child = bare(parent), bare(child)
        if parent == child:
            return np.eye(4)
        try:
            found = self._buffer.lookup_transform_core(
                parent, child, Time(nanoseconds=stamp_ns or 0)
            )
        except tf2_ros.ExtrapolationException as error:
            nearest = self.latest_ns(parent, child) or 0
            raise OutOfTimeError(str(error), child, nearest) from error
        except tf2_ros.TransformException as error:
            raise TransformError(str(error)) from error
        return from_ros.pose_matrix(found)

    def find(self, parent: str, child: str, stamp_ns: int | None = None) -> np.ndarray | None:
        try:
            return self.lookup(parent, child, stamp_ns)
        except InputError:
            return None

    def latest_ns(self, parent: str, child: str) -> int | None:
        try:
            time = self._buffer.get_latest_common_time(bare(parent), bare(child))
        except tf2_ros.TransformException:
            return None
        return int(time.nanoseconds) or None

    def frames(self) -> set[str]:
        return set(self._frames)

    def clear(self) -> None:
        self._buffer.clear()
        for edge in self._static.values():
            self._buffer.set_transform_static(edge, 'selavpr')


def make_buffer() -> TransformTree:
    """tf2's where it is installed."""
    return TransformBuffer() if tf2_ros is None else Tf2Buffer()
