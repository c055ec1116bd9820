# SPDX-License-Identifier: MIT
"""What the pipeline may be in. Frozen: a reader in another thread sees one of them, whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
import enum
from typing import Any, TypeAlias

from selavpr_model.records import Frame, LoopClosure, Place, Recognition

# Classes of selavpr_model by these names. Their modules need torch and are imported late: a robot
# without torch gets a node that says how to install it.
Extractor: TypeAlias = Any
PlaceMap: TypeAlias = Any
PlaceRecognizer: TypeAlias = Any
SlamSession: TypeAlias = Any
UpdateSession: TypeAlias = Any

NOT_LOADED = 'not loaded yet'
NOT_CONFIGURED = 'not loaded: the node is not configured'
NEW_MAP = 'a new map is about to grow'
ENDED_EMPTY = 'no map: SLAM ended before its first keyframe'
GROWING = 'a growing map answers no single images; leave SLAM first'


class Asset(enum.Enum):
    """What the pipeline needs before it can recognise a place."""

    MODEL = 'model'
    MAP = 'map'


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A recognition; in SLAM with the closures of the frame and the place it became, if one."""

    recognition: Recognition
    closures: tuple[LoopClosure, ...] | None = None
    keyframe: Place | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the model or the map asked for is not in use. text: the reason and the cure."""

    asset: Asset
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Empty:
    """No map is in use, as none was asked for or the last one is gone."""

    problem: Problem
    extractor: Extractor | None = None

    @property
    def place_map(self) -> None:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Localizing:
    """Places of a fixed map are recognised. problem: of a later request that changed nothing."""

    recognizer: PlaceRecognizer
    problem: Problem | None = None

    @property
    def extractor(self) -> Extractor:
        return self.recognizer.extractor

    @property
    def place_map(self) -> PlaceMap:
        return self.recognizer.place_map

    def process(self, frame: Frame, force_verification: bool) -> Answer:
        return Answer(self.recognizer.process(frame, force_verification))

    def overlay(self, recognition: Recognition) -> Any:
        return self.recognizer.overlay(recognition)

    def reset(self) -> None:
        self.recognizer.reset()


@dataclass(frozen=True, slots=True, eq=False)
class Updating:
    """Places are recognised, and the looks of this drive collected for the map.

    problem: of a later request that changed nothing.
    """

    update: UpdateSession
    problem: Problem | None = None

    @property
    def recognizer(self) -> PlaceRecognizer:
        return self.update.recognizer

    @property
    def session(self) -> str:
        return str(self.update.session)

    @property
    def extractor(self) -> Extractor:
        return self.recognizer.extractor

    @property
    def place_map(self) -> PlaceMap:
        return self.recognizer.place_map

    def process(self, frame: Frame, force_verification: bool) -> Answer:
        return Answer(self.update.process(frame, force_verification=force_verification))

    def overlay(self, recognition: Recognition) -> Any:
        return self.recognizer.overlay(recognition)

    def reset(self) -> None:
        self.update.reset()


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """SLAM: the map grows. problem: of a later request that changed nothing."""

    slam: SlamSession
    problem: Problem | None = None

    @property
    def extractor(self) -> Extractor:
        return self.slam.extractor

    @property
    def place_map(self) -> PlaceMap:
        return self.slam.place_map

    @property
    def session(self) -> str:
        return str(self.slam.session)

    def process(self, frame: Frame, force_verification: bool) -> Answer:
        step = self.slam.process(frame)
        return Answer(step.recognition, step.closures, step.place)

    def overlay(self, recognition: Recognition) -> Any:
        return self.slam.overlay(recognition)

    def reset(self) -> None:
        self.slam.reset()


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """The model or the map asked for cannot be used, and none was in use before."""

    problem: Problem
    extractor: Extractor | None = None

    @property
    def place_map(self) -> None:
        return None


State = Empty | Localizing | Updating | Mapping | Failed
Working = Localizing | Updating | Mapping
Driving = Updating | Mapping  # what is to be saved when it ends


def problem_with(state: State, asset: Asset) -> str | None:
    """What is wrong with the model or the map; None where nothing is."""
    problem = state.problem
    return problem.text if problem is not None and problem.asset is asset else None


def refused(state: State, problem: Problem, extractor: Extractor | None = None) -> State:
    """The state after a request that failed: what works goes on, with the problem beside it.

    extractor: a model that was loaded on the way.
    """
    if isinstance(state, Working):
        return replace(state, problem=problem)
    return Failed(problem, extractor or state.extractor)


def odometry_is_frozen(state: State) -> bool:
    """Whether the odometry of the last frame stood still while the view changed."""
    if isinstance(state, Mapping):
        return bool(state.slam.odometry.frozen)
    return isinstance(state, Localizing | Updating) and bool(state.recognizer.odometry.frozen)


def after(before: State, state: Working) -> State:
    """The state when another map is in use; it cures no problem with the model."""
    problem = before.problem
    return state if problem_with(before, Asset.MODEL) is None else replace(state, problem=problem)
