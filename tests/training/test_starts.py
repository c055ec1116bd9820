# SPDX-License-Identifier: MIT
"""A whitening whitens what it was made of, and finds places where a common axis hides them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from selavpr_model.errors import InputError
from selavpr_model.features.network import Projection
from selavpr_model.training.starts import whiten, whitening


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def scenes(seed: int, places: int = 60, dim: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Two visits of each place, (places, dim) each: what tells places apart is small beside two
    axes that change with the light."""
    rng = np.random.default_rng(seed)
    place = 0.3 * rng.standard_normal((places, dim))
    light = rng.standard_normal((2, places, 2)) @ rng.standard_normal((2, dim)) * 2
    noise = 0.02 * rng.standard_normal((2, places, dim))
    first, second = unit(4 + place + light[0] + noise[0]), unit(4 + place + light[1] + noise[1])
    return first, second


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 12))
def test_without_shrinkage_every_axis_gets_the_same_spread(seed, width):
    features = np.concatenate(scenes(seed))
    weight, bias = whitening(features, width, 0.0)
    out = features.astype(np.float64) @ weight.T + bias
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(out.T), np.eye(width), atol=2e-2)


def test_shrinkage_keeps_axes_of_mere_noise_quiet():
    features = np.concatenate(scenes(1))
    features[:, -1] = features[:, -2]  # an axis without any spread
    weight, bias = whitening(features, 12, 0.05)
    spread = np.var(features @ weight.T + bias, axis=0)
    assert np.isfinite(weight).all()
    assert spread[-1] < 1e-3 < 0.5 < spread[0] <= 1.0


def test_whitened_features_find_more_places():
    first, second = scenes(2)
    projection = Projection(12, 12)
    whiten(projection, np.concatenate([first, second]), 0.05)
    with torch.inference_mode():
        white = [unit(projection(torch.from_numpy(x)).numpy()) for x in (first, second)]
    own = np.arange(len(first))
    plain = np.mean((first @ second.T).argmax(axis=1) == own)
    better = np.mean((white[0] @ white[1].T).argmax(axis=1) == own)
    assert better > plain + 0.2


def test_the_projection_is_of_an_ordinary_size():
    features = np.concatenate(scenes(3))
    projection = Projection(12, 8)
    whiten(projection, features, 0.05)
    with torch.inference_mode():
        out = projection(torch.from_numpy(features))
    assert float(out.square().sum(dim=1).mean()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(('images', 'width'), [(8, 8), (100, 13), (100, 0)])
def test_too_few_images_or_too_many_axes_are_refused(images, width):
    features = np.random.default_rng(0).standard_normal((images, 12))
    with pytest.raises(InputError, match='whitening: expected more than'):
        whitening(features, width, 0.05)
