# SPDX-License-Identifier: MIT
"""The node's log: each line when it is new, and not again for a while."""

from __future__ import annotations

import re
import threading
import time
import traceback
from typing import Any

from selavpr_model.runtime.shown import one_line, shortened
from selavpr_ros.node.health.health import AND, ERROR, OK, Part

REPEAT_S = 30.0
REMEMBERED = 100  # lines that are not to be repeated yet
BURST, PER_SECOND = 50, 1.0  # lines that may come at once, and go on to come: of any kind
MOST_OF_A_TRACE = 8000
NUMBER = re.compile(r'0x[0-9a-fA-F]+|\d[\d.]*')


class ThrottledLogger:
    """Logs a line when it is new, and a lasting one again after a while.

    Lines that differ only in their numbers are one line: each damaged image has another size.
    Both threads of the node log.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._parts: dict[str, Part] = {}
        self._budget = Budget()

    def warn(self, text: str) -> None:
        if (line := self._fresh(text)) is not None:
            self._logger.warning(line)

    def error(self, text: str) -> None:
        if (line := self._fresh(text)) is not None:
            self._logger.error(line)

    def once(self, text: str) -> None:
        """A warning that is never repeated."""
        if (line := self._fresh(text, float('inf'))) is not None:
            self._logger.warning(line)

    def exception(self, text: str, error: BaseException) -> None:
        """With the traceback: this is our mistake, not the user's."""
        if (line := self._fresh(f'{text}: {error!r}')) is not None:
            lines = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
            self._logger.error(f'{line}\n{shortened(lines, MOST_OF_A_TRACE)}')

    def log_parts(self, parts: list[Part]) -> None:
        """Log each part that is worse, better or about something else than before."""
        now = {f'{part.name} {part.values.get("parameter", "")}': part for part in parts}
        with self._lock:
            before, self._parts = self._parts, now
        for key, part in now.items():
            if part.name != 'Localization':  # a robot is lost and found all the time: see topics
                self._log_part(part, before.get(key, Part(part.name, OK, '')))

    def _log_part(self, part: Part, before: Part) -> None:
        new = part.level != before.level
        if part.level == OK:
            if new:
                self._logger.info(one_line(f'{part.name}: well again, {part.message}'))
            return
        said = set() if new else {bare(trouble) for trouble in before.message.split(AND)}
        for trouble in part.message.split(AND):
            line = one_line(f'{part.name}: {trouble}')
            if bare(trouble) in said or not (self._fresh(line) is not None or new):
                continue
            if part.level == ERROR:  # a line of code each: rclpy lets none change its severity
                self._logger.error(line)
            else:
                self._logger.warning(line)

    def _fresh(self, text: str, repeat_s: float = REPEAT_S) -> str | None:
        """The line to be written, on one line and of bounded length; None where none is."""
        line, now = one_line(text), time.monotonic()
        text = bare(line)
        with self._lock:
            if now < self._due.get(text, 0.0):
                return None
            if not self._budget.take(now):
                return None
            line += self._budget.lost()
            self._due = {line: due for line, due in self._due.items() if due > now}
            if len(self._due) >= REMEMBERED:
                del self._due[min(self._due, key=self._due.__getitem__)]
            self._due[text] = now + repeat_s
            return line


class Budget:
    """How many lines a stranger can make us write: a burst, then one now and then."""

    def __init__(self) -> None:
        self._left, self._at, self._lost = float(BURST), 0.0, 0

    def take(self, now: float) -> bool:
        """Whether one more may be written; counts those that may not."""
        self._left = min(float(BURST), self._left + PER_SECOND * (now - self._at))
        self._at = now
        if self._left < 1.0:
            self._lost += 1
            return False
        self._left -= 1.0
        return True

    def lost(self) -> str:
        """To be told with the next line."""
        lost, self._lost = self._lost, 0
        return f' ({lost} other lines before it were left out)' if lost else ''


def bare(text: str) -> str:
    """The text without its numbers."""
    return NUMBER.sub('#', text)
