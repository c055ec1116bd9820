# SPDX-License-Identifier: MIT
"""A map that grows while the robot drives, and the loops that close in it.

Live, from a bag and offline run `SlamSession.process`; all that depends on time counts stamps, so
that a replay repeats what a robot did.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
import logging

import numpy as np

from selavpr_model.decision.odometry_guard import OdometryGuard
from selavpr_model.features.extractor import Extractor
from selavpr_model.geometry.overlay import by_codes, MatchOverlay
from selavpr_model.geometry.records import Verifier
from selavpr_model.maps.building.keyframes import KeyframeSelector
from selavpr_model.maps.place_map import free_name, PlaceMap
from selavpr_model.maps.retrieval import Query
from selavpr_model.matching.nearest import as_cells, mutual
from selavpr_model.poses import inverse
from selavpr_model.records import Features, Frame, Place, Recognition
from selavpr_model.runtime.stages import StageClock
from selavpr_model.slam.growth import Growth
from selavpr_model.slam.odometry_track import TrackPoint
from selavpr_model.slam.records import SlamConfigs, SlamStep

logger = logging.getLogger(__name__)
BETWEEN = 'between two keyframes'
BROKEN = (
    'the odometry broke while a new map grows: keyframes from now on have poses of the new '
    'odometry, which do not fit those before until closures join the two; expected one unbroken '
    'odometry; where no closure comes, record the parts one by one and join them with '
    '`selavpr map merge`'
)


class SlamSession(Growth):
    """Adds keyframes to `place_map`, which may hold earlier sessions, and closes loops."""

    def __init__(
        self,
        extractor: Extractor,
        place_map: PlaceMap,
        configs: SlamConfigs | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """verifier: by default geometry, which knows the cameras of the frames and the map."""
        super().__init__(place_map, configs, verifier)  # the first keyframe names the run
        self.extractor = extractor
        self.odometry = OdometryGuard(self.configs.temporal)
        self._taken = place_map.sessions
        self._selector = KeyframeSelector(self.configs.keyframes)

    def process(self, frame: Frame) -> SlamStep:
        """Recognise a frame and make it a keyframe where it shows something new."""
        clock = StageClock()
        with clock.stage('forward'):
            features = self.extractor.extract(frame.image)
        with clock.stage('slam'):
            step = self.advance(frame, features)
        return replace(step, recognition=replace(step.recognition, timings_ns=clock.ns))

    def advance(self, frame: Frame, features: Features) -> SlamStep:
        """`process` after the extraction."""
        query = Query.of_frame(self.place_map, features)
        frame = replace(frame, odom=self.odometry.check(frame, query.view))
        if self.odometry.broken:
            self._track.break_off()
        point = self._track.locate(frame.stamp_ns, frame.odom)
        if not self._is_keyframe(frame, query.view):
            return SlamStep(Recognition(frame.stamp_ns, self._state, (), BETWEEN))
        self._straighten()
        self._begin(frame.stamp_ns, point)
        return self.add_keyframe(
            query, point, self._place(frame, point), partial(self._add, frame, features, point)
        )

    @property
    def belief(self) -> np.ndarray:
        """(n,) the probability of each of the places that were searched."""
        return self._belief.probabilities

    def overlay(self, answer: Recognition) -> MatchOverlay | None:
        """The matches of the last keyframe, whose answer this is, with its best place."""
        if self._last_view is None or not answer.candidates:
            return None
        row, size = answer.candidates[0].row, self.extractor.input_size
        return by_codes(self._last_view, row, self.place_map, size, self._matcher)

    def reset(self) -> None:
        """The clock jumped or the robot was carried: how it moved is not known."""
        super().reset()
        self.odometry.reset()

    def _is_keyframe(self, frame: Frame, view: np.ndarray) -> bool:
        """Moved enough, and sees something new."""
        if not self._selector.is_new(replace(frame, pose=None)):
            return False
        if self._last_view is None:
            return True
        matched, _ = mutual(as_cells(view), [as_cells(self._last_view)])
        if 1.0 - matched.mean() < self.configs.slam.novelty:
            return False
        self._observe_step(view)
        return True

    def _begin(self, stamp_ns: int, point: TrackPoint) -> None:
        """Name the run after its first keyframe, as no other run in the map is called: their
        odometry has nothing in common. Where odometry breaks in a run that is aligned with a map
        of earlier runs, what follows is another run."""
        goes_on = self._track.continues(point)
        if self.session and not self._first_row:
            if not goes_on and not point.blind:
                logger.warning('%s', BROKEN)
            return
        if self.session and (goes_on or self.session in self.place_map.unaligned_sessions):
            return
        self._taken = {*self._taken, self.session}
        self.session = free_name(self.configs.slam.session or f'slam-{stamp_ns}', self._taken)
        if self._first_row:  # how this run's odometry lies in the frame of the map is not known
            self.place_map.unaligned_sessions.add(self.session)

    def _place(self, frame: Frame, point: TrackPoint) -> Place:
        """What the frame is as a keyframe."""
        pose = None if point.blind else self._corrected(point)
        return Place(
            self.place_map.next_id, frame.stamp_ns, frame.name, self.session,
            frame.camera_frame, pose,
        )  # fmt: skip

    def _corrected(self, point: TrackPoint) -> np.ndarray:
        """(4, 4) where odometry leads from the last keyframe, whose pose may be corrected."""
        if not self._track.points or not self._track.continues(point):
            return point.pose
        last = self.place_map.places[-1].pose
        assert last is not None
        return last @ inverse(self._track.points[-1].pose) @ point.pose

    def _add(self, frame: Frame, features: Features, point: TrackPoint, place: Place) -> int:
        row = self.place_map.add(features, place, frame.image)
        if not point.blind:
            self.place_map.odometry.set(row, point.pose, point.segment)
        if frame.camera is not None:
            self.place_map.cameras.setdefault(self.session, frame.camera)
        return row
