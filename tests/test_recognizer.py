# SPDX-License-Identifier: MIT
"""The whole method on real images, and its refusal to answer where it must."""

from __future__ import annotations

import cv2
from map_helpers import CheapExtractor, some_image, some_map
import numpy as np
import pytest

from selavpr_model.config import (
    ExtractorConfig,
    GeometryConfig,
    MapConfig,
    RecognizerConfig,
    TemporalConfig,
)
from selavpr_model.errors import InputError, MapModelError
from selavpr_model.features.extractor import load_extractor
from selavpr_model.geometry.two_view import TwoView
from selavpr_model.maps.building.calibrate import calibrate
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Candidate, Frame, Place, Recognition, Reject, State, Status

SPACING_M = 3.0  # campus_gray's frames are about this far apart
ONES = np.eye(6)


def campus_image(folder, number: int) -> np.ndarray:
    grey = cv2.imread(str(folder('campus_gray') / f'image_{number}.png'), cv2.IMREAD_GRAYSCALE)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def pose_at(x: float) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = x
    return T


@pytest.fixture(scope='module')
def campus_map(shared_data, extractor) -> PlaceMap:
    """Every other frame of campus_gray's first 40, along a straight axis, calibrated."""
    place_map = PlaceMap.empty(extractor.identity, MapConfig())
    for i in range(0, 40, 2):
        features = extractor.extract(campus_image(shared_data, i))
        place_map.add(features, Place(i, i * 10**9, f'image_{i}', pose=pose_at(i * SPACING_M)))
    place_map.calibration = calibrate(place_map)
    return place_map


def test_frames_between_keyframes_find_their_neighbours(shared_data, extractor, campus_map):
    recognizer = PlaceRecognizer(extractor, campus_map)
    for i in range(1, 39, 4):
        answer = recognizer.process(Frame(i, campus_image(shared_data, i)))
        assert abs(answer.candidates[0].place.id - i) <= 3
        assert answer.stamp_ns == i


def test_a_keyframe_seen_again_is_localized_with_its_pose_and_a_covariance(
    shared_data, extractor, campus_map
):
    answer = PlaceRecognizer(extractor, campus_map).process(
        Frame(5, campus_image(shared_data, 10))
    )
    assert answer.state is State.LOCALIZED, answer.reason
    np.testing.assert_array_equal(answer.pose, pose_at(10 * SPACING_M))
    assert (np.diag(answer.covariance) > 0).all()
    best = answer.candidates[0]
    assert best.status is Status.ACCEPTED and best.reject is Reject.NONE
    assert best.global_rank == 0 and best.mutual_matches > 200


def test_an_image_from_elsewhere_gives_no_pose_and_a_reason(shared_data, extractor, campus_map):
    path = sorted(shared_data('sevenscenes_redkitchen').glob('*.jpg'))[0]
    kitchen = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    answer = PlaceRecognizer(extractor, campus_map).process(Frame(5, kitchen))
    assert answer.state is not State.LOCALIZED
    assert answer.pose is None and answer.covariance is None
    assert 'needed' in answer.reason
    assert answer.candidates[0].reject and answer.candidates[0].status is Status.REJECTED


def test_every_stage_is_timed(shared_data, extractor, campus_map):
    answer = PlaceRecognizer(extractor, campus_map).process(Frame(5, campus_image(shared_data, 3)))
    assert list(answer.timings_ns) == ['forward', 'retrieve', 'load_local', 'rerank', 'decide']
    assert all(ns > 0 for ns in answer.timings_ns.values())


def test_the_same_frame_twice_gives_the_same_answer(shared_data, extractor, campus_map):
    recognizer = PlaceRecognizer(extractor, campus_map)
    a, b = (recognizer.process(Frame(5, campus_image(shared_data, 7))) for _ in range(2))
    key = [(c.place.id, c.global_similarity, c.mutual_matches) for c in a.candidates]
    assert key == [(c.place.id, c.global_similarity, c.mutual_matches) for c in b.candidates]


def test_a_map_without_thresholds_never_localizes(shared_data, extractor, campus_map):
    bare = PlaceMap.empty(extractor.identity, MapConfig())
    bare.extend(campus_map)
    frame = Frame(5, campus_image(shared_data, 10))
    answer = PlaceRecognizer(extractor, bare).process(frame)
    assert answer.state is State.LOST and 'thresholds' in answer.reason
    chosen = RecognizerConfig(min_similarity=0.5, min_matches=10, min_match_ratio=1.0)
    assert PlaceRecognizer(extractor, bare, chosen).process(frame).state is State.LOCALIZED


