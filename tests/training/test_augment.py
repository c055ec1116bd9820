# SPDX-License-Identifier: MIT
"""Training views: the homography says where each pixel came from, and all is repeatable."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config.training import AugmentConfig
from selavpr_model.training.augment import change_look, make_view

PLAIN = AugmentConfig(
    light=0.0, colour=0.0, grey=0.0, blur=0.0, low_resolution=0.0, noise=0.0, jpeg=0.0,
    occlusion=0.0,
)  # fmt: skip
ALL = AugmentConfig(grey=1.0, blur=1.0, low_resolution=1.0, noise=1.0, jpeg=1.0, occlusion=1.0)


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('seed', range(5))
def test_the_homography_says_where_a_point_of_the_view_came_from(seed, flip):
    """The brightness of the image is its column and row; so is that of the view, once mapped."""
    y, x = np.mgrid[0:120, 0:200]
    image = np.stack([x, y, 0 * x], axis=2).astype(np.uint8)
    view = make_view(image, 56, np.random.default_rng(seed), PLAIN, flip)
    points = np.array([[10, 30, 1], [40, 12, 1], [28, 28, 1]], float)
    at = points @ view.homography.T
    at = at[:, :2] / at[:, 2:]
    inside = (at > 2).all(1) & (at < [197, 117]).all(1)
    assert inside.any()
    for point, (column, row) in zip(points[inside].astype(int), at[inside], strict=True):
        seen = view.image[point[1], point[0]].astype(float)
        assert seen[:2] == pytest.approx([column, row], abs=3.5)


def test_one_seed_gives_one_view():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    views = [make_view(image, 56, np.random.default_rng(s), ALL, False).image for s in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert (views[0] != views[2]).any()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_any_image_gives_a_view_of_the_right_kind(height, width, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    view = make_view(image, 28, rng, ALL, bool(seed % 2))
    assert view.image.shape == (28, 28, 3) and view.image.dtype == np.uint8
    assert np.isfinite(view.homography).all()


def test_light_alone_keeps_the_edges_where_they_are():
    """A step edge stays a step edge, however dark or bright the image becomes."""
    image = np.full((56, 56, 3), 60, np.uint8)
    image[:, 28:] = 190
    config = AugmentConfig(
        light=0.5, grey=0.0, blur=0.0, low_resolution=0.0, noise=0.0, jpeg=0.0, occlusion=0.0
    )
    for seed in range(8):
        changed = change_look(image, np.random.default_rng(seed), config).astype(float).mean(2)
        assert np.abs(np.diff(changed[28])).argmax() == 27
