# SPDX-License-Identifier: MIT
"""When messages arrive, and how far their stamps are from that. Thread-safe; knows no ROS."""

from __future__ import annotations

from collections import deque
import threading
import time

from selavpr_model.records import SECOND

WINDOW = 50  # messages
RECENT_NS = 3 * SECOND


class Arrivals:
    """The last messages of a topic."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self.count = 0
            self._last_ns: int | None = None  # time.monotonic_ns
            # arrival, and how long before it the stamp was; a stamp of 0 says nothing
            self._recent: deque[tuple[int, int | None]] = deque(maxlen=WINDOW)

    def add(self, stamp_ns: int, now_ns: int) -> None:
        """now_ns: by the clock of the node."""
        now = time.monotonic_ns()
        delay = now_ns - stamp_ns if stamp_ns else None
        with self._lock:
            self.count += 1
            self._last_ns = now
            self._recent.append((now, delay))

    def age_s(self) -> float | None:
        """Seconds since the last one; None before the first."""
        return None if self._last_ns is None else (time.monotonic_ns() - self._last_ns) / SECOND

    def rate_hz(self) -> float:
        """0 where they have stopped."""
        times = [at for at, _ in self._now()]
        if len(times) < 2 or times[-1] == times[0]:
            return 0.0
        return (len(times) - 1) * SECOND / (times[-1] - times[0])

    def delay_s(self) -> float | None:
        """How far the stamps are behind the arrivals, by the node's clock; None: unknown."""
        delays = [delay for _, delay in self._now() if delay is not None]
        # the least: others had to wait for their turn here
        return min(delays) / SECOND if delays else None

    def _now(self) -> list[tuple[int, int | None]]:
        with self._lock:
            recent = list(self._recent)
        limit = time.monotonic_ns() - RECENT_NS
        return [entry for entry in recent if entry[0] >= limit]
