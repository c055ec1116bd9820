# SPDX-License-Identifier: MIT
"""So much costly work a second, by the stamps of the images: a replay spends what a robot did."""

from __future__ import annotations


class Budget:
    """Earned with time and never owed: what is not spent is saved up, but not spent at once."""

    def __init__(self, per_s: float, saved_s: float = 1.0) -> None:
        """per_s: so much on average; saved_s: at most what this long earns is saved, or one."""
        self._per_s = per_s
        self._at_once = max(1.0, per_s) if per_s else 0.0  # what one second earns, or one
        self._most = max(self._at_once, per_s * saved_s)
        self._left, self._at_s = min(1.0, self._most), 0.0
        self._now = self._left

    def earn(self, now_s: float) -> None:
        """Time has come to this; a clock that went back earns nothing."""
        self._left = min(self._most, self._left + self._per_s * max(0.0, now_s - self._at_s))
        self._at_s = now_s
        self._now = min(self._left, self._at_once)

    @property
    def is_there(self) -> bool:
        """Whether one may be spent."""
        return self._now >= 1.0

    def spend(self) -> None:
        self._left, self._now = max(0.0, self._left - 1.0), max(0.0, self._now - 1.0)
