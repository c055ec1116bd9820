# SPDX-License-Identifier: MIT
"""Mutual nearest neighbours against brute force, and cells against a real resize."""

from __future__ import annotations

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from selavpr_model.matching.nearest import cell_pixels, count_mutual, mutual_matches, nearest_tiled


def cells(seed: int, count: int, channels: int = 8) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((count, channels)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def brute_force(query: np.ndarray, reference: np.ndarray) -> list[tuple[int, int]]:
    similarity = query @ reference.T
    forward, back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    return [(i, int(j)) for i, j in enumerate(forward) if back[j] == i]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40))
def test_matches_equal_two_argmax_over_the_full_matrix(seed, n, m):
    query, reference = cells(seed, n), cells(seed + 1, m)
    assert [tuple(p) for p in mutual_matches(query, reference)] == brute_force(query, reference)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30), st.integers(1, 31))
def test_the_tile_size_changes_nothing_not_even_on_ties(seed, n, m, tile):
    rng = np.random.default_rng(seed)
    query = torch.from_numpy(rng.integers(-1, 2, (n, 2)).astype(np.float32))  # full of ties
    reference = torch.from_numpy(rng.integers(-1, 2, (m, 2)).astype(np.float32))
    references = torch.stack([reference, reference.flip(0)])
    tiled, whole = (nearest_tiled(query, references, t) for t in (tile, 1000))
    assert all(torch.equal(a, b) for a, b in zip(tiled, whole, strict=True))
    similarity = (query @ references.transpose(1, 2)).numpy()
    np.testing.assert_array_equal(whole[0].numpy(), similarity.argmax(axis=2))
    np.testing.assert_array_equal(whole[1].numpy(), similarity.argmax(axis=1))


def test_an_image_matches_itself_in_every_cell():
    query = cells(0, 100)
    assert count_mutual(query, query[None]).tolist() == [100]
    np.testing.assert_array_equal(
        mutual_matches(query, query), np.arange(100)[:, None].repeat(2, 1)
    )


def test_counts_are_the_lengths_of_the_matches_for_each_reference():
    query, references = cells(0, 30), np.stack([cells(i, 25) for i in range(1, 5)])
    counts = count_mutual(query, references)
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(mutual_matches(query, r)) for r in references]


def test_no_candidates_give_no_counts():
    assert count_mutual(cells(0, 5), np.empty((0, 5, 8), np.float32)).shape == (0,)


def test_dense_cells_of_a_224_image_sit_at_6_5_plus_3_5_u():
    xy = cell_pixels((61, 61), (224, 224), (224, 224)).reshape(61, 61, 2)
    expected = 6.5 + 3.5 * np.arange(61)
    np.testing.assert_allclose(xy[0, :, 0], expected)
    np.testing.assert_allclose(xy[:, 0, 1], expected)


def test_token_cells_sit_in_the_middle_of_their_patch():
    xy = cell_pixels((16, 22), (224, 308), (224, 308)).reshape(16, 22, 2)
    np.testing.assert_allclose(xy[3, 5], (5 * 14 + 6.5, 3 * 14 + 6.5))


@pytest.mark.parametrize('size', [(480, 640), (100, 333), (240, 320)])
def test_cells_point_back_to_where_bilinear_resizing_took_the_pixels_from(size):
    """A horizontal and a vertical ramp, resized: the cell's value is its place in the original."""
    rows, columns = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in size), indexing='ij')
    ramps = torch.from_numpy(np.stack([columns, rows]))[None]
    small = torch.nn.functional.interpolate(ramps, (224, 224), mode='bilinear')[0].numpy()
    xy = cell_pixels((16, 16), (224, 224), size).reshape(16, 16, 2)
    for axis, ramp in enumerate(small):
        patches = ramp.reshape(16, 14, 16, 14).mean(axis=(1, 3))
        np.testing.assert_allclose(xy[2:-2, 2:-2, axis], patches[2:-2, 2:-2], atol=0.01)


def test_shifted_crops_of_a_real_image_match_at_the_shift(shared_data, extractor):
    """Real weights: 28 px to the right is two tokens to the right for most matches."""
    path = sorted(shared_data('sevenscenes_redkitchen').glob('*.jpg'))[0]
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    left, right = image[100:324, 100:324], image[100:324, 128:352]
    a, b = (f.local.reshape(-1, f.local.shape[-1]) for f in extractor.extract_batch([left, right]))
    pairs = mutual_matches(a, b)
    xy = cell_pixels(extractor.identity.local_shape[:2], (224, 224), (224, 224))
    shift = xy[pairs[:, 0]] - xy[pairs[:, 1]]
    right_ones = np.all(np.abs(shift - (28, 0)) < 1, axis=1)
    assert right_ones.mean() > 0.6
