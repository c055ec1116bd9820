# SPDX-License-Identifier: MIT
"""Removes, renames and names what is in a map; features and poses stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
import re

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.maps.building.subset import selected
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.place_table import MOST_TEXT
from selavpr_model.runtime.shown import shown

CHOICE = re.compile(r'(\d{1,20})(?:\.\.(\d{1,20})|@(\d+(?:\.\d*)?|\.\d+))?')
EXPECTED = 'ID, ID..ID or ID@METRES'


@dataclass(frozen=True, slots=True)
class Edits:
    """What is done to a map, in this order: remove, then rename, then label.

    remove: choices of places (`chosen_rows`); remove_sessions: names; rename_sessions: old ->
    new; labels: choices, each with what people call these places; '' takes the label away.
    """

    remove: Sequence[str] = ()
    remove_sessions: Sequence[str] = ()
    rename_sessions: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[tuple[str, str]] = ()


def edited(place_map: PlaceMap, edits: Edits) -> PlaceMap:
    """The map after the edits, in memory only; ids stay. InputError names what is not there."""
    for session in (*edits.remove_sessions, *edits.rename_sessions):
        _require_session(place_map, session)
    gone = {row for choice in edits.remove for row in chosen_rows(place_map, choice)}
    labels, names = _labels(place_map, edits.labels), edits.rename_sessions
    left = [
        row
        for row, place in enumerate(place_map.places)
        if row not in gone and place.session not in edits.remove_sessions
    ]
    _require_free_names({place_map.places[row].session for row in left}, names)
    return selected(
        place_map,
        left,
        lambda p: replace(
            p, session=names.get(p.session, p.session), label=labels.get(p.id, p.label)
        ),
        names,
    )


def chosen_rows(place_map: PlaceMap, choice: str) -> list[int]:
    """The rows of `12` (an id), `12..20` (ids) or `12@3.5` (within 3.5 m of place 12).

    InputError where it is none of these or names no place.
    """
    match = CHOICE.fullmatch(choice.strip())
    if match is None:
        raise InputError(f'places: expected {EXPECTED}, got {shown(choice)}')
    first, last, metres = match.groups()
    ids = np.fromiter(place_map.table.ids(), np.uint64, len(place_map))
    if metres is not None:
        return _around(place_map, ids, int(first), float(metres))
    low, high = int(first), int(last or first)
    rows = [row for row, one in enumerate(ids.tolist()) if low <= one <= high]
    if not rows:
        raise InputError(f'places: expected ids of places of the map, got {choice}; see map info')
    return rows


def _around(place_map: PlaceMap, ids: np.ndarray, centre: int, metres: float) -> list[int]:
    at = [row for row, one in enumerate(ids.tolist()) if one == centre]
    positions = place_map.positions
    if not at or not np.isfinite(positions[at[0]]).all():
        raise InputError(
            f'places: expected a place with a pose in the frame of the map, got id {centre}'
        )
    away = np.linalg.norm(positions - positions[at[0]], axis=1)  # NaN is not near
    return [int(row) for row in np.flatnonzero(away <= metres)]


def _labels(place_map: PlaceMap, labels: Sequence[tuple[str, str]]) -> dict[int, str]:
    """Id of a place -> its new label."""
    of: dict[int, str] = {}
    for choice, label in labels:
        _require_text(label)
        for row in chosen_rows(place_map, choice):
            of[place_map.places[row].id] = label
    return of


def _require_session(place_map: PlaceMap, session: str) -> None:
    if session not in place_map.sessions:
        there = ', '.join(shown(s) for s in sorted(place_map.sessions))
        raise InputError(f'session: expected one of {there}; got {shown(session)}')


def _require_free_names(sessions: Collection[str], renamed: Mapping[str, str]) -> None:
    """InputError where two sessions would become one, as their odometry has no common frame."""
    names = [renamed.get(session, session) for session in sessions]
    for new in renamed.values():
        _require_text(new)
        if not new or names.count(new) > 1:
            raise InputError(f'session: expected a new name that no other has, got {shown(new)}')


def _require_text(text: str) -> None:
    if '\0' in text or len(text) > MOST_TEXT:
        raise InputError(f'name: expected at most {MOST_TEXT} characters without NUL')
