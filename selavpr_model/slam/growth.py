# SPDX-License-Identifier: MIT
"""What a keyframe closes in a map that grows, whoever took it: a camera now, or an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from selavpr_model.decision.belief import Moment, TemporalBelief
from selavpr_model.decision.confidence import Confidence
from selavpr_model.decision.confidence_fit import adapted, at_level, shipped, shipped_growing
from selavpr_model.decision.decide import Decider, Decision
from selavpr_model.decision.distinct import Viewpoints
from selavpr_model.decision.evidence import by_matches
from selavpr_model.decision.ranking import Ranked
from selavpr_model.geometry.map_geometry import MapGeometry
from selavpr_model.geometry.records import Geometry, Verifier
from selavpr_model.maps.building.self_view import AUTO, LEAST_PLACES, mask_of
from selavpr_model.maps.place_map import PlaceMap, shown, shown_answer, shown_closure
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.records import ClosureKind, LoopClosure, Place, State
from selavpr_model.slam.closures import ClosureJudge
from selavpr_model.slam.odometry_track import OdometryTrack, points_of, TrackPoint
from selavpr_model.slam.records import SlamConfigs, SlamStep, View
from selavpr_model.slam.straight import Report, Straightener

TOO_FEW = 'too few places to look for'


class Growth:
    """A run in `place_map`, which may hold earlier ones: each keyframe is looked for and added."""

    def __init__(
        self,
        place_map: PlaceMap,
        configs: SlamConfigs | None = None,
        verifier: Verifier | None = None,
        session: str = '',
    ) -> None:
        """verifier: by default geometry, which knows the cameras of the frames and the map;
        session: the name of the run in the map."""
        self.place_map, self.configs = place_map, configs or SlamConfigs()
        config, temporal = self.configs.slam, self.configs.temporal
        recognizer = self.configs.recognizer
        self.session = session
        self._points = points_of(  # of each row of the map
            place_map.places, temporal.speed_mps, place_map.unaligned_sessions
        )
        self._first_row = len(self._points)
        first_segment = 1 + max((p.segment for p in self._points), default=-1)
        self._track = OdometryTrack(config, temporal.speed_mps, first_segment)
        self._belief = TemporalBelief(
            np.empty((0, 4, 4)), temporal, recognizer.distinct_radius_m,
            recognizer.distinct_angle_deg, evidence=by_matches,
        )  # fmt: skip
        self._grow(self._first_row)
        self._belief.reset()
        self._decider = Decider(self._belief, config.min_belief)
        self._sees_itself = place_map.config.robot_mask == AUTO and place_map.robot_mask is None
        self._look_at = LEAST_PLACES  # keyframes
        if place_map.robot_mask is None and not self._sees_itself:
            place_map.robot_mask = mask_of(place_map, recognizer)
        self._matcher = place_map.matcher(recognizer.score, quick=True)
        self._geometry = MapGeometry(place_map, self.configs.geometry)
        self._general = adapted(shipped())  # for the places of earlier runs
        verifier = verifier or self._verify
        self._judge = ClosureJudge(config, self._points, self._count, verifier, temporal)
        self._join()
        self._straightener = Straightener(place_map, self.configs.graph, self._first_row)
        self._last_view: np.ndarray | None = None
        self._state = State.LOST

    def add_keyframe(
        self, query: Query, point: TrackPoint, here: Place, add: Callable[[Place], int]
    ) -> SlamStep:
        """What a keyframe says; add: makes it a row of the map."""
        decision = self._decide(point, query.view, self._search(query, point, here))
        row = add(here)
        self._track.add(point)
        self._points.append(point)
        self._look_for_itself()
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
    def last_pose(self) -> np.ndarray:
        """(4, 4) of the last keyframe, by odometry; without it, along a line."""
        return self._track.points[-1].pose

    def finish(self) -> Report | None:
        """Make the map straight with all that is known by now; None where that is switched off."""
        return self._straightener.finish()

    def reset(self) -> None:
        """The clock jumped or the robot was carried: how it moved is not known."""
        self._track.break_off()
        self._belief.reset()
        self._judge.reset()

    def _straighten(self) -> None:
        """Before a keyframe: the map as it is known by now, and which closures hold in it."""
        if self._straightener.step():
            self._join()

    def _join(self) -> None:
        """Closures of the map join places, but for those that the pose graph refused."""
        self._belief.relink(self.place_map.joined)
        self._judge.relink(self.place_map.joined)

    def _observe_step(self, view: np.ndarray) -> None:
        assert self._last_view is not None
        self._judge.observe_step(int(self._matcher.count(view, [self._last_view])[0]))

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
        asked, old = self.configs.recognizer, self._first_row + self._track.searchable(point)
        # closures ask of each place in between whether it is still in view
        config = replace(asked, first_candidates=asked.candidates)
        self._grow(old)
        if old < self.configs.slam.min_places:
            return Ranked.of((), config)
        is_old = np.arange(len(self.place_map)) < old
        left = self._left(point, here, old)
        return ranked(
            self.place_map, query, self._matcher, config, is_old, left, frame_of=self._frame_of
        )

    def _look_for_itself(self) -> None:
        """Find the robot in its images when there are enough, and whenever they have doubled."""
        count = len(self.place_map)
        if not self._sees_itself or count < self._look_at:
            return
        self._look_at = 2 * count
        self.place_map.robot_mask = mask_of(self.place_map, self.configs.recognizer)
        self._matcher = self.place_map.matcher(self.configs.recognizer.score, quick=True)

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
        aligned = self._first_row and place.session not in self.place_map.unaligned_sessions
        if row < self._first_row or aligned:
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
        verified = [c for c in closures if c.kind is ClosureKind.VERIFIED]
        for rows, closed in zip(self._judge.verified, verified, strict=True):
            self._belief.link(*rows)
            self._straightener.link(*rows, closed, self._track.spacing_m)
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
        """Rows next to a place, nearest first, of the same run and segment of odometry."""
        here, session = self._points[row], self.place_map.places[row].session
        if here.blind:
            return []
        steps = range(1, 1 + self.configs.geometry.keyframes // 2)
        rows = [other for step in steps for other in (row - step, row + step)]
        mapped = [other for other in rows if 0 <= other < len(self._points)]
        near = [other for other in mapped if self._points[other].segment == here.segment]
        return [other for other in near if self.place_map.places[other].session == session]
