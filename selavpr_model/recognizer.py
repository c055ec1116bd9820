# SPDX-License-Identifier: MIT
"""The method on one page: extract, retrieve, re-rank, decide (SelaVPR, section 3)."""

from __future__ import annotations

from dataclasses import replace
import logging

import numpy as np

from selavpr_model.config import GeometryConfig, RecognizerConfig, TemporalConfig
from selavpr_model.decision.belief import TemporalBelief
from selavpr_model.decision.calibration import keyframe_covariance
from selavpr_model.decision.confidence import assured, over_time
from selavpr_model.decision.decide import conclude, follow, judge, Thresholds, thresholds
from selavpr_model.decision.ranking import rerank
from selavpr_model.errors import MapModelError
from selavpr_model.features.extractor import Extractor
from selavpr_model.geometry.gate import GeometryGate
from selavpr_model.geometry.overlay import by_codes, by_geometry, Joined
from selavpr_model.maps.place_map import PlaceMap, shown
from selavpr_model.records import Candidate, Frame, Recognition, State
from selavpr_model.runtime.stages import StageClock

log = logging.getLogger(__name__)

ANY = Thresholds(similarity=-1.0, matches=0, ratio=0.0)
NO_THRESHOLDS = (
    'the map has no thresholds, as its places are too few or too near each other; map more, or '
    'set recognizer.min_similarity, min_matches and min_match_ratio'
)
NOT_ALIGNED = 'no pose, as those of session {} are in its own odometry, not in the map frame'


