# SPDX-License-Identifier: MIT
"""Transforms that contradict each other: of two publishers the last one counts, silently in tf."""

from __future__ import annotations

from dataclasses import dataclass
import math
import time
from typing import Any

import numpy as np

from selavpr_model.runtime.shown import shown
from selavpr_ros.convert.tf_buffer import bare, DEEPEST, MOST_FRAMES

APART_M, APART_RAD = 0.05, math.radians(3.0)  # more than calibration while running changes
FRESH_S = 10.0  # how long two parents of a frame that moves are worth telling


@dataclass(frozen=True, slots=True)
class _Told:
    parent: str
    xyz: np.ndarray
    quaternion: np.ndarray
    static: bool


class Disputes:
    """Sees all messages on /tf and /tf_static; belongs to the ROS thread, `between` to any."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._found: dict[str, tuple[str, float]] = {}  # frame -> words, until when (monotonic)

    def see(self, message: Any, static: bool) -> list[str]:
        """What contradicts an earlier transform, in words."""
        return [text for t in message.transforms if (text := self._see(t, static))]

    def _see(self, message: Any, static: bool) -> str:
        frame, parent = bare(message.child_frame_id), bare(message.header.frame_id)
        before = self._told.get(frame)
        if before is None and len(self._told) >= MOST_FRAMES:
            return ''
        move, turn = message.transform.translation, message.transform.rotation
        told = _Told(
            parent, np.array([move.x, move.y, move.z]),
            np.array([turn.x, turn.y, turn.z, turn.w]), static,
        )  # fmt: skip
        self._told[frame] = told
        text = '' if before is None else _contradiction(frame, before, told)
        if text:
            end = math.inf if static else time.monotonic() + FRESH_S
            self._found[frame] = text, end
        return text

    def between(self, base: str, camera: str) -> str | None:
        """The dispute about a frame from the camera up to the base; None for none."""
        now, frame, told = time.monotonic(), bare(camera), dict(self._told)
        for _ in range(DEEPEST):
            words, end = self._found.get(frame, ('', -math.inf))
            if now < end:
                return words
            if frame == bare(base) or frame not in told:
                return None
            frame = told[frame].parent
        return None


def _contradiction(frame: str, before: _Told, now: _Told) -> str:
    name = shown(frame)
    if before.parent != now.parent:
        return (
            f'{name} is told to be below {shown(before.parent)} and below {shown(now.parent)}; a '
            'frame has one parent: stop one of the publishers'
        )
    if not (before.static and now.static):
        return ''
    apart = float(np.linalg.norm(before.xyz - now.xyz))
    same = min(1.0, abs(float(before.quaternion @ now.quaternion)))
    turned = 2.0 * math.acos(same)
    if not (apart > APART_M or turned > APART_RAD):
        return ''
    return (
        f'{name} below {shown(now.parent)} was told twice on /tf_static, {apart:.2f} m and '
        f'{math.degrees(turned):.0f} degrees apart; the last one counts: stop the wrong publisher'
    )
