# SPDX-License-Identifier: MIT
"""Codes of one scale: what they keep, and how many bytes that takes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.matching.local_codec import DenseCodec, FastCodec, rotation, TinyCodec
from selavpr_model.matching.nearest import cell_pixels, mutual_matches

DENSE, TOKENS = (61, 61, 128), (16, 16, 384)
CODECS = (DenseCodec, FastCodec, TinyCodec)


def unit(seed: int, *shape: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def test_the_rotation_keeps_products_even_of_one_sided_cells():
    np.testing.assert_allclose(rotation(128) @ rotation(128).T, np.eye(128), atol=1e-5)
    cells = unit(0, 16, 16, 128)
    cells.reshape(-1, 128)[:128] = np.eye(128)
    codec = DenseCodec((16, 16, 128))
    kept = codec.decode(codec.codes(cells)).reshape(cells.shape)
    assert (kept * cells).sum(axis=-1).min() > 0.995


@pytest.mark.parametrize(
    ('kind', 'shape', 'stored'),
    [
        (DenseCodec, DENSE, (3721, 128)),
        (FastCodec, DENSE, (961, 123)),
        (TinyCodec, DENSE, (961, 62)),
        (DenseCodec, TOKENS, (256, 384)),
        (FastCodec, TOKENS, (256, 384)),
        (TinyCodec, TOKENS, (256, 192)),
    ],
)
def test_a_storage_keeps_what_its_bytes_allow(kind, shape, stored):
    codec = kind(shape)
    codes = codec.packed(unit(1, *shape))
    assert (codes.shape, codes.dtype) == (codec.shape, codec.dtype) and codes.shape == stored
    assert codec.limit is None or codes.nbytes <= codec.limit


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(CODECS), st.integers(1, 90), st.integers(1, 90), st.integers(1, 40))
def test_any_shape_has_codes_of_its_grid_and_decodes_to_unit_vectors(kind, h, w, channels):
    codec = kind((h, w, channels))
    codes = codec.codes(unit(2, h, w, channels))
    assert codes.shape == (codec.grid[0] * codec.grid[1], codec.channels)
    view = codec.view(codec.packed(unit(2, h, w, channels)))
    assert view.shape == codes.shape and view.dtype == np.int8
    if kind is TinyCodec:
        assert np.abs(view).max() <= 7
    else:
        np.testing.assert_array_equal(view, codes)
    decoded = codec.decode(codes)
    lengths = np.linalg.norm(decoded, axis=-1)
    assert decoded.shape[1] == channels
    assert ((np.abs(lengths - 1) < 1e-3) | (lengths == 0)).all()


def test_cells_of_a_thinned_grid_lie_where_they_lay_in_the_whole_one():
    codec = FastCodec((61, 85, 128))
    sizes = (224, 308), (480, 640)
    whole = cell_pixels((61, 85), *sizes).reshape(61, 85, 2)
    np.testing.assert_allclose(cell_pixels(codec.grid, *sizes), whole[::2, ::2].reshape(-1, 2),
                               atol=1e-3)  # fmt: skip


@pytest.mark.parametrize('kind', CODECS)
def test_a_noisy_view_still_matches_cell_by_cell(kind):
    clean = unit(3, 31, 33, 128)
    noisy = clean + 0.5 * unit(4, 31, 33, 128)
    codec = kind(clean.shape)
    pairs = mutual_matches(codec.codes(noisy), codec.view(codec.packed(clean)))
    cells = codec.grid[0] * codec.grid[1]
    assert len(pairs) > 0.9 * cells and (pairs[:, 0] == pairs[:, 1]).mean() > 0.99


def test_cells_of_zeros_stay_zero():
    codec = TinyCodec((3, 3, 8))
    codes = codec.codes(np.zeros((3, 3, 8), np.float32))
    assert not codes.any() and not codec.decode(codes).any()
    assert not codec.view(codec.packed(np.zeros((3, 3, 8), np.float32))).any()


def test_four_bits_of_all_channels_keep_nearly_what_eight_do():
    cells = unit(9, 61, 61, 128)
    tiny, fast = TinyCodec(cells.shape), FastCodec(cells.shape)
    back = tiny.decode(tiny.view(tiny.packed(cells)))
    assert (back * fast.decode(fast.codes(cells))).sum(axis=1).mean() > 0.97


def test_a_kept_cell_has_a_quarter_of_what_lies_beside_it_on_each_axis():
    wide = np.zeros((35, 36, 4), np.float32)
    wide[10, 12, 0] = 1.0  # kept
    wide[20, 21, 1] = 1.0  # between two kept ones
    wide[29, 5, 2] = 1.0  # between four
    codec = FastCodec(wide.shape)
    cells = codec.decode(codec.codes(wide)).reshape(*codec.grid, 4)
    assert codec.grid == (18, 18)
    lit = {tuple(map(int, at)) for at in np.argwhere(np.abs(cells) > 0.9)}
    assert lit == {
        (5, 6, 0), (10, 10, 1), (10, 11, 1),
        *((y, x, 2) for y in (14, 15) for x in (2, 3)),
    }  # fmt: skip


def test_the_whole_grid_is_kept_as_it_is():
    cells = unit(5, 16, 16, 32)
    codec = FastCodec(cells.shape)
    assert (codec.decode(codec.codes(cells)).reshape(cells.shape) * cells).sum(-1).min() > 0.99
