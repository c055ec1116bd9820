# SPDX-License-Identifier: MIT
"""Geometry on scenes whose motion is known, and on real images with poses."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from selavpr_model.config import GeometryConfig
from selavpr_model.geometry.map_geometry import verify_pair
from selavpr_model.geometry.rays import pixel_rays
from selavpr_model.geometry.two_view import Matches, solve, TwoView
from selavpr_model.records import Camera, PoseKind

K = np.array([[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]])
PINHOLE = Camera(K, np.zeros(5), (640, 480))
FISHEYE = Camera(K * [[0.5], [0.5], [1.0]], np.full(4, 0.01), (640, 480), 'equidistant')


def scene(
    R: np.ndarray, t: np.ndarray, seed: int = 0, count: int = 300, noise_px: float = 0.5
) -> Matches:
    """Matches of points 2 to 8 m away; R, t: T_reference_query."""
    rng = np.random.default_rng(seed)
    query = np.c_[rng.uniform(-0.5, 0.5, (count, 2)), np.ones(count)]
    points = query * rng.uniform(2.0, 8.0, (count, 1))
    seen = points @ R.T + t
    pixels = [p[:, :2] / p[:, 2:] * 500.0 + [320.0, 240.0] for p in (points, seen)]
    pixels = [p + rng.normal(0.0, noise_px, p.shape) for p in pixels]
    cells = np.stack([np.arange(count)] * 2, axis=1)
    rays = [pixel_rays(p, PINHOLE) for p in pixels]
    noise = max(noise_px, 0.05) / 500.0
    return Matches(cells, pixels[0], rays[0], rays[1], PINHOLE.size, noise)


def turned(degrees: float, axis: tuple[float, float, float] = (0.2, 1.0, 0.1)) -> np.ndarray:
    unit = np.array(axis) / np.linalg.norm(axis)
    return Rotation.from_rotvec(np.radians(degrees) * unit).as_matrix()


def angle(R: np.ndarray, S: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(R.T @ S).magnitude()))


WIDE = GeometryConfig(parallax_deg=20.0)


@settings(max_examples=15, deadline=None)
@given(
    st.floats(-25.0, 25.0),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).filter(
        lambda v: np.linalg.norm(v) > 0.3
    ),
    st.integers(0, 99),
)
def test_rotation_and_direction_of_a_random_motion_are_found(
    degrees: float, way: tuple[float, float, float], seed: int
) -> None:
    R, t = turned(degrees), np.array(way)
    view = solve(scene(R, t, seed), WIDE)
    assert view.agrees, view.reason
    assert view.rotation is not None
    assert angle(view.rotation, R) < 1.0
    if view.direction is not None:
        assert np.degrees(np.arccos(view.direction @ t / np.linalg.norm(t))) < 15.0


def test_a_clear_motion_has_its_direction() -> None:
    view = solve(scene(turned(10.0), np.array([1.0, 0.2, 0.0])), WIDE)
    assert view.pose_kind is PoseKind.ROTATION_AND_DIRECTION
    assert view.direction is not None
    assert view.direction[0] > 0.95


def test_wrong_matches_do_not_move_the_answer() -> None:
    R, found = turned(8.0), scene(turned(8.0), np.array([0.6, 0.0, 0.3]))
    wrong = np.random.default_rng(1).permutation(300)[:120]
    found.reference_rays[wrong] = np.roll(found.reference_rays[wrong], 7, axis=0)
    view = solve(found, WIDE)
    assert view.agrees
    assert view.rotation is not None
    assert angle(view.rotation, R) < 1.0


@pytest.mark.parametrize('seed', range(5))
def test_a_rotation_on_the_spot_has_no_direction(seed: int) -> None:
    view = solve(scene(turned(15.0), np.zeros(3), seed), GeometryConfig())
    assert view.agrees
    assert view.direction is None
    assert view.pose_kind is PoseKind.NONE
    assert 'direction' in view.reason
    assert view.rotation is not None
    assert angle(view.rotation, turned(15.0)) < 0.3


def test_unrelated_rays_are_refused_with_a_reason() -> None:
    found = scene(np.eye(3), np.zeros(3))
    np.random.default_rng(0).shuffle(found.reference_rays)
    view = solve(found, GeometryConfig())
    assert not view.agrees
    assert 'needed' in view.reason


@settings(max_examples=40, deadline=None)
@example(21, 14, 'one')
@given(st.integers(0, 30), st.integers(0, 50), st.sampled_from(['equal', 'one', 'line']))
def test_degenerate_matches_never_raise(count: int, seed: int, kind: str) -> None:
    found = scene(np.eye(3), np.ones(3), seed, max(count, 1))
    if kind == 'equal':
        found.reference_rays[:] = found.query_rays
    elif kind == 'one':
        found.reference_rays[:] = found.query_rays[:] = found.query_rays[0]
    else:
        found.query_rays[:, 1] = 0.0
    view = solve(found, GeometryConfig())
    assert isinstance(view, TwoView)
    assert view.reason
    assert view.covariance is None or (np.linalg.eigvalsh(view.covariance) > 0).all()


def test_features_without_structure_are_refused() -> None:
    flat = np.full((9, 9, 4), 0.5, np.float32)
    view = verify_pair(flat, flat, PINHOLE, PINHOLE, (126, 126))
    assert not view.agrees


@pytest.mark.parametrize('camera', [PINHOLE, FISHEYE])
def test_pixels_of_known_rays_lead_back_to_them(camera: Camera) -> None:
    import cv2

    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    points[:, 2] += 1.5
    zero = np.zeros(3)
    if camera is FISHEYE:
        pixels = cv2.fisheye.projectPoints(
            points[:, None], zero, zero, camera.K, camera.distortion
        )[0]
    else:
        pixels = cv2.projectPoints(points, zero, zero, camera.K, camera.distortion)[0]
    rays = pixel_rays(pixels.reshape(-1, 2), camera)
    true = points / np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(rays, true, atol=1e-4)
