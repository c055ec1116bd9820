# SPDX-License-Identifier: MIT
"""Updates a map on disk by a recorded drive; killed, the next call goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import logging
from pathlib import Path
import time
from typing import Any

from selavpr_model.config import KeyframeConfig, RecognizerConfig, TemporalConfig, UpdateConfig
from selavpr_model.data.standstill import Standstill
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.building.builder import length_of, numbered
from selavpr_model.maps.building.calibrate import calibrate
from selavpr_model.maps.building.subset import selected
from selavpr_model.maps.building.work_folder import files_state, NO_FILES, WorkFolder
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage import writer
from selavpr_model.maps.storage.source import UPDATES
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, State
from selavpr_model.runtime.progress import progress_bar
from selavpr_model.update.session import UpdateSession

logger = logging.getLogger(__name__)
WARM_UP = 40  # frames before a break that say again where the robot is
CHUNK_PLACES, CHUNK_SECONDS = 64, 20.0  # about what a kill may cost


@dataclass(frozen=True, slots=True)
class MapUpdate:
    """What a drive did to a map. counts: as of UpdateSession; frames: of the drive, localized:
    LOCALIZED ones; done: whether it was done before and nothing was left to do."""

    counts: dict[str, int]
    frames: int
    localized: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class UpdateConfigs:
    """Everything that an update is configured by. own_poses: as for UpdateSession."""

    update: UpdateConfig
    recognizer: RecognizerConfig
    temporal: TemporalConfig
    own_poses: bool = False

    def to_dict(self) -> dict[str, Any]:
        groups = (self.update, self.recognizer, self.temporal)
        return {type(one).__name__: one.to_dict() for one in groups} | {'own': self.own_poses}


def update_map(
    path: Path,
    frames: Iterable[Frame],
    extractor: Extractor,
    configs: UpdateConfigs,
    *,
    out: Path | None = None,
    source: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> MapUpdate:
    """Add the looks of a drive to the map at `path`, in place or as the map `out`.

    The map is replaced in one moment, when all is done. The same drive adds nothing twice. A frame
    that cannot be read is left out. Thresholds are measured again. MapError, InputError.
    """
    out, source = out or path, source or {}
    writer.require_free(out, overwrite or out == path)
    place_map = open_map(path, extractor.identity)
    plan = _plan(place_map, frames, extractor, configs, source)
    work = WorkFolder(out, plan, 'updating')
    told = [one for one in place_map.source.get(UPDATES, ()) if one.get('plan') == work.digest]
    if told and plan['files'] != NO_FILES:
        work.remove()
        return MapUpdate({'added': told[0]['looks']}, told[0]['frames'], 0, done=True)
    with work.locked():
        update = _Update(place_map, extractor, configs, work)
        update.run(frames, progress)
        joined = update.session.finish({**source, 'plan': work.digest})
        if len(update.session.added) or out != path:
            _calibrate(joined, configs.recognizer, progress)
            save_map(joined, out, overwrite=True)
    work.remove()
    return MapUpdate(dict(update.session.counts), update.session.frames, update.localized)


def _plan(
    place_map: PlaceMap, frames: Iterable[Frame], extractor: Extractor, configs: UpdateConfigs,
    source: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """All that the looks depend on, but the revision: the update itself makes a new one."""
    return {
        'map_id': place_map.map_id,
        'source': source,
        'frames': length_of(frames),
        'files': files_state(source.get('path')),
        'arithmetic': [extractor.device, extractor.engine, extractor.precision],
        'configs': configs.to_dict(),
    }


class _Update:
    """One pass over the frames, kept in the work folder on the way."""

    def __init__(
        self, place_map: PlaceMap, extractor: Extractor, configs: UpdateConfigs, work: WorkFolder
    ) -> None:
        recognizer = PlaceRecognizer(extractor, place_map, configs.recognizer, configs.temporal)
        keyframes = KeyframeConfig.from_dict(place_map.configs.get('keyframes', {}))
        self.session = UpdateSession(recognizer, configs.update, keyframes, configs.own_poses)
        self.localized = 0
        self._work, self._kept, self._first = work, 0, 0
        self._kept_at = time.monotonic()

    def run(self, frames: Iterable[Frame], progress: bool) -> None:
        self._resume()
        start = max(0, self._first - WARM_UP)
        self.session.frames = start
        bar = progress_bar(
            None, 'update', progress, unit='frame', total=length_of(frames), initial=start
        )
        still = Standstill('odom')
        with bar:
            for index, frame in numbered(frames, start):
                if isinstance(frame, Frame):
                    still.see(frame)
                    answer = self.session.process(frame, learn=index >= self._first)
                    self.localized += answer.state is State.LOCALIZED
                else:
                    logger.warning('frame %d left out: %s', index, frame)
                    self.session.frames += 1
                self._keep()
                bar.set_postfix(looks=len(self.session.added), refresh=False)
                bar.update(1)
        if words := still.words():
            logger.warning('%s', words)

    def _resume(self) -> None:
        for chunk in self._work.chunks(self.session.place_map.identity):
            self.session.restore(chunk)
            self._first = int(chunk.source['settled'])
        self._kept = len(self.session.added)
        if self._kept:
            logger.info('going on at frame %d, %d looks are done', self._first, self._kept)

    def _keep(self) -> None:
        """Make the looks since the last chunk durable, now and then."""
        new = len(self.session.added) - self._kept
        late = time.monotonic() - self._kept_at >= CHUNK_SECONDS
        if new >= CHUNK_PLACES or (new and late):
            added = self.session.added
            chunk = selected(added, range(self._kept, len(added)))
            chunk.map_id, chunk.revision = added.map_id, 0
            chunk.source = {'settled': self.session.settled}
            self._work.append(chunk)
            self._kept, self._kept_at = len(added), time.monotonic()


def _calibrate(joined: PlaceMap, config: RecognizerConfig, progress: bool) -> None:
    joined.calibration = calibrate(joined, config, progress=progress)
    joined.configs = {**joined.configs, 'recognizer': config.to_dict()}
