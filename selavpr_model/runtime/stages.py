# SPDX-License-Identifier: MIT
"""How long the stages of a frame took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import time


class StageClock:
    """Nanoseconds a named stage took, all its parts together."""

    def __init__(self) -> None:
        self.ns: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter_ns()
        yield
        self.ns[name] = self.ns.get(name, 0) + time.perf_counter_ns() - start
