# SPDX-License-Identifier: MIT
"""Metric poses: exact scenes, their covariance, and real images through the recogniser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from selavpr_model.config import GeometryConfig, MapConfig, RecognizerConfig
from selavpr_model.data.pose_files import read_matrix
from selavpr_model.errors import MapMetadataError
from selavpr_model.geometry import pose as geometry_pose
from selavpr_model.geometry.map_geometry import MapGeometry
from selavpr_model.geometry.pose import metric_pose, MetricPose, Reference
from selavpr_model.geometry.rays import pixel_rays
from selavpr_model.geometry.two_view import Matches
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.camera_entry import camera_entry
from selavpr_model.maps.storage.manifest import cameras
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Camera, Frame, Place, Reject, State

K = np.array([[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]])
CAMERA = Camera(K, np.zeros(5), (640, 480))
# Errors of a scene are independent: nothing is shared, and nothing has to be scaled.
EXACT = GeometryConfig(covariance_scale=1.0, shared_px=0.0, noise_px=1.0)


def transform(xyz: tuple[float, ...], turn: tuple[float, ...] = (0.0, 0.0, 0.0)) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), xyz
    return T


def references(
    query: np.ndarray, poses: list[np.ndarray], seed: int = 0, deep: bool = False, px: float = 1.0
) -> list[Reference]:
    """Keyframes at `poses` that share 200 points with the query; noise px in every image."""
    rng = np.random.default_rng(seed)
    flat = np.c_[rng.uniform(-0.4, 0.4, (200, 2)), np.ones(200)]
    points = flat * rng.uniform(2.0, 6.0, (200, 1)) @ query[:3, :3].T + query[:3, 3]

    def seen(T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        local = (points - T[:3, 3]) @ T[:3, :3]
        pixels = local[:, :2] / local[:, 2:] * 500.0 + [320.0, 240.0]
        return pixels + rng.normal(0.0, px, pixels.shape), local[:, 2]

    mine, _ = seen(query)
    cells, mask, made = np.stack([np.arange(200)] * 2, axis=1), np.ones(200, bool), []
    for T in poses:
        pixels, depth = seen(T)
        rays = pixel_rays(mine, CAMERA), pixel_rays(pixels, CAMERA)
        found = Matches(cells, mine, *rays, CAMERA.size, max(px, 0.3) / 500.0)
        depth = depth * (1.0 + rng.normal(0.0, 0.02, 200)) if deep else None
        made.append(Reference(T, found, T[:3, :3].T @ query[:3, :3], mask, depth))
    return made


def error_of(made: MetricPose, truth: np.ndarray) -> np.ndarray:
    assert made.pose is not None, made.reason
    turn = Rotation.from_matrix(made.pose[:3, :3] @ truth[:3, :3].T).as_rotvec()
    return np.r_[made.pose[:3, 3] - truth[:3, 3], turn]


KEYS = [transform((0.0, 0.0, 0.0)), transform((0.5, 0.1, 0.0)), transform((0.2, -0.3, 0.3))]


@settings(max_examples=8, deadline=None)
@given(st.tuples(*[st.floats(-0.4, 0.4)] * 3), st.tuples(*[st.floats(-0.1, 0.1)] * 3))
def test_exact_matches_give_the_exact_pose(
    xyz: tuple[float, ...], turn: tuple[float, ...]
) -> None:
    truth = transform(xyz, turn)
    error = error_of(metric_pose(references(truth, KEYS, px=0.0), EXACT), truth)
    assert np.abs(error).max() < 2e-3


def test_one_keyframe_with_depth_is_enough() -> None:
    truth = transform((0.2, 0.1, 0.3), (0.0, 0.1, 0.0))
    made = metric_pose(references(truth, KEYS[:1], deep=True), EXACT)
    assert np.linalg.norm(error_of(made, truth)[:3]) < 0.05


def test_one_keyframe_without_depth_gives_no_metres() -> None:
    made = metric_pose(references(transform((0.2, 0.0, 0.0)), KEYS[:1]), EXACT)
    assert made.pose is None
    assert 'depth' in made.reason


def test_keyframes_at_one_spot_give_no_metres() -> None:
    poses = [transform((0.0, 0.0, 0.0)), transform((0.003, 0.0, 0.0))]
    made = metric_pose(references(transform((0.3, 0.0, 0.0)), poses), EXACT)
    assert made.pose is None
    assert 'baseline' in made.reason or 'position known' in made.reason


def test_no_keyframe_is_an_answer_with_a_reason() -> None:
    assert metric_pose([], EXACT).reason


@pytest.mark.parametrize('deep', [False, True])
def test_most_errors_lie_inside_the_95_percent_ellipsoid(deep: bool) -> None:
    inside = []
    for seed in range(25):
        truth = transform((0.25, 0.05, 0.2), (0.02, -0.05, 0.01))
        made = metric_pose(references(truth, KEYS, seed, deep), EXACT)
        error, C = error_of(made, truth), made.covariance
        assert C is not None
        assert np.linalg.eigvalsh(C).min() > 0
        inside.append(float(error @ np.linalg.solve(C, error)) < 12.592)
    assert np.mean(inside) >= 0.8


TRUTH = transform((0.25, 0.05, 0.2), (0.02, -0.05, 0.01))


def one_off(seed: int, keys: list[np.ndarray]) -> list[Reference]:
    """Keyframes of which one lies 0.3 m beside its pose, as if all its matches erred alike."""
    made, which = references(TRUTH, keys, seed, px=4.0), seed % len(keys)
    shift = np.random.default_rng(seed).normal(size=3)
    moved = transform(tuple(0.3 * shift / np.linalg.norm(shift))) @ made[which].pose
    made[which] = replace(made[which], pose=moved)
    return made


def share_inside(made: list[MetricPose]) -> float:
    """Of the positions inside their 95 % ellipsoids."""
    inside = []
    for one in made:
        error = error_of(one, TRUTH)[:3]
        assert one.covariance is not None
        inside.append(error @ np.linalg.solve(one.covariance[:3, :3], error) < 7.815)
    return float(np.mean(inside))


def test_what_one_keyframe_is_off_by_is_in_the_covariance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenes = [one_off(seed, KEYS) for seed in range(12)]
    made = [metric_pose(scene, EXACT) for scene in scenes]
    assert share_inside(made) >= 0.95
    assert all(np.linalg.eigvalsh(m.covariance).min() > 0 for m in made)
    monkeypatch.setattr(geometry_pose, 'jackknife', lambda *_: np.zeros((6, 6)))
    assert share_inside([metric_pose(scene, EXACT) for scene in scenes]) < 0.9


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 5))
def test_leaving_keyframes_out_moves_no_pose_and_never_shrinks_a_covariance(
    seed: int, count: int
) -> None:
    more = [transform((-0.4, 0.2, 0.1)), transform((0.1, 0.4, -0.3))]
    scene = one_off(seed, [*KEYS, *more][:count])
    made, without = metric_pose(scene, EXACT), geometry_pose._fit(scene, EXACT)
    assert made.pose is not None and without.pose is not None
    np.testing.assert_array_equal(made.pose, without.pose)
    np.testing.assert_array_equal(made.covariance, made.covariance.T)
    added = made.covariance - without.covariance
    assert np.linalg.eigvalsh(added).min() > -1e-9
    assert np.trace(added) > 0


@pytest.mark.parametrize('deep', [False, True])
def test_of_two_keyframes_none_is_left_out(deep: bool) -> None:
    scene = references(TRUTH, KEYS[:2], deep=deep)
    made, without = metric_pose(scene, EXACT), geometry_pose._fit(scene, EXACT)
    assert made.pose is not None
    np.testing.assert_array_equal(made.pose, without.pose)
    np.testing.assert_array_equal(made.covariance, without.covariance)


def test_a_pose_that_depends_on_one_keyframe_is_refused() -> None:
    """The jackknife counts against geometry.max_position_m, too."""
    scene = one_off(1, KEYS)
    C = metric_pose(scene, EXACT).covariance
    assert C is not None
    sigma = float(np.sqrt(np.linalg.eigvalsh(C[:3, :3])[-1]))
    made = metric_pose(scene, replace(EXACT, max_position_m=0.99 * sigma))
    assert made.pose is None and made.covariance is None
    assert f'position known to {sigma:.2f} m only' in made.reason
    alone = geometry_pose._fit(scene, EXACT).covariance
    assert alone is not None
    assert np.linalg.eigvalsh(alone[:3, :3])[-1] < (0.9 * sigma) ** 2


@pytest.fixture(scope='module')
def kitchen(
    shared_data: Callable[[str], Path], extractor: Any
) -> tuple[PlaceMap, dict[int, np.ndarray], dict[int, np.ndarray]]:
    """A map of five keyframes with their camera; images and true poses by number."""
    folder = shared_data('sevenscenes_redkitchen')
    numbers = (400, 440, 480, 520, 560, 452, 492)
    images = {n: cv2.imread(str(folder / f'{n:06d}.jpg'))[:, :, ::-1].copy() for n in numbers}
    poses = {n: read_matrix(folder / f'{n:06d}.pose.txt') for n in numbers}
    place_map = PlaceMap.empty(extractor.identity, MapConfig(local_dtype='exact'))
    place_map.cameras[''] = Camera(K * [[1.08], [1.08], [1.0]], np.zeros(5), (640, 480))
    place_map.cameras[''].K[:2, 2] = 320.0, 240.0
    for n in numbers[:5]:
        place_map.add(extractor.extract(images[n]), Place(n, n, pose=poses[n]))
    return place_map, images, poses


DECIDES = RecognizerConfig(min_similarity=0.0, min_matches=1, min_match_ratio=0.0)


def recognizer(place_map: PlaceMap, extractor: Any, **changed: Any) -> PlaceRecognizer:
    config = GeometryConfig(enabled=True, **changed)
    return PlaceRecognizer(extractor, place_map, DECIDES, geometry=config)


def shot(kitchen: Any, number: int, second: float = 0.0) -> Frame:
    place_map, images, _ = kitchen
    return Frame(round(second * 1e9), images[number], camera=place_map.cameras[''])


@pytest.mark.parametrize('number', [452, 492])
def test_a_real_frame_gets_a_refined_pose(kitchen: Any, extractor: Any, number: int) -> None:
    place_map, _, poses = kitchen
    answer = recognizer(place_map, extractor).process(shot(kitchen, number))
    assert answer.state is State.LOCALIZED
    assert answer.candidates[0].inliers > 50
    assert answer.candidates[0].pose is not None, answer.reason
    assert answer.pose is not None
    assert answer.covariance is not None
    error = answer.pose[:3, 3] - poses[number][:3, 3]
    assert np.linalg.norm(error) < 0.3
    assert np.linalg.eigvalsh(answer.covariance).min() > 0


def test_a_place_that_fits_no_motion_is_taken_back(kitchen: Any, extractor: Any) -> None:
    strict = recognizer(kitchen[0], extractor, min_inliers=100000)
    answer = strict.process(shot(kitchen, 452))
    assert answer.state is State.AMBIGUOUS
    assert answer.candidates[0].reject & Reject.GEOMETRY
    assert answer.pose is None
    assert 'geometry' in answer.reason


def test_rows_of_a_map_are_verified_where_its_camera_is_known(
    kitchen: Any, extractor: Any
) -> None:
    place_map, _, _ = kitchen
    config = GeometryConfig(min_inlier_share=0.1)  # far apart
    same = MapGeometry(place_map, config)(before=1, after=2, rival=None)
    assert same is not None
    assert same.agrees, same.reason
    blind = MapGeometry(place_map)
    camera = place_map.cameras.pop('')
    assert blind(before=1, after=2, rival=None) is None
    place_map.cameras[''] = camera


def test_a_saved_map_remembers_its_cameras(kitchen: Any, tmp_path: Path) -> None:
    place_map, _, _ = kitchen
    save_map(place_map, tmp_path / 'map')
    camera = open_map(tmp_path / 'map').cameras['']
    np.testing.assert_array_equal(camera.K, place_map.cameras[''].K)
    assert camera.size == (640, 480)


def test_a_camera_of_the_wrong_shape_is_named() -> None:
    entry = camera_entry(CAMERA)
    entry['K'] = [1.0]
    with pytest.raises(MapMetadataError, match='cameras'):
        cameras({'cameras': {'': entry}}, Path('manifest.json'))
