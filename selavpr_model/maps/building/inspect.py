# SPDX-License-Identifier: MIT
"""The deep check of a map: what is odd about a place although its bytes are right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.maps.checks import UNIT_TOLERANCE
from selavpr_model.maps.place_map import PlaceMap

SAME = 0.9999  # least cosine of two places that a search may take for each other


def problems(place_map: PlaceMap, row: int) -> Iterator[str]:
    """Of one place, one line each."""
    place = place_map.places[row]
    label = f'place {place.id} ({place.name or "no name"}, row {row})'
    lengths = np.linalg.norm(place_map.local([row])[0], axis=1)
    if ((np.abs(lengths - 1.0) > UNIT_TOLERANCE) & (lengths > 0)).any():
        yield f'{label}: local features are not of unit length'
    if place.pose is not None and not _rigid(place.pose):
        yield f'{label}: the pose is no rotation and translation'
    try:
        place_map.thumbnail(row)
    except InputError as error:
        yield f'{label}: {error}'
    rows, similarities = place_map.search(place_map.global_(row), 1)
    if rows[0] != row and similarities[0] < SAME:  # a twin of it is no fault
        yield f'{label}: a search for its own features finds row {rows[0]}'


def _rigid(T: np.ndarray) -> bool:
    R = T[:3, :3]
    return bool(np.allclose(R @ R.T, np.eye(3), atol=1e-4) and np.linalg.det(R) > 0)
