# SPDX-License-Identifier: MIT
"""When geometry looks, what its verdict is worth until the next look, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import GeometryConfig, MapConfig, RecognizerConfig
from selavpr_model.geometry.map_geometry import against, MapGeometry
from selavpr_model.geometry.two_view import TwoView
from selavpr_model.maps.building.calibrate import calibrate
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Camera, Frame, Place, PoseKind, Reject, State
from selavpr_model.runtime.budget import Budget

from where import ROOT

DECIDES = RecognizerConfig(
    min_similarity=0.0, min_matches=1, min_match_ratio=0.0, min_precision=0.5
)
Scene = tuple[PlaceMap, list[Frame]]


@pytest.fixture(scope='module')
def scene(extractor: Any) -> Scene:
    """Six frames of the demo's summer drive in a map, and the same frames a little darker."""
    from selavpr_ros.bags.reader import BagFrames

    frames = list(BagFrames(ROOT / 'demo' / 'summer', pose_topic='/ground_truth/pose'))
    frames = [frames[i] for i in (0, 1, 2, 60, 61, 62)]
    place_map = PlaceMap.empty(extractor.identity, MapConfig())
    for i, (frame, made) in enumerate(
        zip(frames, extractor.extract_batch([f.image for f in frames]), strict=True)
    ):
        place_map.add(made, Place(i, i * 10**9, session='summer', pose=frame.pose))
    assert frames[0].camera is not None
    place_map.cameras['summer'] = frames[0].camera
    place_map.calibration = calibrate(place_map, progress=False)
    darker = [replace(f, image=(f.image * 0.9).astype(np.uint8), pose=None) for f in frames]
    return place_map, darker


@pytest.fixture
def make(scene: Scene, extractor: Any) -> Callable[..., PlaceRecognizer]:
    def made(**changed: Any) -> PlaceRecognizer:
        config = GeometryConfig(**{'enabled': True, 'keyframes': 1, **changed})
        return PlaceRecognizer(extractor, scene[0], DECIDES, geometry=config)

    return made


def at(scene: Scene, index: int, second: float) -> Frame:
    return replace(scene[1][index], stamp_ns=round(second * 1e9))


def test_a_right_place_passes_with_its_inliers_and_then_costs_nothing_until_the_next_look(
    scene: Scene, make: Callable[..., PlaceRecognizer]
) -> None:
    recognizer = make(verifications_per_s=0.5)
    answers = [recognizer.process(at(scene, 1, 10.0 + 0.5 * i)) for i in range(6)]
    assert all(a.state is State.LOCALIZED for a in answers), [a.reason for a in answers]
    looked = [a.candidates[0].inliers > 0 for a in answers]
    assert looked == [True, False, False, False, True, False]


def test_a_rejection_holds_until_the_next_look(
    scene: Scene, make: Callable[..., PlaceRecognizer]
) -> None:
    recognizer = make(verifications_per_s=0.5, min_inliers=100000)
    for second in (10.0, 10.5, 11.0):
        answer = recognizer.process(at(scene, 1, second))
        assert answer.state is State.AMBIGUOUS and answer.pose is None
        assert answer.candidates[0].reject & Reject.GEOMETRY
        assert answer.reason.startswith('geometry: ')


def test_another_place_waits_for_its_own_look(
    scene: Scene, make: Callable[..., PlaceRecognizer]
) -> None:
    recognizer = make(verifications_per_s=0.1)
    assert recognizer.process(at(scene, 1, 10.0)).state is State.LOCALIZED
    recognizer.gate._tracked = False  # the belief was lost in between
    other = recognizer.process(at(scene, 4, 11.0))
    assert other.state is State.AMBIGUOUS and 'not looked' in other.reason
    assert not other.candidates[0].reject & Reject.GEOMETRY
    assert recognizer.process(at(scene, 4, 20.0)).state is State.LOCALIZED


def test_who_asks_gets_a_look_without_a_budget(
    scene: Scene, make: Callable[..., PlaceRecognizer]
) -> None:
    recognizer = make(verifications_per_s=0.0)
    assert recognizer.process(at(scene, 1, 10.0)).candidates[0].inliers == 0
    assert (
        recognizer.process(at(scene, 1, 10.1), force_verification=True).candidates[0].inliers > 0
    )


