# SPDX-License-Identifier: MIT
"""The method on one page: extract, retrieve, re-rank, decide (SelaVPR, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
import logging

import numpy as np

from selavpr_model.config import GeometryConfig, RecognizerConfig, TemporalConfig
from selavpr_model.decision.belief import Moment, TemporalBelief
from selavpr_model.decision.calibration import keyframe_covariance, mode_covariance
from selavpr_model.decision.decide import Decider, Decision
from selavpr_model.decision.evidence import by_confidence
from selavpr_model.decision.modes import mode_pose, turned
from selavpr_model.decision.odometry_guard import OdometryGuard
from selavpr_model.decision.pose_filter import PoseFilter, Verdict
from selavpr_model.decision.ranking import Ranked
from selavpr_model.decision.thresholds import thresholds
from selavpr_model.errors import MapModelError
from selavpr_model.features.extractor import Extractor
from selavpr_model.geometry.gate import GeometryGate
from selavpr_model.geometry.overlay import by_codes, by_geometry, MatchOverlay
from selavpr_model.geometry.verdict import withheld
from selavpr_model.maps.building.looks import looks_in
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.retrieval import Query, ranked
from selavpr_model.records import Features, Frame, Place, Recognition, State
from selavpr_model.runtime.stages import StageClock

log = logging.getLogger(__name__)

PRIOR_SHARE = 0.9  # of the belief, where somebody says where the robot is: he may be wrong
PRIOR_LEAST_M = 1.0  # places are this far apart
EMPTY = 'the map is empty'
NO_THRESHOLDS = (
    'the map has no thresholds, as its places are too few or too near each other; map more, or '
    'set recognizer.min_similarity, min_matches and min_match_ratio'
)
NOT_FITTING = (
    'the place does not fit odometry, and {} in a row do not; a few that agree are needed'
)
NOT_ALIGNED = 'no pose, as those of session {} are in its own odometry, not in the map frame'


class PlaceRecognizer:
    """Answers where in `place_map` a frame was taken; live, bag and offline use this one path.

    With a TemporalConfig that is enabled, frames are taken as a sequence: their answers depend on
    those before. Without, or where only some places of the map have poses, each stands alone.
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
        self.features: Features | None  # of the last frame
        self.view: np.ndarray | None  # PlaceMap.code of the last frame
        self.odometry = OdometryGuard(self.temporal)
        self.pose_filter = PoseFilter()
        self.place_map = place_map

    def process(self, frame: Frame, force_verification: bool = False) -> Recognition:
        """Recognise one frame. InputError for a bad image; never raises for a hard one.

        force_verification: geometry looks at the answer although its budget is spent.
        """
        clock = StageClock()
        with clock.stage('forward'):  # one pass gives the global feature and the local ones
            features = self.extractor.extract(frame.image)
        query = Query.of_frame(self._map, features)
        # retrieve by the global feature, load_local, rerank by mutual matches: a stage each
        places = ranked(self._map, query, self._matcher, self.config, clock=clock)
        with clock.stage('decide'):
            answer = self.decide(frame, places, query.view)
        if self.geometry.enabled:  # also without a camera: what the last frame showed is over
            with clock.stage('verify'):
                look = features.local, frame.camera, force_verification
                answer = self.gate.check(answer, places, *look)
        answer = self.steady(answer, frame)
        self.features, self.view = features, query.view
        return replace(answer, timings_ns=clock.ns)

    def decide(self, frame: Frame, places: Ranked, view: np.ndarray) -> Recognition:
        """LOCALIZED, AMBIGUOUS or LOST, with the reason; view: PlaceMap.code of the frame."""
        calibration = self._map.calibration
        odom = self._odometry(frame, view)
        moment = Moment(frame.stamp_ns, odom if self._has_poses else None, view)
        confidence = None if calibration is None else calibration.confidence
        needed = thresholds(self.config, calibration)
        undecidable = NO_THRESHOLDS if places.candidates else EMPTY
        decision = self._decider.decide(moment, places, confidence, needed, undecidable)
        return self._with_pose(decision)

    def _odometry(self, frame: Frame, view: np.ndarray) -> np.ndarray | None:
        """(4, 4) T_odom_camera, where it can be believed."""
        odom = self.odometry.check(frame, view)
        if self.odometry.broken and self._decider.belief is not None:
            self._decider.belief.lose_track()
        return odom

    def _with_pose(self, decision: Decision) -> Recognition:
        """The pose of the mode, of a frame alone that of its keyframe; or why there is none."""
        answer = decision.answer
        if answer.state is not State.LOCALIZED:
            return answer
        place = answer.candidates[0].place
        if place.pose is None:
            unaligned = self._map.frame_of(place)
            why = f'{answer.reason}; {NOT_ALIGNED.format(place.session)}'
            return replace(answer, reason=why) if unaligned else answer
        calibration = self._map.calibration
        if decision.belief is None:
            covariance = keyframe_covariance(calibration, self.config)
            return replace(answer, pose=place.pose, covariance=covariance)
        share = self._aligned(decision.belief.mode.share)
        unknown = mode_covariance(calibration, self.config)
        pose, covariance = mode_pose(share, self._map.poses, unknown)
        return replace(answer, pose=pose, covariance=covariance)

    def _aligned(self, share: Mapping[int, float]) -> Mapping[int, float]:
        """Without the places whose poses are in the odometry of their own run."""
        if not self._map.unaligned_sessions:
            return share
        places = self._map.places
        return {row: p for row, p in share.items() if not self._map.frame_of(places[row])}

    @property
    def place_map(self) -> PlaceMap:
        return self._map

    @place_map.setter
    def place_map(self, place_map: PlaceMap) -> None:
        """Swap the map and forget the frames so far, whose answers were of the old one.

        MapModelError when another model made it, and the old one stays.
        """
        require_model(place_map, self.extractor)
        warn_of_score(place_map, self.config)
        self._map = place_map
        self._matcher = place_map.matcher(self.config.score, quick=True)
        self._has_poses = bool(np.isfinite(place_map.poses[:, 0, 0]).any())
        belief = believe(place_map, self.config, self.temporal)
        self._decider = Decider(belief, self.config.min_precision)
        self.gate = GeometryGate(place_map, self.geometry, self.config)
        self.features = self.view = None
        self.reset()

    @property
    def belief(self) -> np.ndarray | None:
        """(n,) probability of each place after the last frame; None where each stands alone."""
        belief = self._decider.belief
        return None if belief is None else belief.probabilities

    def steady(self, answer: Recognition, frame: Frame) -> Recognition:
        """The answer with the pose that all answers and odometry give together.

        An answer that does not fit odometry is AMBIGUOUS until others agree with it.
        """
        if self.odometry.broken:
            self.pose_filter.reset()
        if answer.pose is None or answer.covariance is None:
            self.pose_filter.miss()
            return answer
        odom = frame.odom
        if odom is None or self.odometry.frozen or not np.isfinite(odom).all():
            return answer
        verdict = self.pose_filter.add(answer.pose, answer.covariance, odom)
        if verdict is Verdict.OUTSIDE:
            outside = self.pose_filter.outside
            return replace(withheld(answer, NOT_FITTING.format(outside), False), outside=outside)
        now = self.pose_filter.estimate
        assert now is not None
        pose, covariance = now.T_map_body, now.covariance
        if answer.candidates[0].pose is None:  # no number of answers tells what none of them knows
            unknown = mode_covariance(self._map.calibration, self.config)
            covariance = covariance + turned(unknown, pose)
        return replace(answer, pose=pose, covariance=covariance, filtered=True)

    def overlay(self, answer: Recognition) -> MatchOverlay | None:
        """The matches of the last frame, whose answer this is, with its best place."""
        size = self.extractor.input_size
        if self.gate.view is not None and self.gate.view.cells is not None:
            return by_geometry(self.gate.view, size)
        if self.view is None or not answer.candidates:
            return None
        row = answer.candidates[0].row
        return by_codes(self.view, row, self._map, size, self._matcher)

    def expect(self, T_map_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Forget the frames so far: somebody says that the camera is here. covariance: (6, 6)."""
        self.reset()
        if self._decider.belief is not None:
            weights = prior_weights(self.place_map, T_map_camera, covariance)
            self._decider.belief.expect(weights, PRIOR_SHARE)

    def reset(self) -> None:
        """Forget the frames so far, after a jump in time or when the robot was carried."""
        self.gate.reset()
        self.odometry.reset()
        self.pose_filter.reset()
        if self._decider.belief is not None:
            self._decider.belief.reset()


def prior_weights(
    place_map: PlaceMap, T_map_camera: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """(n,) how well each place fits what somebody says, by its position; 0 without a pose."""
    weights = np.zeros(len(place_map))
    across = np.linalg.inv(covariance[:2, :2] + PRIOR_LEAST_M**2 * np.eye(2))
    for row, place in enumerate(place_map.places):
        if place.pose is not None and place.session not in place_map.unaligned_sessions:
            offset = place.pose[:2, 3] - T_map_camera[:2, 3]
            weights[row] = np.exp(-0.5 * offset @ across @ offset)
    return weights


def require_model(place_map: PlaceMap, extractor: Extractor) -> None:
    """MapModelError unless the map was made by the model of the extractor."""
    ours, its = extractor.identity, place_map.identity
    if ours.fingerprint != its.fingerprint:
        raise MapModelError(
            f'map: expected model {ours.weights} ({ours.fingerprint[:12]}), got '
            f'{its.weights} ({its.fingerprint[:12]}); build the map with this model, or start '
            'with the weights and image size of the map'
        )


def warn_of_score(place_map: PlaceMap, config: RecognizerConfig) -> None:
    """Log where the map was calibrated with another way to count matches."""
    measured = place_map.configs.get('recognizer', {}).get('score', config.score)
    if measured != config.score:
        log.warning(
            'map: its thresholds and confidence were measured with score: %s, now it is %s; '
            'build the map again, or set recognizer.score: %s',
            measured, config.score, measured,
        )  # fmt: skip


def believe(
    place_map: PlaceMap, config: RecognizerConfig, temporal: TemporalConfig
) -> TemporalBelief | None:
    """A fresh belief over the map's places, or None where frames are to stand alone."""
    poses = place_map.poses
    if not temporal.enabled or not len(poses):
        return None
    radius, angle = config.distinct_radius_m, config.distinct_angle_deg
    unposed = np.isnan(poses[:, 0, 0])
    if unposed.any() and not unposed.all():
        log.info('some places of the map have no pose: each frame is decided alone')
        return None
    segments, looks = _segments(place_map), looks_in(place_map, radius)
    if unposed.all():
        poses = _on_lines(place_map.places, temporal.speed_mps)
        radius = config.distinct_time_s * temporal.speed_mps
        sessions = np.array([place.session for place in place_map.places], str)
        segments = np.unique(sessions, return_inverse=True)[1]
    belief = TemporalBelief(poses, temporal, radius, angle, segments, by_confidence, looks)
    belief.relink(place_map.joined)
    return belief


def _on_lines(places: Sequence[Place], speed_mps: float) -> np.ndarray:
    """(N, 4, 4) for places without poses: each run a line along z, driven at this speed."""
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    first = places[0].stamp_ns
    poses[:, 2, 3] = [(place.stamp_ns - first) * 1e-9 * speed_mps for place in places]
    return poses


def _segments(place_map: PlaceMap) -> int | np.ndarray:
    """(N,) 0 for places in the frame of the map, another number for each unaligned session."""
    if not place_map.unaligned_sessions:
        return 0
    number = {session: i for i, session in enumerate(['', *sorted(place_map.unaligned_sessions)])}
    return np.array([number[place_map.frame_of(place)] for place in place_map.places])
