# SPDX-License-Identifier: MIT
"""A one-slot mailbox and the one thread that does all the heavy work. Knows no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
import threading
import time
from typing import Any, Generic, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


class Worker(Generic[Item]):
    """Runs posted jobs in order, then the newest item; survives every exception.

    `process` gets each item; `failed` gets what it raised and must not raise. A job's exception
    goes into its future instead.
    """

    def __init__(
        self, process: Callable[[Item], None], failed: Callable[[Exception], None]
    ) -> None:
        self._process = process
        self._failed = failed
        self._wake = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._item: Item | None = None
        self._stopping = False
        self._busy_since_ns: int | None = None
        self._thread = threading.Thread(target=self._run, name='selavpr_worker', daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def idle(self) -> bool:
        """Nothing running and nothing waiting."""
        with self._wake:
            return self._item is None and not self._jobs and self._busy_since_ns is None

    def busy_ns(self) -> int:
        """How long the current job or item has been running; 0 when waiting."""
        since = self._busy_since_ns
        return 0 if since is None else time.monotonic_ns() - since

    def offer(self, item: Item) -> bool:
        """Put the item into the slot; True when an older one was thrown out for it."""
        with self._wake:
            replaced = self._item is not None
            self._item = item
            self._wake.notify()
        return replaced

    def discard(self) -> bool:
        """Empty the slot; True when an item was lost."""
        with self._wake:
            lost, self._item = self._item is not None, None
        return lost

    def post(self, job: Callable[[], Result]) -> Future[Result]:
        """Run the job before the next item; it is cancelled when the worker has been stopped."""
        future: Future[Result] = Future()
        with self._wake:
            if self._stopping:
                future.cancel()
            else:
                self._jobs.append((future, job))
                self._wake.notify()
        return future

    def stop(self, timeout_s: float) -> bool:
        """End after the current job or item and cancel the rest; False when it still runs."""
        with self._wake:
            self._stopping, self._item = True, None
            jobs, self._jobs = self._jobs, deque()
            self._wake.notify()
        for future, _ in jobs:
            future.cancel()
        if self.alive:
            self._thread.join(timeout_s)
        return not self.alive

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work  # an item may hold a large image; do not keep it while waiting

    def _next(self) -> Callable[[], None] | None:
        """Wait for work; None means stop."""
        with self._wake:
            self._busy_since_ns = None
            self._wake.wait_for(lambda: self._stopping or self._jobs or self._item is not None)
            if self._stopping:
                return None
            self._busy_since_ns = time.monotonic_ns()
            if self._jobs:
                future, job = self._jobs.popleft()
                return lambda: _run_job(future, job)
            item, self._item = self._item, None
            assert item is not None
            return lambda: self._run_item(item)

    def _run_item(self, item: Item) -> None:
        try:
            self._process(item)
        except Exception as error:
            self._failed(error)


def _run_job(future: Future[Any], job: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job())
    except Exception as error:
        future.set_exception(error)