def test_a_sequence_goes_by_the_calibration_that_the_map_has_now(
    shared_data, extractor, street_map
):
    """Also where the map got or lost its calibration after the recogniser was made."""
    place_map, frame = open_map(street_map), Frame(5, campus_image(shared_data, 4))
    calibration, place_map.calibration = place_map.calibration, None
    assert calibration is not None

    def reason(recognizer: PlaceRecognizer) -> str:
        recognizer.reset()
        return recognizer.process(frame).reason

    early = PlaceRecognizer(extractor, place_map, temporal=TemporalConfig())
    by_matches = reason(early)
    place_map.calibration = calibration
    late = PlaceRecognizer(extractor, place_map, temporal=TemporalConfig())
    assert reason(early) == reason(late) != by_matches
    place_map.calibration = None
    assert reason(early) == reason(late) == by_matches


def test_an_empty_map_is_lost_not_an_error(shared_data, extractor):
    empty = PlaceMap.empty(extractor.identity, MapConfig())
    answer = PlaceRecognizer(extractor, empty).process(Frame(1, campus_image(shared_data, 0)))
    assert answer.state is State.LOST and answer.candidates == ()


def test_a_map_of_another_model_is_refused_and_the_old_one_stays(extractor, campus_map):
    recognizer = PlaceRecognizer(extractor, campus_map)
    other = load_extractor(ExtractorConfig(random_weights=True, precision='fp32'))
    with pytest.raises(MapModelError, match='expected model selavpr_vits14'):
        recognizer.place_map = PlaceMap.empty(other.identity, MapConfig())
    assert recognizer.place_map is campus_map


def driven(place_map: PlaceMap, x: float) -> Recognition:
    return Recognition(
        1, State.LOCALIZED, (Candidate(place_map.places[0], 0, 0.9, 0),), 'so', pose_at(x), ONES
    )


def test_another_map_inherits_no_pose_of_the_one_before():
    recognizer, other = PlaceRecognizer(CheapExtractor(), some_map()), some_map(seed=3)
    frame = Frame(1, some_image(0), odom=pose_at(0.0))
    recognizer.process(frame)
    assert recognizer.steady(driven(recognizer.place_map, 500.0), frame).filtered
    recognizer.place_map = other
    assert recognizer.view is None and recognizer.features is None
    answer = recognizer.steady(driven(other, 3.0), frame)
    assert answer.state is State.LOCALIZED and answer.pose[0, 3] == 3.0


def test_odometry_that_is_not_finite_is_none():
    recognizer = PlaceRecognizer(CheapExtractor(), some_map())
    for odom in (pose_at(0.0), np.full((4, 4), np.nan), pose_at(0.1)):
        frame = Frame(1, some_image(0), odom=odom)
        answer = recognizer.steady(driven(recognizer.place_map, 3.0), frame)
        assert answer.filtered is bool(np.isfinite(odom).all()) and np.isfinite(answer.pose).all()


def test_what_geometry_saw_is_of_the_last_frame_alone():
    recognizer = PlaceRecognizer(
        CheapExtractor(), some_map(), geometry=GeometryConfig(enabled=True)
    )
    recognizer.gate.view = TwoView(True, 9, 9, 1.0, 'of the frame before')
    recognizer.gate._tracked = True
    answer = recognizer.process(Frame(1, some_image(0)))  # its camera is not known
    assert answer.state is State.LOST, 'no thresholds'
    assert recognizer.gate.view is None and not recognizer.gate._tracked


def test_a_frame_without_pixels_is_an_input_error(extractor, campus_map):
    with pytest.raises(InputError, match='RGB'):
        PlaceRecognizer(extractor, campus_map).process(Frame(1, np.zeros((0, 4, 3), np.uint8)))


def test_a_map_that_counted_otherwise_says_so(extractor, street_map, caplog):
    place_map = open_map(street_map, extractor.identity)
    PlaceRecognizer(extractor, place_map, RecognizerConfig())
    assert 'score' not in caplog.text
    PlaceRecognizer(extractor, place_map, RecognizerConfig(score='mutual'))
    assert 'set recognizer.score: consistent' in caplog.text
