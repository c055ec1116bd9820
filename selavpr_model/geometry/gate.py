# SPDX-License-Identifier: MIT
"""Which answers geometry looks at, and how long its verdict holds; see `GeometryGate.check`."""

from __future__ import annotations

import numpy as np

from selavpr_model.config import GeometryConfig, RecognizerConfig
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.geometry.map_geometry import MapGeometry, TwoView
from selavpr_model.geometry.verdict import verified, verified_alone, withheld
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Camera, Place, Recognition, State
from selavpr_model.runtime.budget import Budget


class GeometryGate:
    """Between the decision of a recogniser and its answer.

    A look takes many times as long as a frame, so only decisions are looked at: the first one
    after the robot was LOST, then as often as the budget allows, and whatever was asked
    for. Until the next look the last verdict holds for as long as the robot is not LOST, or where
    it is back at the same place; without a verdict nobody is LOCALIZED.
    """

    def __init__(
        self, place_map: PlaceMap, config: GeometryConfig, recognizer: RecognizerConfig
    ) -> None:
        self._geometry = MapGeometry(place_map, config, place_map.unaligned_sessions)
        self._config, self._recognizer = config, recognizer
        self._budget = Budget(config.verifications_per_s)
        self.view: TwoView | None = None  # of the last frame, where geometry looked
        self.reset()

    def reset(self) -> None:
        """Nothing leads from the frames so far to the next ones."""
        self._place: Place | None = None  # the last one that a verdict holds for
        self._refused = ''  # why it was turned down
        self._tracked = False  # not LOST since the last verdict

    def check(
        self, answer: Recognition, local: np.ndarray, camera: Camera | None, asked: bool = False
    ) -> Recognition:
        """The answer with geometry's verdict; local: (h, w, C) of the frame.

        Unchanged where the camera of the frame or of the place is not known.
        """
        self.view = None
        self._budget.earn(answer.stamp_ns * 1e-9)
        if answer.state is not State.LOCALIZED:
            self._tracked &= answer.state is not State.LOST
            if asked and answer.alone is State.LOCALIZED and camera is not None:
                return verified_alone(answer, self._geometry, local, camera, self._recognizer)
            return answer
        place = answer.candidates[0].place
        if camera is None or not self._geometry.knows(place):
            return answer
        if asked or self._budget.is_there:
            return self._look(answer, local, camera)
        return self._held(answer, place)

    def _look(self, answer: Recognition, local: np.ndarray, camera: Camera) -> Recognition:
        self._budget.spend()
        answer, self.view = verified(answer, self._geometry, local, camera, self._recognizer)
        self._place, self._tracked = answer.candidates[0].place, True
        self._refused = '' if answer.state is State.LOCALIZED else answer.reason
        return answer

    def _held(self, answer: Recognition, place: Place) -> Recognition:
        """What the last verdict makes of an answer that is not looked at."""
        known = self._place is not None and (
            self._tracked or not are_distinct(self._place, place, self._recognizer)
        )
        if not known:
            return withheld(answer, 'geometry has not looked at this place yet', False)
        self._place, self._tracked = place, True
        return withheld(answer, self._refused, True) if self._refused else answer
