# SPDX-License-Identifier: MIT
"""Which answers geometry looks at, and how long its verdict holds; see `GeometryGate.check`."""

from __future__ import annotations

import numpy as np

from selavpr_model.config import GeometryConfig, RecognizerConfig
from selavpr_model.decision.distinct import are_distinct
from selavpr_model.decision.ranking import Ranked
from selavpr_model.geometry.map_geometry import MapGeometry, TwoView
from selavpr_model.geometry.verdict import Look, verified, verified_alone, withheld
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Camera, Place, Recognition, State
from selavpr_model.runtime.budget import Budget


class GeometryGate:
    """Between the decision of a recogniser and its answer.

    A look takes many times as long as a frame. So only decisions are looked at: the first one
    after the robot was LOST, then as often as the budget allows, and each for which a look is
    forced. Until the next look the last verdict holds while the robot is not LOST, and where it is
    back at the same place. Without a verdict nobody is LOCALIZED.
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
        self._refused: str | None = None  # why it was turned down, None where it was not
        self._tracked = False  # not LOST since the last verdict

    def check(
        self,
        answer: Recognition,
        ranked: Ranked,
        local: np.ndarray,
        camera: Camera | None,
        force_verification: bool = False,
    ) -> Recognition:
        """The answer with geometry's verdict.

        ranked: the candidates of the frame; local: (h, w, C) of it. Unchanged where the camera of
        the frame or of the place is not known.
        """
        self.view = None
        self._budget.earn(answer.stamp_ns * 1e-9)
        if answer.state is not State.LOCALIZED:
            self._tracked &= answer.state is not State.LOST
            if force_verification and answer.alone is State.LOCALIZED and camera is not None:
                look = Look(self._geometry, ranked, local, camera)
                return verified_alone(answer, look, self._recognizer)
            return answer
        place = answer.candidates[0].place
        if camera is None or not self._geometry.knows(place):
            return answer
        if force_verification or self._budget.is_there:
            return self._verified(answer, Look(self._geometry, ranked, local, camera))
        return self._held(answer, place)

    def _verified(self, answer: Recognition, look: Look) -> Recognition:
        self._budget.spend()
        answer, self.view = verified(answer, look, self._recognizer)
        self._place, self._tracked = answer.candidates[0].place, True
        self._refused = None if answer.state is State.LOCALIZED else answer.reason
        return answer

    def _held(self, answer: Recognition, place: Place) -> Recognition:
        """What the last verdict makes of an answer that is not looked at."""
        holds = self._place is not None and (
            self._tracked or not are_distinct(self._place, place, self._recognizer)
        )
        if not holds:
            return withheld(answer, 'geometry has not looked at this place yet', False)
        self._place, self._tracked = place, True
        return answer if self._refused is None else withheld(answer, self._refused, True)