@pytest.mark.parametrize('known', ['frame', 'map'])
def test_without_a_camera_on_either_side_nothing_changes(
    scene: Scene, make: Callable[..., PlaceRecognizer], known: str
) -> None:
    place_map = scene[0]
    cameras = dict(place_map.cameras)
    frame = at(scene, 1, 10.0)
    if known == 'map':
        frame = replace(frame, camera=None)
    else:
        place_map.cameras.clear()
    try:
        answer = make(min_inliers=100000).process(frame)
    finally:
        place_map.cameras.update(cameras)
    assert answer.state is State.LOCALIZED
    assert answer.candidates[0].inliers == 0


def test_a_place_elsewhere_that_fits_as_well_speaks_against_it() -> None:
    def seen(inliers: int) -> TwoView:
        return TwoView(True, inliers, 300, 0.5, 'fits')

    config = GeometryConfig(min_inlier_ratio=1.2)
    assert against(seen(120), seen(100), config).agrees
    turned_down = against(seen(110), seen(100), config)
    assert not turned_down.agrees
    assert '110 inliers, and 100 with a place elsewhere' in turned_down.reason


def test_a_closure_beside_posed_keyframes_is_metric(scene: Scene) -> None:
    """From the other lane of the same street: 2.4 m ahead is told in metres, or not at all."""
    place_map, _ = scene
    made = MapGeometry(place_map)(before=0, after=1, rival=None, beside=[2])
    assert made is not None and made.agrees, made
    if made.pose_kind is PoseKind.METRIC:
        truth = np.linalg.inv(place_map.places[0].pose) @ place_map.places[1].pose
        assert made.pose is not None
        assert np.linalg.norm(made.pose[:3, 3] - truth[:3, 3]) < 1.0


def test_an_image_cut_otherwise_is_not_of_this_camera() -> None:
    camera = Camera(np.eye(3), np.zeros(5), (640, 480))
    assert camera.sees(np.zeros((240, 320, 3), np.uint8))
    assert camera.sees(np.zeros((480, 640, 3), np.uint8))
    assert not camera.sees(np.zeros((360, 640, 3), np.uint8))


@given(
    st.floats(0.0, 50.0),
    st.floats(0.0, 30.0),
    st.lists(st.tuples(st.floats(0.0, 5.0), st.booleans()), max_size=40),
)
def test_never_more_is_spent_than_was_earned(
    per_s: float, saved_s: float, steps: list[tuple[float, bool]]
) -> None:
    budget, now, spent = Budget(per_s, saved_s), 0.0, 0
    for wait, wanted in steps:
        now += wait
        budget.earn(now)
        if wanted and budget.is_there:
            budget.spend()
            spent += 1
    assert spent <= 1 + per_s * now + 1e-6
    assert spent == 0 or per_s > 0


def spent_at(budget: Budget, second: float, wanted: int = 100) -> int:
    """How many of so many are to be had at a time."""
    budget.earn(second)
    for had in range(wanted):
        if not budget.is_there:
            return had
        budget.spend()
    return wanted


def test_by_default_nothing_is_saved_beyond_one_or_what_a_second_earns() -> None:
    slow, fast = Budget(0.5), Budget(4.0)
    assert [spent_at(slow, s) for s in (0.0, 1.0, 2.0, 100.0, 100.5)] == [1, 0, 1, 1, 0]
    assert [spent_at(fast, s) for s in (0.0, 1.0, 100.0, 100.5)] == [1, 4, 4, 2]


def test_what_is_saved_up_is_bounded_and_spent_one_by_one() -> None:
    budget = Budget(0.5, saved_s=10.0)
    assert spent_at(budget, 1000.0) == 1
    assert [spent_at(budget, 1000.0 + 0.1 * i) for i in range(1, 7)] == [1, 1, 1, 1, 0, 0]
    assert spent_at(budget, 1002.0) == 1
    assert spent_at(budget, 900.0) == spent_at(budget, 901.0) == 0


def test_nothing_a_second_is_nothing_however_long_it_is_saved() -> None:
    assert spent_at(Budget(0.0, saved_s=10.0), 1e6) == 0
