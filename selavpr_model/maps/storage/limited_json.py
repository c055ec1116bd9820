# SPDX-License-Identifier: MIT
"""JSON of a stranger: bounded before it is parsed, and holding only what can be used."""

from __future__ import annotations

import json
from typing import Any

MOST_CONTAINERS = 200_000  # lists and objects: each takes more memory than it has bytes
MOST_DEPTH, MOST_TEXT = 40, 1 << 16
MOST_NUMBER = 1e12


def loads(raw: bytes) -> Any:
    """ValueError or RecursionError for what is no JSON, or none that is used here."""
    if raw.count(b'[') + raw.count(b'{') > MOST_CONTAINERS:
        raise ValueError(f'expected at most {MOST_CONTAINERS} lists and objects')
    whole = json.loads(raw)
    _check_tree(whole)
    return whole


def _check_tree(whole: Any) -> None:
    """ValueError for what JSON allows and nothing here can use: deep trees, halves of characters,
    numbers that neither int64 nor float hold.
    """
    level = [whole]
    for _ in range(MOST_DEPTH):
        children: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                children += (*value.keys(), *value.values())
            elif isinstance(value, list):
                children += value
            elif isinstance(value, str):
                _check_text(value)
            elif type(value) is int and abs(value) >= 2**63:
                raise ValueError('a number is out of range')
        level = children
        if not level:
            return
    raise ValueError(f'more than {MOST_DEPTH} levels')


def _check_text(text: str) -> None:
    if len(text) > MOST_TEXT or '\0' in text:
        raise ValueError(f'expected texts of {MOST_TEXT} characters without NUL')
    text.encode(errors='surrogateescape')  # UnicodeEncodeError is a ValueError


def require_finite(values: Any) -> None:
    """ValueError where a number in it is none, or beyond what can be computed with."""
    if isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            require_finite(value)
    elif isinstance(values, int | float) and not abs(values) < MOST_NUMBER:
        raise ValueError(f'expected numbers below {MOST_NUMBER:g}, got {values}')
