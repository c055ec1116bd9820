# SPDX-License-Identifier: MIT
"""Thresholds measured on a map's own keyframes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from selavpr_model.config import CalibrationConfig, MapConfig, RecognizerConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.decision.confidence import FEATURES
from selavpr_model.maps.building.calibrate import calibrate, keyframe_trials
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Features, ModelIdentity, Place

IDENTITY = ModelIdentity('f' * 64, 'made up', 16, (3, 4, 8))


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def corridor(places: int, spacing_m: float = 1.0) -> PlaceMap:
    """Places along a line whose features turn slowly, so that neighbours look alike."""
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((places, 12, 8)).cumsum(axis=0)
    vectors = rng.standard_normal((places, 16)).cumsum(axis=0)
    place_map = PlaceMap.empty(IDENTITY, MapConfig(local_dtype='exact'))
    for i in range(places):
        T = np.eye(4)
        T[0, 3] = i * spacing_m
        features = Features(unit(vectors[i]), unit(steps[i]).reshape(3, 4, 8))
        place_map.add(features, Place(i, i, pose=T))
    return place_map


def test_a_higher_quantile_asks_for_a_clearer_winner():
    place_map = corridor(60)
    loose = calibrate(place_map, how=CalibrationConfig(ratio_quantile=0.6))
    strict = calibrate(place_map, how=CalibrationConfig(ratio_quantile=1.0))
    assert strict.min_match_ratio > loose.min_match_ratio >= 1.0
    assert (strict.min_matches, strict.min_similarity) == (loose.min_matches, loose.min_similarity)


def test_the_pose_error_of_right_answers_follows_the_spacing():
    fine, coarse = (calibrate(corridor(60, spacing)) for spacing in (0.5, 2.0))
    assert 0.5 / np.sqrt(3) <= fine.position_sigma_m < coarse.position_sigma_m


def test_a_map_that_shows_only_one_place_has_nothing_to_measure():
    assert calibrate(corridor(4)) is None
    assert calibrate(PlaceMap.empty(IDENTITY, MapConfig())) is None


def test_only_the_asked_number_of_keyframes_is_used():
    assert calibrate(corridor(40), how=CalibrationConfig(samples=10)).samples == 10


def test_a_keyframe_further_down_the_street_is_no_wrong_answer():
    config = RecognizerConfig()
    place_map = corridor(60)
    features, right = keyframe_trials(place_map, config, 60)
    near, _ = keyframe_trials(place_map, dataclasses.replace(config, distinct_radius_m=1.0), 60)
    level = FEATURES.index('match_level')
    assert right.any() and not right.all()
    assert features[~right, level].mean() < near[:, level].mean()
    assert calibrate(place_map).confidence.negatives == (~right).sum()


def test_a_small_map_takes_its_wrong_answers_from_nearby():
    features, right = keyframe_trials(corridor(12), RecognizerConfig(), 12)
    assert (~right).sum() >= 10 and np.isfinite(features).all()


def test_the_same_street_in_another_runs_odometry_changes_nothing_that_is_measured():
    alone, both = corridor(40), corridor(40)
    for row, place in enumerate(alone.places):
        both.copy(alone, row, dataclasses.replace(place, id=100 + row, session='later'))
    both.unaligned_sessions = {'later'}
    config = RecognizerConfig()
    x, right = keyframe_trials(alone, config, 40)
    twice, both_right = keyframe_trials(both, config, 80)
    np.testing.assert_array_equal(twice, np.concatenate([x, x]))
    np.testing.assert_array_equal(both_right, np.concatenate([right, right]))
    both.unaligned_sessions = set()  # now they are other looks of the same places
    np.testing.assert_array_equal(keyframe_trials(both, config, 80)[0], twice)


def test_it_survives_the_manifest():
    calibration = calibrate(corridor(30))
    assert Calibration.from_dict(calibration.to_dict()) == calibration
    assert dataclasses.replace(calibration, samples=1) != calibration


FIELDS = [f.name for f in dataclasses.fields(Calibration)]


@pytest.mark.parametrize('name', FIELDS)
def test_a_manifest_without_one_of_its_fields_is_a_key_error(name):
    values = calibrate(corridor(30)).to_dict()
    del values[name]
    with pytest.raises(KeyError, match=name):
        Calibration.from_dict(values)


def two_looks() -> tuple[PlaceMap, PlaceMap]:
    """A corridor, and the same with a second session that saw every place of it once more."""
    alone, both = corridor(60), corridor(60)
    rng = np.random.default_rng(1)
    for row, place in enumerate(alone.places):
        T = place.pose + np.outer([0.0, 0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
        local = unit(alone.local([row])[0] + 0.1 * rng.standard_normal((12, 8)))
        again = Features(alone.global_(row), local.reshape(3, 4, 8))
        both.add(again, dataclasses.replace(place, id=100 + row, session='later', pose=T))
    return alone, both


def test_a_second_look_of_each_place_does_not_change_what_wrong_answers_look_like():
    alone, both = (keyframe_trials(m, RecognizerConfig(), 400) for m in two_looks())
    assert len(both[0]) == 2 * len(alone[0])
    np.testing.assert_allclose(both[0][: len(alone[0])], alone[0])  # asked as before


def test_what_only_another_session_shows_still_answers():
    _, both = two_looks()
    features = Features(both.global_(0), both.local([0])[0].reshape(3, 4, 8))
    T = np.eye(4)
    T[0, 3] = 500.0
    both.add(features, Place(900, 10**12, session='later', pose=T))  # a look-alike far off
    level = FEATURES.index('match_level')
    x, right = keyframe_trials(both, RecognizerConfig(), 1000)
    assert not right[0]
    assert x[0, level] == pytest.approx(np.log(13.0))  # all twelve cells of the first place