class PlaceRecognizer:
    """Answers where in `place_map` a frame was taken; live, bag and offline use this one path.

    With a TemporalConfig that is enabled, frames are taken as a sequence: their answers depend on
    those before. Without, or where the map's places have no poses, each frame stands alone.
    """

    def __init__(
        self,
        extractor: Extractor,
        place_map: PlaceMap,
        config: RecognizerConfig | None = None,
        temporal: TemporalConfig | None = None,
        geometry: GeometryConfig | None = None,
    ) -> None:
        self.geometry = geometry or GeometryConfig()
        self.extractor = extractor
        self.config = config or RecognizerConfig()
        self.temporal = temporal or TemporalConfig(enabled=False)
        self._view: np.ndarray | None = None  # of the last frame
        self.place_map = place_map

    @property
    def place_map(self) -> PlaceMap:
        return self._map

    @place_map.setter
    def place_map(self, place_map: PlaceMap) -> None:
        """Swap the map; MapModelError when another model made it, and the old one stays."""
        mine, its = self.extractor.identity, place_map.identity
        if mine.fingerprint != its.fingerprint:
            raise MapModelError(
                f'map: expected model {mine.weights} ({mine.fingerprint[:12]}), got '
                f'{its.weights} ({its.fingerprint[:12]}); build the map with this model, or start '
                'with the weights and image size of the map'
            )
        told = place_map.configs.get('recognizer')
        counted = told.get('score', 'mutual') if told else self.config.score
        if counted != self.config.score:
            log.warning(
                'map: its thresholds and confidence were measured with score: %s, now it is %s; '
                'build the map again, or set recognizer.score: %s',
                counted, self.config.score, counted,
            )  # fmt: skip
        self._map = place_map
        self._matcher = place_map.matcher(self.config.score, quick=True)
        self._belief = believe(place_map, self.config, self.temporal)
        self.gate = GeometryGate(place_map, self.geometry, self.config)

    def process(self, frame: Frame, asked: bool = False) -> Recognition:
        """Recognise one frame. InputError for a bad image; never raises for a hard one.

        asked: geometry is to look at it in any case.
        """
        clock = StageClock()
        with clock.stage('forward'):
            features = self.extractor.extract(frame.image)
        with clock.stage('retrieve'):
            candidates = self.retrieve(features.global_)
        with clock.stage('load_local'):
            codes = self._map.codes([c.row for c in candidates])
            view = self._view = self._map.code(features)
        with clock.stage('rerank'):
            candidates = rerank(view, codes, candidates, self._matcher, self.config.ties)
        with clock.stage('decide'):
            recognition = self.decide(frame, self.assure(candidates), view)
        if self.geometry.enabled and frame.camera is not None:
            with clock.stage('verify'):
                recognition = self.gate.check(recognition, features.local, frame.camera, asked)
        return replace(recognition, timings_ns=clock.ns)

    def retrieve(self, global_: np.ndarray) -> list[Candidate]:
        """The k most similar places by their global feature (D,), best first."""
        rows, similarities = self._map.search(global_, self.config.candidates)
        return [
            Candidate(shown(self._map.places[row], self._map), int(row), float(similarity), rank)
            for rank, (row, similarity) in enumerate(zip(rows, similarities, strict=True))
        ]

    def assure(self, candidates: list[Candidate]) -> list[Candidate]:
        """The best re-ranked candidates with their confidence, where the map gives one."""
        measured = self._map.calibration
        if measured is None or measured.confidence is None:
            return candidates
        return assured(candidates, measured.confidence, self.config)

    def decide(self, frame: Frame, candidates: list[Candidate], view: np.ndarray) -> Recognition:
        """LOCALIZED, AMBIGUOUS or LOST from candidates in re-ranked order, with the reason.

        view: PlaceMap.code of the frame.
        """
        needed = thresholds(self.config, self._map.calibration)
        if not candidates or (needed is None and self._belief is None):
            why = NO_THRESHOLDS if candidates else 'the map is empty'
            return Recognition(frame.stamp_ns, State.LOST, tuple(candidates), why)
        judged = judge(candidates, needed or ANY, self.config)
        state, reason = conclude(judged, needed or ANY, self.config)
        alone = State.LOST if needed is None else state
        sure, measured = judged[0].confidence, self._map.calibration
        if self._belief is not None:
            belief = self._belief.update(frame.stamp_ns, judged, frame.odom, view)
            if measured is not None and measured.confidence is not None:
                mass_of = self._belief.mass_of
                judged = over_time(judged, belief.rows, mass_of, measured.confidence)
            judged, state, reason = follow(judged, belief, self.temporal.min_belief, self.config)
        answer = Recognition(
            frame.stamp_ns, state, judged, reason, alone=alone, alone_confidence=sure
        )
        place, pose = judged[0].place, judged[0].place.pose
        if state is not State.LOCALIZED or pose is None:
            if state is State.LOCALIZED and self._map.frame_of(place):
                return replace(answer, reason=f'{reason}; {NOT_ALIGNED.format(place.session)}')
            return answer
        covariance = keyframe_covariance(self._map.calibration, self.config)
        return replace(answer, pose=pose, covariance=covariance)

    def joined(self, answer: Recognition) -> Joined | None:
        """What joins the last frame, whose answer this is, with its best place."""
        size = self.extractor.input_size
        if self.gate.view is not None and self.gate.view.cells is not None:
            return by_geometry(self.gate.view, size)
        if self._view is None or not answer.candidates:
            return None
        row = answer.candidates[0].row
        return by_codes(self._view, row, self._map, size, self._matcher)

    def reset(self) -> None:
        """Forget the frames so far, after a jump in time or when the robot was carried."""
        self.gate.reset()
        if self._belief is not None:
            self._belief.reset()


def believe(
    place_map: PlaceMap, config: RecognizerConfig, temporal: TemporalConfig
) -> TemporalBelief | None:
    """A fresh belief over the map's places, or None where frames are to stand alone."""
    poses = place_map.poses
    if not temporal.enabled or not len(poses):
        return None
    if np.isnan(poses[:, 0, 0]).any():
        log.info('the map has places without poses: each frame is decided alone')
        return None
    legs = 0 if not place_map.unaligned_sessions else _legs(place_map)
    radius, angle = config.distinct_radius_m, config.distinct_angle_deg
    return TemporalBelief(poses, temporal, radius, angle, legs)


def _legs(place_map: PlaceMap) -> np.ndarray:
    """(N,) 0 for places in the frame of the map, another number for each other session."""
    number = {session: i for i, session in enumerate(['', *sorted(place_map.unaligned_sessions)])}
    return np.array([number[place_map.frame_of(place)] for place in place_map.places])
