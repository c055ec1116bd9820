# SPDX-License-Identifier: MIT
"""Builds a map from frames; what is done is kept, so a killed build goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import replace
import itertools
import logging
from pathlib import Path
import time
from typing import Any, Protocol, runtime_checkable

from selavpr_model.config import KeyframeConfig, MapConfig, RecognizerConfig
from selavpr_model.data.standstill import Standstill
from selavpr_model.errors import InputError, MapEmptyError
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.building.keyframes import KeyframeSelector
from selavpr_model.maps.building.self_view import mask_of, require_mask
from selavpr_model.maps.building.work_folder import files_state, PLAN_ENTRY, WorkFolder
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage import writer
from selavpr_model.maps.storage.manifest import FORMAT_VERSION, model_entry
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Camera, Features, Frame, Place

logger = logging.getLogger(__name__)
# about what a kill may cost; chunks end between batches, so they do not change the features
CHUNK_PLACES = 64
CHUNK_SECONDS = 10.0


def build_map(
    frames: Iterable[Frame],
    extractor: Extractor,
    out: str | Path,
    *,
    keyframes: KeyframeConfig | None = None,
    config: MapConfig | None = None,
    recognizer: RecognizerConfig | None = None,
    source: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = True,
    calibrated: bool = True,
) -> PlaceMap:
    """Build, calibrate and save the map `out`; return it opened from disk.

    Killed at any moment, the next call with the same source, model and configuration goes on
    and gives the same arrays. A frame that raises InputError is skipped, counted and named in
    the log. `source`: what the map says about where it came from; JSON values. `calibrated`:
    measure its thresholds; a part of a larger map has no use for its own.
    """
    out, source = Path(out), source or {}
    keyframes, config = keyframes or KeyframeConfig(), config or MapConfig()
    work = WorkFolder(out, plan_of(frames, extractor, keyframes, config, source))
    if not overwrite and work.was_done():
        logger.info('%s: finished before, from the same files with the same settings', out)
    elif not work.is_done():
        writer.require_free(out, overwrite)
        require_mask(PlaceMap.for_extractor(extractor, config))
        with work.locked() as map_id:
            build = _Build(frames, extractor, work, KeyframeSelector(keyframes), config, source)
            place_map = build.run(progress)
            place_map.map_id = map_id
            place_map.configs = _configs(extractor, keyframes, work)
            if calibrated:
                place_map.robot_mask = mask_of(place_map, recognizer or RecognizerConfig())
                _calibrate(place_map, recognizer or RecognizerConfig(), progress)
            save_map(place_map, out, overwrite)
    work.remove()
    return open_map(out, extractor.identity)


def _configs(
    extractor: Extractor, keyframes: KeyframeConfig, work: WorkFolder
) -> dict[str, dict[str, Any]]:
    return {
        'extractor': extractor.config.to_dict(),
        'keyframes': keyframes.to_dict(),
        PLAN_ENTRY: {'sha256': work.digest},
    }


def plan_of(
    frames: Iterable[Frame],
    extractor: Extractor,
    keyframes: KeyframeConfig,
    config: MapConfig,
    source: dict[str, Any],
) -> dict[str, Any]:
    """All that the arrays depend on: a build goes on only where nothing of this changed."""
    return {
        'source': source,
        'frames': length_of(frames),
        'files': files_state(source.get('path')),
        'model': model_entry(extractor.identity),
        'extractor': extractor.config.to_dict(),
        'arithmetic': [extractor.device, extractor.engine, extractor.precision],
        'keyframes': keyframes.to_dict(),
        'storage': config.to_dict(),
        'format': FORMAT_VERSION,
    }


class _Build:
    """One pass over the frames. Its state after a batch is saved with each chunk."""

    def __init__(
        self,
        frames: Iterable[Frame],
        extractor: Extractor,
        work: WorkFolder,
        selector: KeyframeSelector,
        config: MapConfig,
        source: dict[str, Any],
    ) -> None:
        self.frames, self.extractor, self.work, self.selector = frames, extractor, work, selector
        self.config, self.source = config, source
        self.session = str(source.get('session') or Path(str(source.get('path', ''))).name)
        self.position = 0  # of the next frame
        self.skipped: list[str] = []
        self.camera: Camera | None = None  # of a source that does not say it itself
        self.place_map = PlaceMap.for_extractor(extractor, config)
        self.standstill = Standstill('pose')
        self.chunk = self._new_chunk()
        self.kept_at = time.monotonic()

    def run(self, progress: bool) -> PlaceMap:
        """All places of the frames; their features stay in the work folder."""
        self._resume()
        for batch in self._batches(progress):
            features = self.extractor.extract_batch([frame.image for frame in batch])
            for frame, feature in zip(batch, features, strict=True):
                self._add(frame, feature)
            late = time.monotonic() - self.kept_at >= CHUNK_SECONDS
            if late or len(self.chunk) >= CHUNK_PLACES:
                self._keep_chunk()
        self._keep_chunk()
        self._report()
        return self.place_map

    def _resume(self) -> None:
        for chunk in self.work.chunks(self.extractor.identity):
            self.place_map.extend(chunk)
            self._restore(chunk.source)
        if len(self.place_map):
            done = len(self.place_map)
            logger.info('going on at frame %d, %d places are done', self.position, done)

    def _state(self) -> dict[str, Any]:
        selector = self.selector.state()
        return {'position': self.position, 'skipped': self.skipped, 'selector': selector}

    def _restore(self, state: dict[str, Any]) -> None:
        self.position, self.skipped = state['position'], list(state['skipped'])
        self.selector.restore(state['selector'])

    def _batches(self, progress: bool) -> Iterator[list[Frame]]:
        """Keyframes in groups of the extractor's batch size; others are never extracted."""
        from selavpr_model.runtime.progress import progress_bar

        batch: list[Frame] = []
        bar = progress_bar(
            None,
            'map',
            progress,
            unit='frame',
            total=length_of(self.frames),
            initial=self.position,
        )
        with bar:
            for frame in self._readable():
                self._show(bar)
                if self.selector.is_new(frame):
                    batch.append(frame)
                if len(batch) == self.extractor.config.batch_size:
                    yield batch
                    batch = []
            if batch:
                yield batch
            self._show(bar, refresh=True)

    def _show(self, bar: Any, refresh: bool = False) -> None:
        bar.n = self.position
        bar.set_postfix(places=len(self.place_map) + len(self.chunk), refresh=refresh)
        bar.update(0)

    def _readable(self) -> Iterator[Frame]:
        for index, frame in numbered(self.frames, self.position):
            self.position = index + 1
            if isinstance(frame, Frame):
                self.camera = self.camera or frame.camera
                self.standstill.see(frame)
                yield frame
            else:
                self._skip(f'frame {index}', frame)

    def _skip(self, name: str, error: InputError) -> None:
        logger.warning('%s skipped: %s', name, error)
        self.skipped.append(f'{name}: {error}')

    def _add(self, frame: Frame, features: Features) -> None:
        place_id = len(self.place_map) + len(self.chunk)
        place = Place(
            place_id, frame.stamp_ns, frame.name, self.session, frame.camera_frame, frame.pose
        )
        try:
            self.chunk.add(features, place, frame.image)
        except InputError as error:
            self._skip(frame.name or f'frame at {frame.stamp_ns} ns', error)

    def _new_chunk(self) -> PlaceMap:
        config = replace(self.config, use_gpu_index=False)
        return PlaceMap.for_extractor(self.extractor, config)

    def _keep_chunk(self) -> None:
        """Make the chunk durable, and read it from there from now on: RAM stays small."""
        if len(self.chunk):
            self.chunk.source = self._state()
            self.work.append(self.chunk)
            self.place_map.extend(open_map(self.chunk.path or self.work.path))
        self.chunk = self._new_chunk()
        self.kept_at = time.monotonic()

    def _report(self) -> None:
        places = len(self.place_map)
        # a source that cannot be indexed leaves unreadable images out by itself, and counts them
        skipped = len(self.skipped) + sum(getattr(self.frames, 'dropped', {}).values())
        if places == 0:
            raise MapEmptyError(
                f'{self.work.out}: expected places, got none from {self.position} frames, '
                f'{skipped} unusable; check the source'
            )
        logger.info('%d places of %d frames, %d unusable', places, self.position, skipped)
        if words := self.standstill.words():
            logger.warning('%s: %s', self.session or 'the frames', words)
        if camera := getattr(self.frames, 'camera', self.camera):
            self.place_map.cameras = {self.session: camera}
        self.place_map.source = {
            **self.source,
            'frames': self.position,
            'skipped': skipped,
            'device': self.extractor.device,
            'precision': self.extractor.precision,
        }


def numbered(frames: Iterable[Frame], first: int) -> Iterator[tuple[int, Frame | InputError]]:
    """(index, frame or why it cannot be read) from `first` on, without reading what is before."""
    if not isinstance(frames, Indexed):
        yield from itertools.islice(enumerate(frames), first, None)
        return
    for index in range(first, len(frames)):
        try:
            yield index, frames[index]
        except InputError as error:
            yield index, error


@runtime_checkable
class Indexed(Protocol):
    def __getitem__(self, index: int, /) -> Frame: ...

    def __len__(self) -> int: ...


def length_of(frames: Iterable[Frame]) -> int | None:
    """How many there are; None where only reading them tells."""
    return len(frames) if isinstance(frames, Sized) else None


def _calibrate(place_map: PlaceMap, config: RecognizerConfig, progress: bool) -> None:
    from selavpr_model.maps.building.calibrate import calibrate

    place_map.calibration = calibrate(place_map, config, progress=progress)
    place_map.configs['recognizer'] = config.to_dict()
