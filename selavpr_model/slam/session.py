# SPDX-License-Identifier: MIT
"""A map that grows while the robot drives, and the loops that close in it.

Live, from a bag and offline run `SlamSession.process`; all that depends on time counts stamps, so
that a replay repeats what a robot did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import math

import numpy as np

from selavpr_model.decision.belief import Belief, TemporalBelief
from selavpr_model.decision.confidence import assured, Confidence, over_time
from selavpr_model.decision.confidence_fit import adapted, at_level, growing, shipped
from selavpr_model.decision.decide import follow
from selavpr_model.decision.distinct import distinct_from
from selavpr_model.decision.ranking import rerank
from selavpr_model.features.extractor import Extractor
from selavpr_model.geometry.map_geometry import MapGeometry
from selavpr_model.geometry.overlay import by_codes, Joined
from selavpr_model.maps.building.keyframes import KeyframeSelector
from selavpr_model.maps.place_map import (
    framed,
    free_name,
    PlaceMap,
    shown,
    shown_answer,
    shown_closure,
)
from selavpr_model.matching.nearest import as_cells, mutual
from selavpr_model.records import (
    Candidate,
    Features,
    Frame,
    Place,
    Recognition,
    State,
)
from selavpr_model.runtime.stages import StageClock
from selavpr_model.slam.closures import ClosureJudge
from selavpr_model.slam.records import Geometry, Verifier, View
from selavpr_model.slam.slam_records import SlamConfigs, SlamStep
from selavpr_model.slam.trail import Spot, spots_of, Trail


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
        self.session = ''  # named by the first keyframe
        self._taken = place_map.sessions
        self._selector = KeyframeSelector(self.configs.keyframes)
        old = spots_of(place_map.places, temporal.speed_mps)
        self._trail = Trail(config, temporal.speed_mps, 1 + max((s.leg for s in old), default=-1))
        self._spots = old  # of each row of the map
        self._first_row = len(old)
        self._belief = TemporalBelief(
            np.empty((0, 4, 4)), temporal, self.configs.recognizer.distinct_radius_m,
            self.configs.recognizer.distinct_angle_deg,
        )  # fmt: skip
        self._grow(len(old))
        self._belief.reset()
        self._matcher = place_map.matcher(self.configs.recognizer.score, quick=True)
        self._geometry = MapGeometry(place_map, self.configs.geometry)
        self._general = adapted(shipped())  # for the places of earlier runs
        self._judge = ClosureJudge(
            config, self._spots, self._count, verifier or self._verify, self.configs.recognizer
        )
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
        spot = self._trail.locate(frame)
        view = self.place_map.code(features)
        if not self._is_keyframe(frame, view):
            return SlamStep(Recognition(frame.stamp_ns, self._state, (), 'between two keyframes'))
        self.session = self.session or self._name(frame.stamp_ns)
        if self._first_row:  # how this run's odometry lies in the frame of the map is not known
            self.place_map.unaligned_sessions.add(self.session)
        here = self._place(frame, spot)
        alone = self._search(features, view, spot, here)
        belief = self._believe(spot, alone, view)
        candidates = self._over_time(alone, belief)
        recognition = self._decide(frame, candidates, belief)
        if alone:
            recognition = replace(recognition, alone_confidence=alone[0].confidence)
        self._add(here, frame, features, spot)
        seen = View(here, len(self.place_map) - 1, spot, tuple(candidates))
        closures = self._judge.step(seen, belief, self.configs.temporal)
        for closure in self._judge.verified:
            self._belief.link(*closure)
        self._judge.verified.clear()
        self._last_view, self._state = view, recognition.state
        told = tuple(shown_closure(closure, self.place_map) for closure in closures)
        answer = shown_answer(recognition, self.place_map)
        return SlamStep(answer, told, shown(here, self.place_map))

    @property
    def added(self) -> int:
        """Places of this run."""
        return len(self._trail.spots)

    @property
    def searched(self) -> int:
        """Places of this run among which the last keyframe was looked for."""
        return len(self._belief) - self._first_row

    @property
    def last_pose(self) -> np.ndarray:
        """(4, 4) of the last keyframe, by odometry; without it, along a line."""
        return self._trail.spots[-1].pose

    def joined(self, answer: Recognition) -> Joined | None:
        """What joins the last keyframe, whose answer this is, with its best place."""
        if self._last_view is None or not answer.candidates:
            return None
        row, size = answer.candidates[0].row, self.extractor.input_size
        return by_codes(self._last_view, row, self.place_map, size, self._matcher)

    def reset(self) -> None:
        """The clock jumped or the robot was carried: how it moved is not known."""
        self._trail.break_off()
        self._belief.reset()
        self._judge.reset()

    def _is_keyframe(self, frame: Frame, view: np.ndarray) -> bool:
        """Moved enough, and sees something new."""
        if not self._selector.is_new(replace(frame, pose=None)):
            return False
        if self._last_view is None:
            return True
        found, _ = mutual(as_cells(view), [as_cells(self._last_view)])
        if 1.0 - found.mean() < self.configs.slam.novelty:
            return False
        self._judge.observe_step(int(self._matcher.count(view, [self._last_view])[0]))
        return True

    def _grow(self, rows: int) -> None:
        """Let the belief know the places up to this row."""
        new = self._spots[len(self._belief) : rows]
        if new:
            poses = np.stack([spot.pose for spot in new])
            self._belief.grow(poses, np.array([spot.leg for spot in new]))

    def _search(
        self, features: Features, view: np.ndarray, spot: Spot, here: Place
    ) -> list[Candidate]:
        """Re-ranked candidates among the places that are not recent, best first.

        The recent ones are matched, too: those that were left behind show what a wrong answer
        looks like, when few other places are known and when a straight street looks alike for
        longer than places are recent.
        """
        old = self._first_row + self._trail.searchable(spot)
        self._grow(old)
        if old < self.configs.slam.min_places:
            return []
        recent = len(self.place_map) - old
        config = self.configs.recognizer
        rows, similarities = self.place_map.search(features.global_, config.candidates + recent)
        left = self._left(spot, here, old)
        found = [(r, s) for r, s in zip(rows.tolist(), similarities, strict=True)]
        chosen = [one for one in found if one[0] < old][: config.candidates]
        chosen += [one for one in found if one[0] in left]
        candidates = [
            Candidate(self._framed(row), row, float(similarity), rank)
            for rank, (row, similarity) in enumerate(chosen)
        ]
        ranked, elsewhere = (
            self._ranked(view, [c for c in candidates if (c.row in left) is way])
            for way in (False, True)
        )
        return self._assured(ranked, elsewhere)

    def _ranked(self, view: np.ndarray, candidates: list[Candidate]) -> list[Candidate]:
        codes = self.place_map.codes([c.row for c in candidates])
        return rerank(view, codes, candidates, self._matcher, self.configs.recognizer.ties)

    def _left(self, spot: Spot, here: Place, old: int) -> set[int]:
        """Rows from `old` on that are sure to show another place, by this leg's odometry."""
        recent = [r for r in range(old, len(self._spots)) if self._spots[r].leg == spot.leg]
        others = [self._framed(row) for row in recent]
        apart = distinct_from(here, others, self.configs.recognizer)
        return {row for row, distinct in zip(recent, apart, strict=True) if distinct}

    def _assured(self, ranked: list[Candidate], elsewhere: list[Candidate]) -> list[Candidate]:
        return assured(ranked, self._sure(ranked), self.configs.recognizer, elsewhere)

    def _sure(self, ranked: list[Candidate]) -> Confidence:
        """The model for a frame's candidates. An earlier run was in another light, where matches
        with this run's own keyframes are no measure.
        """
        usual = self._judge.step_matches
        if not ranked or ranked[0].place.session != self.session or usual is None:
            return self._general
        return at_level(growing(), usual / self._matcher.overlap)

    def _over_time(self, alone: list[Candidate], belief: Belief | None) -> list[Candidate]:
        if belief is None:
            return alone
        return list(over_time(alone, belief.rows, self._belief.mass_of, self._sure(alone)))

    def _count(self, row: int, others: Sequence[int]) -> np.ndarray:
        """Matches of a place with others, (n,)."""
        return self._matcher.count(self.place_map.codes([row])[0], self.place_map.codes(others))

    def _verify(self, before: int, after: int, rival: int | None) -> Geometry | None:
        """With the keyframes beside `before`, whose odometry makes the closure metric."""
        return self._geometry(before, after, self._beside(before), rival)

    def _beside(self, row: int) -> list[int]:
        """Rows next to a place, nearest first, of the same stretch of odometry."""
        here = self._spots[row]
        if here.blind:
            return []
        steps = range(1, 1 + self.configs.geometry.keyframes // 2)
        rows = [other for step in steps for other in (row - step, row + step)]
        known = [other for other in rows if 0 <= other < len(self._spots)]
        return [other for other in known if self._spots[other].leg == here.leg]

    def _believe(self, spot: Spot, candidates: list[Candidate], view: np.ndarray) -> Belief | None:
        if not candidates:
            return None
        if self._trail.spots and self._trail.spots[-1].leg != spot.leg:
            self._belief.lose_track()
        odom = None if spot.blind else spot.pose
        # the belief of a growing map goes by how far matches stand out, as closures do
        alone = [replace(c, confidence=math.nan) for c in candidates]
        return self._belief.update(spot.stamp_ns, alone, odom, view)

    def _decide(
        self, frame: Frame, candidates: list[Candidate], belief: Belief | None
    ) -> Recognition:
        if belief is None:
            return Recognition(frame.stamp_ns, State.LOST, (), 'too few places to look for')
        needed, config = self.configs.slam.min_belief, self.configs.recognizer
        judged, state, reason = follow(candidates, belief, needed, config)
        return Recognition(frame.stamp_ns, state, judged, reason)

    def _place(self, frame: Frame, spot: Spot) -> Place:
        """What the frame is as a keyframe."""
        pose = None if spot.blind else spot.pose
        here = Place(
            self.place_map.next_id, frame.stamp_ns, frame.name, self.session,
            frame.camera_frame, pose,
        )  # fmt: skip
        return framed(here, self.place_map, spot.leg)

    def _framed(self, row: int) -> Place:
        """A place of the map, to be compared with others."""
        leg = None if row < self._first_row else self._spots[row].leg
        return framed(self.place_map.places[row], self.place_map, leg)

    def _name(self, stamp_ns: int) -> str:
        """Of this run, and no other in the map: their odometry has nothing in common."""
        return free_name(self.configs.slam.session or f'slam-{stamp_ns}', self._taken)

    def _add(self, place: Place, frame: Frame, features: Features, spot: Spot) -> None:
        self.place_map.add(features, replace(place, frame=''), frame.image)
        if frame.camera is not None:
            self.place_map.cameras.setdefault(self.session, frame.camera)
        self._trail.add(spot)
        self._spots.append(spot)
