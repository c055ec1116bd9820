# SPDX-License-Identifier: MIT
"""Several maps as one: sessions keep their ids, places theirs wherever no other map has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
import logging
from pathlib import Path
from typing import Any

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.errors import InputError
from selavpr_model.maps.building.self_view import mask_of
from selavpr_model.maps.building.work_folder import PLAN_ENTRY
from selavpr_model.maps.checks import require_model
from selavpr_model.maps.place_map import free_name, ODOMETRY, PlaceMap
from selavpr_model.maps.storage import writer
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Place

logger = logging.getLogger(__name__)
Join = Callable[[PlaceMap, PlaceMap, Sequence[tuple[int, Place]]], None]


def merge_maps(
    paths: Sequence[Path],
    out: Path,
    overwrite: bool = False,
    calibrated: bool = True,
    progress: bool = True,
    source: dict[str, Any] | None = None,
    join: Join | None = None,
) -> PlaceMap:
    """Write the maps of `paths`, one or more, to `out` as one and return it opened from there.

    Places whose ids are taken get new ones; which, is in the manifest's source. The maps must be
    of one model, one storage and one frame of poses, and no two may hold the same map; those of
    drives in SLAM mode are in a frame of their own. Thresholds are measured again on the whole.
    `source`: what the map says about where it came from, instead of the list of its parts; `join`:
    appends what is in a frame of its own, by default unaligned.
    """
    writer.require_free(out, overwrite)
    maps = [open_map(path) for path in paths]
    if not maps:
        raise InputError('merge: expected at least one map, got none')
    _require_different(maps)
    merged = PlaceMap.empty(maps[0].identity, maps[0].config, maps[0].head)
    parts = [_append(merged, one, source is not None, join or _copied) for one in maps]
    merged.configs = {k: v for k, v in maps[0].configs.items() if k != PLAN_ENTRY}
    merged.source = source or {'kind': 'merge', 'maps': parts}
    if source is None:  # parts of one drive follow each other
        _warn_of_apart(maps)
    if calibrated:
        if merged.robot_mask is None:
            merged.robot_mask = mask_of(merged, RecognizerConfig())
        recalibrate(merged, progress)
    save_map(merged, out, overwrite)
    return open_map(out)


def _require_different(maps: Sequence[PlaceMap]) -> None:
    """InputError where a map, or a part of one, comes twice: every place of it would be double."""
    holders: dict[str, Path | None] = {}
    for one in maps:
        for map_id in {one.map_id, *_parts(one.source)}:
            if map_id in holders:
                raise InputError(
                    f'{one.path}: expected maps with different places, got map {map_id} also in '
                    f'{holders[map_id]}; leave one of the two out'
                )
            holders[map_id] = one.path


def _parts(source: dict[str, Any]) -> Iterator[str]:
    """Ids of the maps that a map was merged from."""
    for part in source.get('maps', ()):
        yield part['map_id']
        yield from _parts(part['source'])


def _warn_of_apart(maps: Sequence[PlaceMap]) -> None:
    """Storeys are no reason: looked at are the two axes along which all the maps extend most."""
    finite = {one: one.positions[np.isfinite(one.positions).all(axis=1)] for one in maps}
    posed = {one: points for one, points in finite.items() if len(points)}
    if len(posed) < 2:
        return
    flat = np.argsort(np.ptp(np.concatenate(list(posed.values())), axis=0))[1:]
    boxes = {one: (p[:, flat].min(axis=0), p[:, flat].max(axis=0)) for one, p in posed.items()}
    apart = []
    for one, (low, high) in boxes.items():
        others = [box for other, box in boxes.items() if other is not one]
        if not any((low <= top).all() and (bottom <= high).all() for bottom, top in others):
            apart.append(f'{one.path}')
    if apart:
        logger.warning(
            '%s: no place lies where other maps have some; check that frame %r is the same in all',
            ', '.join(apart), maps[0].config.frame_id,
        )  # fmt: skip


def _append(merged: PlaceMap, other: PlaceMap, one_drive: bool, join: Join) -> dict[str, Any]:
    """Add all places of `other`; what the manifest says about it. one_drive: of all the maps."""
    path = other.path or Path('map')
    require_model(path, other.identity, merged.identity)
    mine, its = merged.config, other.config
    if mine.local_dtype != its.local_dtype or its.frame_id not in (mine.frame_id, ODOMETRY):
        raise InputError(
            f'{path}: expected places stored as {mine.local_dtype} in frame {mine.frame_id!r}, '
            f'got {its.local_dtype} in {its.frame_id!r}; build the maps alike, and name one whose '
            f'frame is {ODOMETRY!r} after the others'
        )
    merged.require_alike(other)
    renumbered = _renumber(merged, other)
    strange = len(merged) > 0 and its.frame_id == ODOMETRY and not one_drive
    names = _free_names(merged, other) if strange else {s: s for s in other.sessions}
    merged.cameras = {**{names[s]: c for s, c in other.cameras.items()}, **merged.cameras}
    unaligned = other.sessions if strange else other.unaligned_sessions
    merged.unaligned_sessions |= {names[s] for s in unaligned}
    merged.robot_mask = _either(merged.robot_mask, other.robot_mask)
    renamed = [
        (row, replace(p, id=renumbered.get(p.id, p.id), session=names[p.session]))
        for row, p in enumerate(other.places)
    ]
    (join if strange else _copied)(merged, other, renamed)
    return {
        'path': str(path),
        'map_id': other.map_id,
        'revision': other.revision,
        'sessions': sorted({place.session for place in other.places}),
        'new_ids': {str(old): new for old, new in renumbered.items()},
        'source': other.source,
    }


def _copied(merged: PlaceMap, other: PlaceMap, rows: Sequence[tuple[int, Place]]) -> None:
    """Append rows of `other`, each as a place, and their links."""
    taken = {row: merged.copy(other, row, place) for row, place in rows}
    merged.copy_links(other, taken)


def _either(mine: np.ndarray | None, its: np.ndarray | None) -> np.ndarray | None:
    """Where either robot sees itself: a query may be of each."""
    if mine is None or its is None:
        return mine if its is None else its
    return mine | its


def _free_names(merged: PlaceMap, other: PlaceMap) -> dict[str, str]:
    """Sessions -> names that no session of `merged` has: no two runs' odometry share a frame."""
    names: dict[str, str] = {}
    for session in sorted(other.sessions):
        names[session] = free_name(session, {*merged.sessions, *names.values()})
    return names


def _renumber(merged: PlaceMap, other: PlaceMap) -> dict[int, int]:
    """Ids that are taken -> free ones, above all of both maps."""
    taken = {place.id for place in merged.places}
    free = max(merged.next_id, other.next_id)
    clashing = [place.id for place in other.places if place.id in taken]
    return {old: free + i for i, old in enumerate(clashing)}


def recalibrate(merged: PlaceMap, progress: bool) -> None:
    """Measure the thresholds of a map on its places as they are now."""
    from selavpr_model.maps.building.calibrate import calibrate

    config = RecognizerConfig.from_dict(merged.configs.get('recognizer', {}))
    merged.calibration = calibrate(merged, config, progress=progress)
    merged.configs = {**merged.configs, 'recognizer': config.to_dict()}
