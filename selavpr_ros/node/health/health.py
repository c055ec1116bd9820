# SPDX-License-Identifier: MIT
"""What the node counts about itself, and a line of what it says. Thread-safe; knows no ROS."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
import threading
import time

import numpy as np

from selavpr_model.records import SECOND, State
from selavpr_model.runtime.shown import one_line, shortened
from selavpr_ros.node.incoming.arrivals import Arrivals

OK, WARN, ERROR = 0, 1, 2
AND = ' | '  # between two troubles of one line
WINDOW = 200  # frames behind p50 and p95


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the diagnostics. level: OK, WARN or ERROR."""

    name: str
    level: int
    message: str
    values: dict[str, object] = field(default_factory=dict)


def worst(parts: list[Part]) -> Part:
    """The most serious line, the first of equals."""
    return max(parts, key=lambda part: part.level)


@dataclass
class Health:
    """Counters since activation, and the last of everything worth telling."""

    received: int = 0
    processed: int = 0
    errors: int = 0
    failing: bool = False
    drops: Counter[str] = field(default_factory=Counter)
    last_drop: str = ''
    last_error: str = ''
    image: str = ''
    last_image_ns: int = 0
    last_result_ns: int = 0
    state: State | None = None  # of the last result
    reason: str = ''
    arrivals: Arrivals = field(default_factory=Arrivals)  # of images
    _stages: dict[str, deque[int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def image_arrived(self, description: str, stamp_ns: int, now_ns: int) -> None:
        """now_ns: by the clock of the node."""
        self.arrivals.add(stamp_ns, now_ns)
        with self._lock:
            self.received += 1
            self.image = shortened(description)
            self.last_image_ns = time.monotonic_ns()

    def drop(self, reason: str, detail: str = '') -> None:
        """Count a dropped image; `detail` explains this one case."""
        with self._lock:
            self.drops[reason] += 1
            self.last_drop = f'{reason}: {one_line(detail)}' if detail else reason

    def failed(self, error: Exception) -> None:
        with self._lock:
            self.errors += 1
            self.failing = True
            self.last_error = one_line(f'{type(error).__name__}: {error}')

    def done(self, state: State, reason: str, timings_ns: dict[str, int]) -> None:
        with self._lock:
            self.processed += 1
            self.last_result_ns = time.monotonic_ns()
            self.failing = False
            self.state, self.reason = state, reason
            for stage, ns in timings_ns.items():
                self._stages.setdefault(stage, deque(maxlen=WINDOW)).append(ns)

    def dropped(self) -> dict[str, int]:
        with self._lock:
            return dict(self.drops)

    def percentiles_ms(self) -> dict[str, tuple[float, float]]:
        """stage -> (p50, p95) over the last frames."""
        with self._lock:
            stages = {name: list(ns) for name, ns in self._stages.items()}
        return {k: tuple(np.percentile(v, (50, 95)) / 1e6) for k, v in stages.items()}

    def rate_hz(self) -> float:
        """Images a second over the last few; 0 when they have stopped."""
        return self.arrivals.rate_hz()

    def silent_s(self, since_ns: int) -> float:
        """Seconds without an image, counted from `since_ns` when none came after it."""
        return (time.monotonic_ns() - max(self.last_image_ns, since_ns)) / SECOND

    def fruitless_s(self, since_ns: int) -> float:
        """The same for results."""
        return (time.monotonic_ns() - max(self.last_result_ns, since_ns)) / SECOND

    def restart(self) -> None:
        """Count anew, as after activation."""
        self.arrivals.clear()
        with self._lock:
            self.received = self.processed = self.errors = 0
            self.failing = False
            self.drops.clear()
            self._stages.clear()
            self.last_drop = self.last_error = self.reason = ''
            self.state = None
