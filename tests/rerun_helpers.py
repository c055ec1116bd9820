# SPDX-License-Identifier: MIT
"""A recording for rerun, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerun.chunk import RrdReader


def read_back(path: Path) -> dict[str, dict[str, list[Any]]]:
    """Entity -> column -> its values over all rows, in the order of `frame`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for chunk in RrdReader(path).stream().to_chunks():
        rows = chunk.to_record_batch().to_pylist()
        found.setdefault(chunk.entity_path, []).extend(rows)
    entities = {}
    for entity, rows in found.items():
        rows.sort(key=lambda row: -1 if row.get('frame') is None else row['frame'])
        names = {name for row in rows for name in row}
        entities[entity] = {name: [row.get(name) for row in rows] for name in names}
    return entities
