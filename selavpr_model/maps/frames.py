# SPDX-License-Identifier: MIT
"""Whose frame a pose is in: the map's, or the odometry of one run, which has no place in it.

Odometry starts at its own origin, so the poses of two runs lie on each other by coincidence only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from selavpr_model.records import LoopClosure, Place, Recognition

if TYPE_CHECKING:
    from selavpr_model.maps.place_map import PlaceMap


def shown(place: Place, place_map: PlaceMap) -> Place:
    """To be told to others: with its pose, where that is one in the frame of the map."""
    return replace(place, pose=None) if place_map.frame_of(place) else place


def shown_answer(answer: Recognition, place_map: PlaceMap) -> Recognition:
    """The same of all its candidates."""
    told = tuple(replace(c, place=shown(c.place, place_map)) for c in answer.candidates)
    return replace(answer, candidates=told)


def shown_closure(made: LoopClosure, place_map: PlaceMap) -> LoopClosure:
    """The same of both its ends; the pose of one in the other holds in any frame."""
    before, after = (shown(place, place_map) for place in (made.before, made.after))
    return replace(made, before=before, after=after)


def shown_positions(positions: np.ndarray, place_map: PlaceMap) -> np.ndarray:
    """(N, 3) of all places, m -> the same, NaN where they are in another frame than the map's."""
    if not place_map.adrift:
        return positions
    away = np.array([bool(place_map.frame_of(place)) for place in place_map.places], bool)
    return np.where(away[:, None], np.nan, positions)
