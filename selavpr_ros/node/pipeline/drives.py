# SPDX-License-Identifier: MIT
"""Where a drive in SLAM begins and where the grown map goes; for the pipeline, no ROS."""

from __future__ import annotations

from dataclasses import replace
import logging
from pathlib import Path
import re

from selavpr_model.config import SlamConfig
from selavpr_model.errors import SelaVPRError
from selavpr_model.runtime.paths import expanded
from selavpr_ros.node.pipeline.request import is_map, Request, rescued
from selavpr_ros.node.pipeline.states import Extractor, PlaceMap, SlamSession

logger = logging.getLogger(__name__)


def is_other(slam: SlamSession, before: Request | None, request: Request) -> bool:
    """Whether another map or model is asked for than what is growing; before: the last request."""
    path = slam.place_map.path
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


def save(slam: SlamSession, path: str) -> None:
    """Save the grown map, made straight, at `path`, else where it came from, else, so that no
    drive is lost, in a folder of our own.
    """
    slam.finish()
    target = expanded(path) if path else slam.place_map.path
    spare = rescued() / file_name(f'{slam.session}-{slam.place_map.map_id[:8]}')
    if target is None:
        write(slam.place_map, spare, overwrite=True)
        logger.warning('no map was given: the grown map was saved to %s', spare)
        return
    try:
        write(slam.place_map, target, overwrite=True)
    except (SelaVPRError, OSError) as error:
        write(slam.place_map, spare, overwrite=True)
        logger.error('%s; the grown map was saved to %s instead', error, spare)


def write(place_map: PlaceMap, path: Path, overwrite: bool) -> None:
    """Save a map at a path."""
    from selavpr_model.maps.storage.store import save_map

    save_map(place_map, path, overwrite)


def file_name(text: str) -> str:
    """A name of one folder of any text: sessions are named by parameters and by maps."""
    return re.sub(r'[^\w.-]', '_', text).lstrip('.')[-120:]
