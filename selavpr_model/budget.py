# SPDX-License-Identifier: MIT
"""So much costly work a second, by the stamps of the images: a replay spends what a robot did."""

from __future__ import annotations


class Budget:
    """Earned with time up to what one second earns, or one; never owed."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s) if per_s else 0.0
        self._left, self._at_s = min(1.0, self._most), 0.0

    def earn(self, now_s: float) -> None:
        """Time has come to this; a clock that went back earns nothing."""
        self._left = min(self._most, self._left + self._per_s * max(0.0, now_s - self._at_s))
        self._at_s = now_s

    @property
    def is_there(self) -> bool:
        """Whether one may be spent."""
        return self._left >= 1.0

    def spend(self) -> None:
        self._left = max(0.0, self._left - 1.0)
