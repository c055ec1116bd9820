# SPDX-License-Identifier: MIT
"""What the source of a map must hold: its parts, drives that added looks, and what was pruned."""

from __future__ import annotations

from typing import Any

from selavpr_model.runtime.shown import shown

UPDATES, PRUNED = 'updates', 'pruned'
OF_A_PART = {'map_id': str, 'path': str, 'new_ids': dict, 'source': dict}  # of merged maps
NUMBER = (int, float)
SHARES = ('right_before', 'right_after', 'sure_before', 'sure_after')
FIELDS: dict[str, dict[str, Any]] = {
    UPDATES: {'session': str, 'looks': int, 'frames': int},
    PRUNED: {'keep': NUMBER, 'places': int, 'places_before': int},
}
"""Name in the source -> what each of its entries has."""
PARTS: dict[str, dict[str, Any]] = {
    'loss': {'asked': int, **dict.fromkeys(SHARES, NUMBER)},
    'drive': {'path': str, 'localized_before': NUMBER, 'localized_after': NUMBER},
}
"""What an entry may have besides."""


def trouble_of(source: dict[str, Any]) -> str | None:
    """What is wrong with it, in words; None where nothing is."""
    parts = source.get('maps', [])
    if not isinstance(parts, list):
        return f'source.maps: expected a list, got {shown(parts)}'
    for part in parts:
        if not _has(part, OF_A_PART):
            return f'source.maps: expected {", ".join(OF_A_PART)}, got {shown(part)}'
        if trouble := trouble_of(part['source']):
            return trouble
    return _trouble_of_changes(source)


def _trouble_of_changes(source: dict[str, Any]) -> str | None:
    for name, fields in FIELDS.items():
        entries = source.get(name, [])
        if not isinstance(entries, list):
            return f'source.{name}: expected a list, got {shown(entries)}'
        for entry in entries:
            if not _has(entry, fields):
                return f'source.{name}: expected {", ".join(fields)}, got {shown(entry)}'
            for part, numbers in PARTS.items():
                if part in entry and not _has(entry[part], numbers):
                    return f'source.{name}.{part}: unexpected {shown(entry[part])}'
    return None


def _has(entry: Any, fields: dict[str, Any]) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), kind) and not isinstance(entry[name], bool)
        for name, kind in fields.items()
    )
