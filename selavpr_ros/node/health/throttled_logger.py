# SPDX-License-Identifier: MIT
"""The node's log: each line when it is new, and not again for a while."""

from __future__ import annotations

import re
import threading
import time
import traceback
from typing import Any

from selavpr_ros.node.health.health import AND, ERROR, OK, Part

REPEAT_S = 30.0
REMEMBERED = 100  # lines that are not to be repeated yet
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

    def warn(self, text: str) -> None:
        if self._fresh(text):
            self._logger.warning(text)

    def error(self, text: str) -> None:
        if self._fresh(text):
            self._logger.error(text)

    def once(self, text: str) -> None:
        """A warning that is never repeated."""
        if self._fresh(text, float('inf')):
            self._logger.warning(text)

    def exception(self, text: str, error: BaseException) -> None:
        """With the traceback: this is our mistake, not the user's."""
        if self._fresh(f'{text}: {error!r}'):
            lines = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
            self._logger.error(f'{text}: {error}\n{lines}')

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
                self._logger.info(f'{part.name}: well again, {part.message}')
            return
        said = set() if new else {bare(trouble) for trouble in before.message.split(AND)}
        for trouble in part.message.split(AND):
            line = f'{part.name}: {trouble}'
            if bare(trouble) in said or not (self._fresh(line) or new):
                continue
            if part.level == ERROR:  # a line of code each: rclpy lets none change its severity
                self._logger.error(line)
            else:
                self._logger.warning(line)

    def _fresh(self, text: str, repeat_s: float = REPEAT_S) -> bool:
        now, text = time.monotonic(), bare(text)
        with self._lock:
            if now < self._due.get(text, 0.0):
                return False
            self._due = {line: due for line, due in self._due.items() if due > now}
            if len(self._due) >= REMEMBERED:
                del self._due[min(self._due, key=self._due.__getitem__)]
            self._due[text] = now + repeat_s
            return True


def bare(text: str) -> str:
    """The text without its numbers."""
    return NUMBER.sub('#', text)
