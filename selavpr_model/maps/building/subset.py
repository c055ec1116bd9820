# SPDX-License-Identifier: MIT
"""A map of some places of another: it stays the same map, with fewer or changed places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Place


def without_places(place_map: PlaceMap) -> PlaceMap:
    """An empty map with all that `place_map` says besides its places."""
    bare = PlaceMap.empty(place_map.identity, place_map.config, place_map.head)
    bare.map_id, bare.revision, bare.path = place_map.map_id, place_map.revision, place_map.path
    bare.source, bare.configs = dict(place_map.source), dict(place_map.configs)
    bare.calibration, bare.cameras = place_map.calibration, dict(place_map.cameras)
    bare.unaligned_sessions = set(place_map.unaligned_sessions)
    bare.robot_mask = place_map.robot_mask
    return bare


def selected(
    place_map: PlaceMap,
    rows: Iterable[int],
    changed: Callable[[Place], Place] = lambda place: place,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> PlaceMap:
    """The places of these rows, in this order, with their ids, in memory only.

    changed: what becomes of each; renamed: sessions -> what `changed` calls them. What the map
    says of sessions of which no place is left is forgotten.
    """
    chosen = without_places(place_map)
    taken = {row: chosen.copy(place_map, row, changed(place_map.places[row])) for row in rows}
    chosen.copy_links(place_map, taken)
    sessions = place_map.table.session_of_rows()
    name = {s: renamed.get(s, s) for s in {sessions[row] for row in taken}}
    cameras, unaligned = place_map.cameras, place_map.unaligned_sessions
    chosen.cameras = {name[s]: c for s, c in cameras.items() if s in name}
    chosen.unaligned_sessions = {name[s] for s in unaligned if s in name}
    return chosen
