# SPDX-License-Identifier: MIT
"""Where a drive begins that changes the map, and where the map goes; for the pipeline, no ROS."""

from __future__ import annotations

from dataclasses import replace
import logging
from pathlib import Path
import re

from selavpr_model.config import SlamConfig
from selavpr_model.errors import SelaVPRError
from selavpr_model.runtime.paths import expanded
from selavpr_ros.node.pipeline.request import is_map, Request, rescued
from selavpr_ros.node.pipeline.states import (
    Driving,
    Extractor,
    Mapping,
    PlaceMap,
    PlaceRecognizer,
    SlamSession,
    State,
    UpdateSession,
    Updating,
)

logger = logging.getLogger(__name__)


def is_other(place_map: PlaceMap, before: Request | None, request: Request) -> bool:
    """Whether another map or model is asked for than what changes; before: the last request."""
    path = place_map.path
    if before is None or request.extractor != before.extractor:
        return True
    target = expanded(request.map)
    named = request.map and not before.map and path is None and not is_map(target)
    return request.map != before.map and target != path and not named


def require_room(target: Path | None, config: SlamConfig) -> None:
    """Raise, now and not after an hour's drive, where the map could not be saved."""
    from selavpr_model.maps.storage.writer import require_room

    if config.save_at_end and target is not None:
        require_room(target)


def begin_slam(
    extractor: Extractor, here: PlaceMap | None, request: Request
) -> SlamSession | None:
    """A drive in the map, or in a new one where there is none; None where it is not asked for, or
    where a damaged map would be replaced: the state says why that one was not opened.
    """
    config, origin = request.slam, None if here is None else here.path
    target = expanded(request.map) if request.map else origin
    if config is None or (target is not None and target != origin and is_map(target)):
        return None
    require_room(target, config)
    if origin is not None and target != origin:
        here = None  # a map of its own is asked for
    return begin(extractor, here, request, config, target)


def begin(
    extractor: Extractor, place_map: PlaceMap | None, request: Request, config: SlamConfig,
    target: Path | None,
) -> SlamSession:  # fmt: skip
    """A drive in `place_map`, or in a new one; target: where it will be saved, if known."""
    from selavpr_model.maps.place_map import ODOMETRY, PlaceMap
    from selavpr_model.slam.session import SlamConfigs, SlamSession

    if config.save_at_end and target is None:
        logger.warning(
            'SLAM: no map is given, so the grown map will be saved below %s; set the parameter '
            '`map`, or call ~/save_map with a path', rescued(),
        )  # fmt: skip
    if place_map is None:
        logger.info('SLAM: a new map grows, to be saved to %s', target or rescued())
        storage = replace(request.storage, frame_id=ODOMETRY)
        place_map = PlaceMap.for_extractor(extractor, storage)
    configs = SlamConfigs(
        config,
        request.keyframes,
        request.recognizer,
        request.temporal,
        request.geometry,
        request.graph,
    )
    return SlamSession(extractor, place_map, configs)


def begin_update(recognizer: PlaceRecognizer, request: Request) -> UpdateSession:
    """A drive that adds looks to the map of the recogniser; raises where it could not be saved."""
    from selavpr_model.maps.storage.writer import require_room
    from selavpr_model.update.session import UpdateSession

    update = UpdateSession(recognizer, request.update, request.keyframes)
    target = expanded(request.map) if request.map else recognizer.place_map.path
    if target is not None:
        require_room(target)
    return update


def changed_map(state: Driving) -> PlaceMap | None:
    """What a drive made of the map, None where that is nothing that is to be saved."""
    if isinstance(state, Mapping):
        slam = state.slam
        if not slam.added or not slam.configs.slam.save_at_end:
            return None
        slam.finish()
        return slam.place_map
    return state.update.finish() if len(state.update.added) else None


def save_now(state: State, target: Path, overwrite: bool) -> None:
    """Save the map in use, made straight, or with the looks so far; the drive goes on."""
    place_map = state.place_map
    assert place_map is not None  # asked before
    if isinstance(state, Mapping):
        state.slam.finish()
    if not isinstance(state, Updating):
        return write(place_map, target, overwrite)
    joined = state.update.finish()
    write(joined, target, overwrite)
    place_map.revision = joined.revision  # the next save is a later one
    return None


def save(place_map: PlaceMap, session: str, path: str) -> None:
    """Save the changed map at `path`, else where it came from, else, so that no drive is lost, in
    a folder of our own.
    """
    target = expanded(path) if path else place_map.path
    spare = rescued() / file_name(f'{session}-{place_map.map_id[:8]}')
    if target is None:
        write(place_map, spare, overwrite=True)
        logger.warning('no map was given: the grown map was saved to %s', spare)
        return
    try:
        write(place_map, target, overwrite=True)
    except (SelaVPRError, OSError) as error:
        write(place_map, spare, overwrite=True)
        logger.error('%s; the grown map was saved to %s instead', error, spare)


def write(place_map: PlaceMap, path: Path, overwrite: bool) -> None:
    """Save a map at a path."""
    from selavpr_model.maps.storage.store import save_map

    save_map(place_map, path, overwrite)


def file_name(text: str) -> str:
    """A name of one folder of any text: sessions are named by parameters and by maps."""
    return re.sub(r'[^\w.-]', '_', text).lstrip('.')[-120:]
