# SPDX-License-Identifier: MIT
"""Model, map and recogniser, loaded and replaced safely. Belongs to the worker thread; no ROS."""

from __future__ import annotations

from dataclasses import replace
import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from selavpr_model.config import ExtractorConfig, RecognizerConfig
from selavpr_model.errors import MapNotFoundError, SelaVPRError
from selavpr_model.records import Frame, LoopClosure, ModelIdentity, Place, Recognition
from selavpr_ros.node.pipeline import growing
from selavpr_ros.node.pipeline.request import (
    fits,
    is_map,
    missing,
    NO_MAP,
    NotReadyError,
    runs,
    Wanted,
)

if TYPE_CHECKING:
    from selavpr_model.features.extractor import Extractor
    from selavpr_model.geometry.overlay import MatchOverlay
    from selavpr_model.maps.place_map import PlaceMap
    from selavpr_model.recognizer import PlaceRecognizer
    from selavpr_model.slam.session import SlamSession

logger = logging.getLogger(__name__)


class Pipeline:
    """A failed load changes nothing but `model_problem` or `map_problem`.

    Other threads may read the attributes; only the worker thread calls the methods.
    """

    def __init__(self) -> None:
        self.extractor: Extractor | None = None
        self.place_map: PlaceMap | None = None
        self.recognizer: PlaceRecognizer | None = None
        self.slam: SlamSession | None = None
        self.closures: tuple[LoopClosure, ...] | None = None  # of the last frame, in SLAM
        self.keyframe: Place | None = None  # what the last frame became in SLAM
        self.model_problem = 'not loaded yet'
        self.map_problem = 'not loaded yet'
        self._wanted: Wanted | None = None

    @property
    def identity(self) -> ModelIdentity | None:
        extractor = self.extractor
        return None if extractor is None else extractor.identity

    def load(self, wanted: Wanted) -> None:
        """Make true what the parameters ask for; what is loaded already stays loaded.

        Does not raise: a problem is left in `model_problem` or `map_problem`. A growing map is
        saved before another map or model takes its place.
        """
        if self.slam is not None:
            if not growing.is_other(self.slam, self._wanted, wanted):
                self._wanted = wanted
                return
            try:
                self.end_slam()
            except (SelaVPRError, OSError) as error:  # it stays, and so does what it was made by
                self.map_problem = self._told(error)
                return
        self._wanted = wanted
        extractor = self._load_model(wanted.extractor)
        if extractor is not None:
            self._load_map(wanted, extractor)
            if wanted.slam is not None and not self.map_problem:
                self.start_slam(wanted)

    def _load_model(self, config: ExtractorConfig) -> Extractor | None:
        if self.extractor is not None and self.extractor.config == config:
            self.model_problem = ''
            return self.extractor
        try:
            from selavpr_model.features.extractor import load_extractor

            extractor = load_extractor(config)
        except Exception as error:  # such as no torch, no file, no memory, no GPU
            self.model_problem = self._told(error)
            return None
        self.model_problem = ''
        if self.extractor is None:  # keep it even if the map turns out bad
            self.extractor = extractor
        return extractor

    def _load_map(self, wanted: Wanted, extractor: Extractor) -> None:
        here = self.place_map
        kept = here.path if here is not None else None
        path = Path(wanted.map).expanduser() if wanted.map else kept
        try:
            if here is not None and path == kept and fits(here, extractor):
                self._use(extractor, here, wanted)
            elif wanted.slam is not None and path is not None and not is_map(path):
                growing.require_room(path, wanted.slam)
                self.extractor = extractor
                self.place_map = self.recognizer = None  # a new one will grow
            elif path is not None:
                self._use(extractor, self._open(path, extractor), wanted)
            self.map_problem = '' if path is not None or wanted.slam is not None else NO_MAP
        except Exception as error:  # a MapError, or what the system says
            self.map_problem = self._told(error)

    def load_map(self, path: str, wanted: Wanted) -> None:
        """Replace the map; raises what is wrong with the new one and then keeps the old one. One
        that grows is saved first, and raises if that fails.
        """
        if self.extractor is None and self._wanted is not None:
            self._load_model(wanted.extractor)
        if self.extractor is None:
            raise NotReadyError(f'no model to use the map with: {self.model_problem}')
        place_map = self._open(Path(path).expanduser(), self.extractor)
        if self.slam is not None:
            self.end_slam()
            place_map = self._open(Path(path).expanduser(), self.extractor)  # may have grown
        self._wanted = wanted = replace(wanted, map=path)
        self._use(self.extractor, place_map, wanted)
        self.map_problem = ''
        self.start_slam(wanted)

    def _open(self, path: Path, extractor: Extractor) -> PlaceMap:
        from selavpr_model.maps.storage.store import open_map

        return open_map(path, extractor.identity)

    def _use(self, extractor: Extractor, place_map: PlaceMap, wanted: Wanted) -> None:
        """Swap in all three, or none when the recogniser refuses them.

        One that runs with just these stays, and with it what it believes about the robot.
        """
        from selavpr_model.recognizer import PlaceRecognizer

        if self.recognizer is not None and runs(self.recognizer, extractor, place_map, wanted):
            return
        recognizer = PlaceRecognizer(
            extractor, place_map, wanted.recognizer, wanted.temporal, wanted.geometry
        )
        self.extractor, self.place_map, self.recognizer = extractor, place_map, recognizer

    def _told(self, error: Exception) -> str:
        """The text of an error we expect; others with their name and, in the log, where."""
        if isinstance(error, ImportError):
            error = NotReadyError(missing(error))
        expected = isinstance(error, (SelaVPRError, OSError))
        logger.error('%s', error, exc_info=None if expected else error)
        return str(error) if expected else f'{type(error).__name__}: {error}'

    def configure_recognizer(self, wanted: Wanted) -> None:
        """New thresholds for the frames to come; forgets the temporal state when they differ. In
        SLAM they wait for its end.
        """
        if self._wanted is not None:
            self._wanted = replace(
                self._wanted, recognizer=wanted.recognizer, temporal=wanted.temporal,
                geometry=wanted.geometry,
            )  # fmt: skip
        if self.slam is None and self.extractor is not None and self.place_map is not None:
            self._use(self.extractor, self.place_map, wanted)

    def process(self, frame: Frame, asked: bool = False) -> Recognition:
        """Recognise a frame of the camera's stream; in SLAM it may become a place.

        asked: somebody waits for this answer, so geometry is to look at it in any case.
        """
        if self.slam is None:
            self.closures = self.keyframe = None
            return self._ready().process(frame, asked)
        step = self.slam.process(frame)
        self.closures, self.keyframe = step.closures, step.place
        return step.recognition

    def joined(self, recognition: Recognition) -> MatchOverlay | None:
        """What joins the last frame with its best place, for a picture."""
        part = self.slam or self.recognizer
        return None if part is None else part.overlay(recognition)

    @property
    def ready(self) -> bool:
        return self.slam is not None or self.recognizer is not None

    def start_slam(self, wanted: Wanted) -> None:
        """Let the map grow, or a new one where there is none; a damaged one is not replaced.

        Does not raise: where the map could not be saved, `map_problem` says so and nothing grows.
        """
        if self.slam is not None or self.extractor is None or wanted.slam is None:
            return
        known = None if self.place_map is None else self.place_map.path
        target = Path(wanted.map).expanduser() if wanted.map else known
        if target is not None and target != known and is_map(target):
            return  # it is there and could not be opened: `map_problem` says why
        try:
            growing.require_room(target, wanted.slam)
            if known is not None and target != known:
                self.place_map = self.recognizer = None  # what is wanted is a map of its own
            self.slam = growing.begin(self.extractor, self.place_map, wanted, wanted.slam, target)
            self.place_map = self.slam.place_map
        except (SelaVPRError, OSError) as error:
            self.map_problem = self._told(error)
        else:
            self.map_problem = ''

    def leave_slam(self) -> None:
        """end_slam, with what is wrong left in `map_problem`."""
        try:
            self.end_slam()
        except (SelaVPRError, OSError) as error:
            self.map_problem = self._told(error)

    def end_slam(self) -> None:
        """Save what has grown, where `map` says, and localise in it from now on.

        Raises, and lets the map go on growing, where it can be saved nowhere.
        """
        slam, wanted = self.slam, self._wanted
        if slam is None or wanted is None:
            return
        if slam.added and slam.configs.slam.save_at_end:
            growing.save(slam, wanted.map)
        self.slam = self.closures = self.recognizer = None  # it knew fewer places
        if len(slam.place_map):
            self._use(slam.extractor, slam.place_map, wanted)
        else:
            self.place_map = None
            self.map_problem = 'no map: SLAM ended before its first keyframe'

    def query(self, frame: Frame) -> Recognition:
        """Recognise a single image without touching the stream's temporal state."""
        from selavpr_model.recognizer import PlaceRecognizer

        ready = self._ready()
        alone = PlaceRecognizer(
            ready.extractor, ready.place_map, ready.config, geometry=ready.geometry
        )
        return alone.process(frame, force_verification=True)

    def _ready(self) -> PlaceRecognizer:
        if self.recognizer is None:
            growing = 'a growing map answers no single images; leave SLAM first'
            raise NotReadyError(self.model_problem or self.map_problem or growing)
        return self.recognizer

    def save_map(self, path: str, overwrite: bool) -> None:
        """Write the map in use; '' means where it came from."""
        from selavpr_model.maps.storage.store import save_map

        if self.place_map is None:
            raise MapNotFoundError(f'nothing to save: {self.model_problem or self.map_problem}')
        known = self.place_map.path or (self._wanted.map if self._wanted else '')
        target = Path(path or known).expanduser() if path or known else None
        if target is None:
            raise MapNotFoundError('the map was never saved; give a path')
        save_map(self.place_map, target, overwrite)

    def keyframe_covariance(self) -> np.ndarray:
        """(6, 6) of taking a place's pose for the robot's: as measured on the map, else wide."""
        from selavpr_model.decision.calibration import keyframe_covariance

        config = self.recognizer.config if self.recognizer else RecognizerConfig()
        calibration = None if self.place_map is None else self.place_map.calibration
        return keyframe_covariance(calibration, config)

    def reset(self) -> None:
        """Forget the temporal state, as after a jump of the clock."""
        for part in (self.recognizer, self.slam):
            if part is not None:
                part.reset()

    def release(self) -> None:
        """Give the memory of model and map back; not of a grown map that can be saved nowhere."""
        self.leave_slam()
        if self.slam is not None:
            return
        self.extractor = self.place_map = self.recognizer = self._wanted = None
        self.model_problem = self.map_problem = 'not loaded: the node is not configured'
        gc.collect()
