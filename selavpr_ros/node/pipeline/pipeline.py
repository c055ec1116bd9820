# SPDX-License-Identifier: MIT
"""Model, map and recogniser, loaded and replaced safely. Belongs to the worker thread; no ROS."""

from __future__ import annotations

from dataclasses import replace
import gc
from typing import Any

import numpy as np

from selavpr_model.config import ExtractorConfig, RecognizerConfig
from selavpr_model.errors import MapNotFoundError, SelaVPRError
from selavpr_model.records import Frame, Recognition
from selavpr_model.runtime.paths import expanded
from selavpr_ros.node.pipeline import drives, states
from selavpr_ros.node.pipeline.request import (
    fits,
    is_map,
    NO_MAP,
    NotReadyError,
    open_map,
    reason,
    Request,
    runs,
    unusable,
)
from selavpr_ros.node.pipeline.states import (
    Answer,
    Asset,
    Driving,
    Empty,
    Extractor,
    Localizing,
    Mapping,
    PlaceMap,
    Problem,
    State,
    Updating,
    Working,
)


class Pipeline:
    """One state at a time, swapped in one assignment; other threads may read `state`.

    Only the worker thread calls the methods. The transitions:

    event                     from                   to
    load                      any                    Localizing, or Mapping where SLAM is asked
    load, no map is named     Empty, Failed          Empty, or Mapping where SLAM is asked
    load, start_drive fails   Empty, Failed          Failed
    load, start_drive fails   Localizing, Mapping    the same, with the problem beside it
    load_map                  any with a model       Localizing, or Mapping where SLAM is asked
    load_map fails            any                    the same; it raises
    start_drive in SLAM       any with a model       Mapping
    start_drive to update     Localizing, Mapping    Updating
    end_drive                 Mapping                Localizing in the grown map; Empty without
                                                     a keyframe
    end_drive                 Updating               Localizing in the map with the new looks
    end_drive fails           Mapping, Updating      the same; it raises
    release                   any                    Empty; the same where the map was not saved

    Where load is asked for UPDATE it ends in Updating instead of Localizing. A changed map is
    saved before another map or model takes its place. The first model that loads is kept, whatever
    the map does. A problem with a later one stays until `load` loads a model.
    """

    def __init__(self) -> None:
        self.state: State = Empty(Problem(Asset.MODEL, states.NOT_LOADED))
        self._request: Request | None = None

    @property
    def extractor(self) -> Extractor | None:
        return self.state.extractor

    @property
    def place_map(self) -> PlaceMap | None:
        return self.state.place_map

    def problem(self, asset: Asset) -> str | None:
        """What is wrong with the model or the map; None where nothing is."""
        return states.problem_with(self.state, asset)

    def load(self, request: Request) -> None:
        """Make true what the parameters ask for, loading only that. Does not raise: see state."""
        if error := unusable(request.map):
            self._request = self._request or request
            return self._refuse(Asset.MAP, error)
        if isinstance(self.state, Driving):
            if not drives.is_other(self.state.place_map, self._request, request):
                self._request = request
                return
            self.leave_drive()
            if isinstance(self.state, Driving):  # it cannot be saved and stays
                return
        self._request = request
        extractor = self._try_model(request.extractor)
        if extractor is None:
            return
        try:
            self.state = self._with_map(request, extractor)
        except Exception as error:  # a MapError, or what the system says
            self._refuse(Asset.MAP, error, extractor)
        else:
            self.start_drive(request)

    def _try_model(self, config: ExtractorConfig) -> Extractor | None:
        """The model; None, with the problem in the state, where it does not load."""
        if self.extractor is not None and self.extractor.config == config:
            return self.extractor
        try:
            from selavpr_model.features.extractor import load_extractor

            extractor = load_extractor(config)
        except Exception as error:  # such as no torch, no file, no memory, no GPU
            self._refuse(Asset.MODEL, error)
            return None
        if self.extractor is None:  # it is kept even if the map turns out bad
            self.state = Empty(Problem(Asset.MAP, states.NOT_LOADED), extractor)
        return extractor

    def _with_map(self, request: Request, extractor: Extractor) -> State:
        """The state in which the requested map is used; raises what is wrong with it."""
        here = self.place_map
        kept = here.path if here is not None else None
        path = expanded(request.map) if request.map else kept
        if here is not None and path == kept and (path is None or fits(here, extractor)):
            return self._localizing(extractor, here, request)
        if request.slam is not None and path is not None and not is_map(path):
            drives.require_room(path, request.slam)
            return Empty(Problem(Asset.MAP, states.NEW_MAP), extractor)
        if path is not None:
            return self._localizing(extractor, open_map(path, extractor), request)
        return Empty(Problem(Asset.MAP, NO_MAP), extractor)

    def load_map(self, path: str, request: Request) -> None:
        """Replace the map; raises what is wrong with the new one, and then the old one stays, or
        what keeps one that grows from being saved first."""
        extractor = self.extractor
        if extractor is None and self._request is not None:
            extractor = self._try_model(request.extractor)
        if extractor is None:
            why = self.problem(Asset.MODEL) or states.NOT_CONFIGURED
            raise NotReadyError(f'no model to use the map with: {why}')
        place_map = open_map(expanded(path), extractor)
        if isinstance(self.state, Driving):
            self.end_drive()
            place_map = open_map(expanded(path), extractor)  # may have grown
        request = replace(request, map=path)
        self.state = states.after(self.state, self._localizing(extractor, place_map, request))
        self._request = request
        self.start_drive(request)

    def _localizing(
        self, extractor: Extractor, place_map: PlaceMap, request: Request
    ) -> Localizing:
        """A recogniser that runs with just these stays, and with it what it believes."""
        from selavpr_model.recognizer import PlaceRecognizer

        state = self.state
        if isinstance(state, Localizing) and runs(state.recognizer, extractor, place_map, request):
            return Localizing(state.recognizer)
        return Localizing(
            PlaceRecognizer(
                extractor, place_map, request.recognizer, request.temporal, request.geometry
            )
        )

    def _refuse(self, asset: Asset, error: Exception, extractor: Extractor | None = None) -> None:
        self.state = states.refused(self.state, Problem(asset, reason(error)), extractor)

    def configure_recognizer(self, request: Request) -> None:
        """New thresholds for the frames to come; forgets the temporal state when they differ. In
        SLAM they wait for its end.
        """
        if self._request is not None:
            self._request = replace(
                self._request, recognizer=request.recognizer, temporal=request.temporal,
                geometry=request.geometry,
            )  # fmt: skip
        state = self.state
        if isinstance(state, Localizing):
            changed = self._localizing(state.extractor, state.place_map, request)
            self.state = replace(changed, problem=state.problem)

    def process(self, frame: Frame, force_verification: bool = False) -> Answer:
        """Recognise a frame of the camera's stream; in SLAM it may become a place.

        force_verification: somebody waits for this answer, so geometry looks at it in any case.
        """
        return self._working().process(frame, force_verification)

    def overlay(self, recognition: Recognition) -> Any:
        """The matches of the last frame with its best place, for a picture; None without."""
        return self.state.overlay(recognition) if isinstance(self.state, Working) else None

    @property
    def ready(self) -> bool:
        return isinstance(self.state, Working)

    def start_drive(self, request: Request) -> None:
        """Let the map grow in SLAM, or get the looks of the drive: whatever is asked for.

        Does not raise: where the map could not be saved, the state says so and nothing begins.
        """
        asked = Updating if request.update is not None else Mapping
        if isinstance(self.state, Driving) and not isinstance(self.state, asked):
            self.leave_drive()
        try:
            if request.update is not None and isinstance(self.state, Localizing):
                update = drives.begin_update(self.state.recognizer, request)
                self.state = states.after(self.state, Updating(update))
            elif self.extractor is not None and not isinstance(self.state, Driving):
                slam = drives.begin_slam(self.extractor, self.place_map, request)
                if slam is not None:
                    self.state = states.after(self.state, Mapping(slam))
        except (SelaVPRError, OSError) as error:
            self._refuse(Asset.MAP, error)

    def leave_drive(self) -> None:
        """end_drive, with the problem in the state instead of raised."""
        try:
            self.end_drive()
        except (SelaVPRError, OSError) as error:
            self._refuse(Asset.MAP, error)

    def end_drive(self) -> None:
        """Save the changed map, where `map` says, and localise in it from now on.

        Raises, and lets the drive go on, where it can be saved nowhere.
        """
        state, request = self.state, self._request
        if not isinstance(state, Driving) or request is None:
            return
        changed = drives.changed_map(state)
        if changed is not None:
            drives.save(changed, state.session, request.map)
        place_map = state.place_map if changed is None else changed
        if len(place_map):
            after = self._localizing(state.extractor, place_map, request)
            self.state = states.after(state, after)
        else:
            self.state = Empty(Problem(Asset.MAP, states.ENDED_EMPTY), state.extractor)

    def query(self, frame: Frame) -> Answer:
        """Recognise a single image without touching the stream's temporal state."""
        from selavpr_model.recognizer import PlaceRecognizer

        now = self._recognizer()
        alone = PlaceRecognizer(now.extractor, now.place_map, now.config, geometry=now.geometry)
        return Answer(alone.process(frame, force_verification=True))

    def _recognizer(self) -> states.PlaceRecognizer:
        state = self._working()
        if isinstance(state, Mapping):
            raise NotReadyError(states.GROWING)
        return state.recognizer

    def _working(self) -> Working:
        if isinstance(self.state, Working):
            return self.state
        raise NotReadyError(self.state.problem.text)

    def save_map(self, path: str, overwrite: bool) -> None:
        """Write the map in use, with the looks so far; '' means where it came from."""
        place_map, problem = self.place_map, self.state.problem
        if place_map is None:
            raise MapNotFoundError(f'nothing to save: {problem.text if problem else NO_MAP}')
        origin = place_map.path or (self._request.map if self._request else '')
        if not path and not origin:
            raise MapNotFoundError('the map was never saved; give a path')
        drives.save_now(self.state, expanded(path or origin), overwrite)

    def keyframe_covariance(self) -> np.ndarray:
        """(6, 6) of taking a place's pose for the robot's: as measured on the map, else wide."""
        from selavpr_model.decision.calibration import keyframe_covariance

        place_map, request = self.place_map, self._request
        config = RecognizerConfig() if request is None else request.recognizer
        return keyframe_covariance(None if place_map is None else place_map.calibration, config)

    def reset(self) -> None:
        """Forget the temporal state, as after a jump of the clock."""
        if isinstance(self.state, Working):
            self.state.reset()

    def expect(self, T_map_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Somebody says where the camera is; no matter in SLAM and without a map."""
        if isinstance(self.state, Localizing | Updating):
            self.state.recognizer.expect(T_map_camera, covariance)

    def release(self) -> None:
        """Give the memory of model and map back; not of a grown map that can be saved nowhere."""
        self.leave_drive()
        if isinstance(self.state, Driving):
            return
        self.state, self._request = Empty(Problem(Asset.MODEL, states.NOT_CONFIGURED)), None
        gc.collect()
