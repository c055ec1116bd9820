# SPDX-License-Identifier: MIT
"""A map that grows while the robot drives, and the loops that close in it.

Live, from a bag and offline run `SlamSession.process`; all that depends on time counts stamps, so
that a replay repeats what a robot did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from selavpr_model.decision.belief import Moment, TemporalBelief
from selavpr_model.decision.confidence import Confidence
from selavpr_model.decision.confidence_fit import adapted, at_level, shipped, shipped_growing
from selavpr_model.decision.decide import Decider, Decision
from selavpr_model.decision.distinct import Viewpoints
from selavpr_model.decision.evidence import by_matches
from selavpr_model.decision.odometry_guard import OdometryGuard
from selavpr_model.decision.ranking import Ranked
from selavpr_model.features.extractor import Extractor
from selavpr_model.geometry.map_geometry import MapGeometry
from selavpr_model.geometry.overlay import by_codes, MatchOverlay
from selavpr_model.geometry.records import Geometry, Verifier
from selavpr_model.maps.building.keyframes import KeyframeSelector
from selavpr_model.maps.place_map import (
    free_name,
    PlaceMap,
    shown,
    shown_answer,
    shown_closure,
)
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.matching.nearest import as_cells, mutual
from selavpr_model.records import Features, Frame, LoopClosure, Place, Recognition, State
from selavpr_model.runtime.stages import StageClock
from selavpr_model.slam.closures import ClosureJudge
from selavpr_model.slam.odometry_track import OdometryTrack, points_of, TrackPoint
from selavpr_model.slam.records import SlamConfigs, SlamStep, View

BETWEEN = 'between two keyframes'
TOO_FEW = 'too few places to look for'


class SlamSession:
    """Adds keyframes to `place_map`, which may hold earlier sessions, and closes loops."""

    def __init__(
        self,
        extractor: Extractor,
        place_map: PlaceMap,
        configs: SlamConfigs | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """verifier: by default geometry, which knows the cameras of the frames and the map."""
        self.extractor, self.place_map = extractor, place_map
        self.configs = configs or SlamConfigs()
        config, temporal = self.configs.slam, self.configs.temporal
        recognizer = self.configs.recognizer
        self.session = ''  # named by the first keyframe
        self._taken = place_map.sessions
        self._selector = KeyframeSelector(self.configs.keyframes)
        self._points = points_of(place_map.places, temporal.speed_mps)  # of each row of the map
        self._first_row = len(self._points)
        first_segment = 1 + max((p.segment for p in self._points), default=-1)
        self._track = OdometryTrack(config, temporal.speed_mps, first_segment)
        self.odometry = OdometryGuard(temporal)
        self._belief = TemporalBelief(
            np.empty((0, 4, 4)), temporal, recognizer.distinct_radius_m,
            recognizer.distinct_angle_deg, evidence=by_matches,
        )  # fmt: skip
        self._grow(self._first_row)
        self._belief.reset()
        self._decider = Decider(self._belief, config.min_belief)
        self._matcher = place_map.matcher(recognizer.score, quick=True)
        self._geometry = MapGeometry(place_map, self.configs.geometry)
        self._general = adapted(shipped())  # for the places of earlier runs
        verifier = verifier or self._verify
        self._judge = ClosureJudge(config, self._points, self._count, verifier, temporal)
        self._last_view: np.ndarray | None = None
        self._state = State.LOST

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
        point = self._track.locate(frame)
        if not self._is_keyframe(frame, query.view):
            return SlamStep(Recognition(frame.stamp_ns, self._state, (), BETWEEN))
        self._begin(frame.stamp_ns)
        here = self._place(frame, point)
        decision = self._decide(point, query.view, self._search(query, point, here))
        row = self._add(here, frame, features, point)
        closures = self._close(View(here, row, point, decision.ranked), decision)
        self._last_view, self._state = query.view, decision.answer.state
        answer = shown_answer(decision.answer, self.place_map)
        return SlamStep(answer, closures, shown(here, self.place_map))

    @property
    def added(self) -> int:
        """Places of this run."""
        return len(self._track.points)

    @property
    def searched(self) -> int:
        """Places of this run among which the last keyframe was looked for."""
        return len(self._belief) - self._first_row

    @property
    def belief(self) -> np.ndarray:
        """(n,) the probability of each of the places that were searched."""
        return self._belief.probabilities

    @property
    def last_pose(self) -> np.ndarray:
        """(4, 4) of the last keyframe, by odometry; without it, along a line."""
        return self._track.points[-1].pose

    def overlay(self, answer: Recognition) -> MatchOverlay | None:
        """The matches of the last keyframe, whose answer this is, with its best place."""
        if self._last_view is None or not answer.candidates:
            return None
        row, size = answer.candidates[0].row, self.extractor.input_size
        return by_codes(self._last_view, row, self.place_map, size, self._matcher)

    def reset(self) -> None:
        """The clock jumped or the robot was carried: how it moved is not known."""
        self._track.break_off()
        self.odometry.reset()
        self._belief.reset()
        self._judge.reset()

    def _is_keyframe(self, frame: Frame, view: np.ndarray) -> bool:
        """Moved enough, and sees something new."""
        if not self._selector.is_new(replace(frame, pose=None)):
            return False
        if self._last_view is None:
            return True
        matched, _ = mutual(as_cells(view), [as_cells(self._last_view)])
        if 1.0 - matched.mean() < self.configs.slam.novelty:
            return False
        self._judge.observe_step(int(self._matcher.count(view, [self._last_view])[0]))
        return True

    def _begin(self, stamp_ns: int) -> None:
        """Name the run after its first keyframe, as no other run in the map is called: their
        odometry has nothing in common."""
        if self.session:
            return
        self.session = free_name(self.configs.slam.session or f'slam-{stamp_ns}', self._taken)
        if self._first_row:  # how this run's odometry lies in the frame of the map is not known
            self.place_map.unaligned_sessions.add(self.session)

    def _grow(self, rows: int) -> None:
        """Let the belief know the places up to this row."""
        new = self._points[len(self._belief) : rows]
        if new:
            poses = np.stack([point.pose for point in new])
            self._belief.grow(poses, np.array([point.segment for point in new]))

    def _search(self, query: Query, point: TrackPoint, here: Place) -> Ranked:
        """The places that are not recent, ranked.

        Recent ones are matched, too, where they were left behind. They show what a wrong answer
        looks like, when few other places are known and when a straight street looks alike for
        longer than places are recent.
        """
        config, old = self.configs.recognizer, self._first_row + self._track.searchable(point)
        self._grow(old)
        if old < self.configs.slam.min_places:
            return Ranked.of((), config)
        is_old = np.arange(len(self.place_map)) < old
        left = self._left(point, here, old)
        return ranked(
            self.place_map, query, self._matcher, config, is_old, left, frame_of=self._frame_of
        )

    def _left(self, point: TrackPoint, here: Place, old: int) -> np.ndarray:
        """(N,) bool, places from row `old` on that this segment's odometry puts elsewhere."""
        left = np.zeros(len(self.place_map), bool)
        rows = [r for r in range(old, len(left)) if self._points[r].segment == point.segment]
        recent = Viewpoints.of([self.place_map.places[row] for row in rows])
        left[rows] = recent.from_one(Viewpoints.of([here]), self.configs.recognizer)
        return left

    def _frame_of(self, row: int) -> str:
        """The frame of a place's pose: the map's, an earlier run's or that of a segment."""
        place = self.place_map.places[row]
        if row < self._first_row:
            return self.place_map.frame_of(place)
        return f'{place.session}/{self._points[row].segment}'

    def _decide(self, point: TrackPoint, view: np.ndarray, places: Ranked) -> Decision:
        if not self._track.continues(point):
            self._belief.lose_track()
        moment = Moment(point.stamp_ns, None if point.blind else point.pose, view)
        return self._decider.decide(moment, places, self._confidence(places), None, TOO_FEW)

    def _confidence(self, places: Ranked) -> Confidence:
        """The model for a frame's candidates. An earlier run was in another light, where matches
        with this run's own keyframes are no measure.
        """
        usual, candidates = self._judge.step_matches, places.candidates
        if not candidates or candidates[0].place.session != self.session or usual is None:
            return self._general
        return at_level(shipped_growing(), usual / self._matcher.overlap)

    def _close(self, view: View, decision: Decision) -> tuple[LoopClosure, ...]:
        """The closures of a keyframe that was added; the belief learns of the verified ones."""
        closures = self._judge.step(view, decision.belief)
        for rows in self._judge.verified:
            self._belief.link(*rows)
        self._judge.verified.clear()
        return tuple(shown_closure(closure, self.place_map) for closure in closures)

    def _count(self, row: int, others: Sequence[int]) -> np.ndarray:
        """Matches of a place with others, (n,)."""
        return self._matcher.count(self.place_map.codes([row])[0], self.place_map.codes(others))

    def _verify(self, *, before: int, after: int, rival: int | None) -> Geometry | None:
        """With the keyframes beside `before`, whose odometry makes the closure metric."""
        beside = self._beside(before)
        return self._geometry(before=before, after=after, rival=rival, beside=beside)

    def _beside(self, row: int) -> list[int]:
        """Rows next to a place, nearest first, of the same segment of odometry."""
        here = self._points[row]
        if here.blind:
            return []
        steps = range(1, 1 + self.configs.geometry.keyframes // 2)
        rows = [other for step in steps for other in (row - step, row + step)]
        mapped = [other for other in rows if 0 <= other < len(self._points)]
        return [other for other in mapped if self._points[other].segment == here.segment]

    def _place(self, frame: Frame, point: TrackPoint) -> Place:
        """What the frame is as a keyframe."""
        pose = None if point.blind else point.pose
        return Place(
            self.place_map.next_id, frame.stamp_ns, frame.name, self.session,
            frame.camera_frame, pose,
        )  # fmt: skip

    def _add(self, place: Place, frame: Frame, features: Features, point: TrackPoint) -> int:
        """The row of the keyframe."""
        row = self.place_map.add(features, place, frame.image)
        if frame.camera is not None:
            self.place_map.cameras.setdefault(self.session, frame.camera)
        self._track.add(point)
        self._points.append(point)
        return row
