# SPDX-License-Identifier: MIT
"""The ~/relocalize call that waits for images, if one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selavpr_ros.convert import to_ros
from selavpr_ros.node.pipeline.relocalize import Ending, Relocalization


class Relocalizations:
    """One at a time. The ROS thread begins and ends it, the worker feeds it."""

    def __init__(self) -> None:
        self._current: tuple[Relocalization, Callable[[], None]] | None = None
        self._outcome: to_ros.Outcome | None = None  # of the last image that was fed
        self._seen_before = 0
        self.cancelled = ''  # why the last call was not tried to its end

    @property
    def waiting(self) -> bool:
        """Whether a call waits for the next images."""
        return self._current is not None

    def begin(
        self, attempt: Relocalization, seen_before: int, on_done: Callable[[], None]
    ) -> None:
        """Feed it the images after the one of this number, until it has enough: then call back."""
        self._outcome, self._seen_before, self.cancelled = None, seen_before, ''
        self._current = (attempt, on_done)

    def end(self) -> None:
        self._current = None

    def cancel(self, why: str) -> None:
        """No more images will come: the call that waits for some is answered now."""
        current = self._current
        if current is not None:
            self.cancelled = why
            current[1]()

    def on_outcome(self, outcome: to_ros.Outcome) -> None:
        """Called by the worker after each frame."""
        current = self._current
        if current is None or outcome.frame_number <= self._seen_before:
            return
        self._outcome = outcome
        if current[0].add(outcome.recognition):
            current[1]()

    def describe(self, response: Any, attempt: Relocalization, body: to_ros.Body) -> None:
        """Fill in the ending, the best place of the last image and, on success, its pose."""
        response.outcome, response.message = int(attempt.ending()), attempt.text()
        if self.cancelled and response.outcome != Ending.SUCCESS:
            response.outcome = int(Ending.NOT_ACTIVE)
            response.message = f'{self.cancelled} meanwhile; {response.message}'
        outcome, best = self._outcome, attempt.best
        if outcome is None or best is None:
            return
        response.best = to_ros.hypothesis(0, best, body, outcome.keyframe_covariance)
        if response.outcome == Ending.SUCCESS and best.place.pose is not None:
            stamp = to_ros.header(outcome.recognition.stamp_ns, body.map_frame)
            response.pose = to_ros.stamped(stamp, response.best.pose)
