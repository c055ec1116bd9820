# SPDX-License-Identifier: MIT
"""Ctrl-C ends a process quietly, also while modules are imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
import signal
from types import FrameType

INTERRUPTED = 130  # what a shell reports for a process that SIGINT ended


@contextmanager
def quiet_interrupt() -> Iterator[None]:
    """SIGINT ends the process at once with INTERRUPTED; nothing is open yet that must be closed.

    KeyboardInterrupt would be raised inside some import, which prints a traceback or turns it into
    an ImportError. A process that ignores SIGINT (`nohup`, `&` in a script) keeps ignoring it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before != signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
