# SPDX-License-Identifier: MIT
"""One line of the checklist."""

from __future__ import annotations

from dataclasses import dataclass
import enum


class Level(enum.Enum):
    """WARN: it works, but not as well as it could. FAIL: it does not work."""

    OK = 'OK'
    WARN = 'WARN'
    FAIL = 'FAIL'


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and the cure where it is not OK."""

    name: str
    level: Level
    text: str
    cure: str = ''


def ok(name: str, text: str) -> Check:
    return Check(name, Level.OK, text)


def warn(name: str, text: str, cure: str) -> Check:
    return Check(name, Level.WARN, text, cure)


def fail(name: str, text: str, cure: str) -> Check:
    return Check(name, Level.FAIL, text, cure)
