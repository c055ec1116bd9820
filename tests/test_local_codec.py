# SPDX-License-Identifier: MIT
"""Codes of one scale: what they keep, and what lies between knots."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np

from selavpr_model.local_codec import decode, encode, expand, knots, rotation, thin


def unit(seed: int, *shape: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def test_the_rotation_keeps_products_even_of_one_sided_cells():
    np.testing.assert_allclose(rotation(128) @ rotation(128).T, np.eye(128), atol=1e-5)
    cells = unit(0, 200, 128)
    cells[:128] = np.eye(128)
    assert (decode(encode(cells)) * cells).sum(axis=1).min() > 0.995


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 70), st.data())
def test_knots_are_evenly_spread_and_hold_both_ends(cells, data):
    at = knots(cells, data.draw(st.integers(2, cells)))
    assert at[0] == 0 and at[-1] == cells - 1
    assert np.ptp(np.diff(at)) <= 1 and (np.diff(at) > 0).all()


def test_cells_between_knots_are_interpolated_and_knots_stay():
    grid = encode(unit(1, 4, 4, 32))
    full = expand(grid, (13, 13))
    np.testing.assert_allclose(decode(thin(full, (4, 4))), decode(grid), atol=0.02)
    between = decode(full[0, 2]), decode(grid[0, 0]) + decode(grid[0, 1])
    assert between[0] @ between[1] / np.linalg.norm(between[1]) > 0.995


def test_cells_of_zeros_stay_zero():
    assert not expand(encode(np.zeros((3, 3, 8), np.float32)), (7, 7)).any()
