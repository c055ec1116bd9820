# SPDX-License-Identifier: MIT
"""Which time a recorded message is of, where its stamp says nothing."""

from __future__ import annotations

import logging

REPEATS = 2  # of a stamp in a row that show that stamps stand still
log = logging.getLogger(__name__)


class Stamps:
    """Of one topic, asked for each message in recorded order. Warns once."""

    def __init__(self, name: str, may_repeat: bool = False) -> None:
        """name: of bag and topic, for the warning; may_repeat: a stamp that comes again is meant
        so, as of a pose that still holds.
        """
        self._name, self._may_repeat = name, may_repeat
        self._last: int | None = None
        self._repeats = 0
        self._has_warned = False

    def of(self, stamp_ns: int, recorded_ns: int) -> int:
        """The stamp, or the time of the recording, ns."""
        self._repeats = self._repeats + 1 if stamp_ns == self._last else 0
        self._last = stamp_ns
        if stamp_ns and (self._may_repeat or self._repeats < REPEATS):
            return stamp_ns
        if not self._has_warned:
            self._has_warned = True
            what = 'stands still' if stamp_ns else 'is 0'
            log.warning(
                '%s: header.stamp %s, so the time of recording is used instead; let the driver '
                'set header.stamp before the next recording', self._name, what,
            )  # fmt: skip
        return recorded_ns
