# SPDX-License-Identifier: MIT
"""Words of others in our messages: short, on one line, and without control characters."""

from __future__ import annotations

import reprlib

MOST = 80  # characters of a name or a value
MOST_OF_A_LINE = 1000
_REPR = reprlib.Repr()  # of lists and objects in lists: never all of a large one
_REPR.maxother = MOST


def shown(value: object, most: int = MOST) -> str:
    """repr of a text or value that came from outside, cut in the middle where it is long.

    What is not printable is escaped, so that no terminal obeys it.
    """
    if isinstance(value, str):  # repr of a megabyte would be made before it is cut
        return repr(shortened(value, most))
    return shortened(_REPR.repr(value), most + 2)


def shortened(text: str, most: int = MOST) -> str:
    """The beginning and the end of a long text, and how much is between."""
    if len(text) <= most:
        return text
    half = most // 2
    return f'{text[:half]}...({len(text) - 2 * half} more)...{text[-half:]}'


def one_line(text: str, most: int = MOST_OF_A_LINE) -> str:
    """A log line: shortened, line breaks and control characters escaped."""
    cut = shortened(text, most)
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in cut)
