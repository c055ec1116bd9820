# SPDX-License-Identifier: MIT
"""Matches that count: against a slow reading of the rule, and what the rule is for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.matching.local_codec import DenseCodec, FastCodec
from selavpr_model.matching.matcher import consistent, Matcher, SUPPORT
from selavpr_model.matching.nearest import count_mutual, mutual_matches


def by_the_rule(
    matched: np.ndarray, partner: np.ndarray, grid: tuple[int, int], reach: int
) -> np.ndarray:
    """One cell after the other, as the module's docstring says it."""
    h, w = grid
    kept = np.zeros(h * w, bool)
    for cell in np.flatnonzero(matched):
        y, x = divmod(int(cell), w)
        moved = np.array(divmod(int(partner[cell]), w)) - (y, x)
        agree = 0
        for dy in (-reach, 0, reach):
            for dx in (-reach, 0, reach):
                at = (y + dy, x + dx)
                if (dy, dx) == (0, 0) or not (0 <= at[0] < h and 0 <= at[1] < w):
                    continue
                other = at[0] * w + at[1]
                its = np.array(divmod(int(partner[other]), w)) - at
                agree += bool(matched[other]) and bool((np.abs(its - moved) <= reach).all())
        kept[cell] = agree >= SUPPORT
    return kept


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_the_matches_that_count_are_those_of_the_rule(seed, h, w, reach):
    rng = np.random.default_rng(seed)
    identity = np.arange(h * w)
    partner = np.where(rng.random((3, h * w)) < 0.5, identity, rng.integers(0, h * w, (3, h * w)))
    matched = rng.random((3, h * w)) < 0.8
    found = consistent(matched, partner.astype(np.int32), (h, w), reach)
    for i in range(3):
        expected = by_the_rule(matched[i], partner[i], (h, w), reach)
        np.testing.assert_array_equal(found[i], expected)


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def view(seed: int, side: int = 31, channels: int = 32) -> np.ndarray:
    """(side, side, channels) random unit cells: a scene that has nothing twice."""
    return unit(np.random.default_rng(seed).standard_normal((side, side, channels)))


@pytest.mark.parametrize(('side', 'kind'), [(31, DenseCodec), (61, DenseCodec), (61, FastCodec)])
def test_a_shifted_view_keeps_its_matches_and_another_place_loses_its_own(side, kind):
    scene = view(0, side + 8)
    codec = kind((side, side, 32))
    query, shifted = (codec.codes(scene[i : i + side, i : i + side]) for i in (0, 8))
    other = codec.codes(view(1, side))
    matcher = Matcher(codec.grid, 2 if codec.grid == (61, 61) else 1)
    plain = count_mutual(query, [shifted, other])
    kept = matcher.count(query, [shifted, other])
    shared = (codec.grid[0] - 8 * codec.grid[0] // side) ** 2
    assert kept[0] >= 0.95 * shared
    assert plain[1] > 100  # scattered matches, as between any two images
    assert kept[1] < 0.1 * plain[1]


def test_an_image_matches_itself_in_every_cell():
    query = view(3).reshape(-1, 32)
    assert Matcher((31, 31)).count(query, [query]).tolist() == [961]


def test_pairs_and_counts_agree_and_are_mutual():
    query, other = view(4).reshape(-1, 32), view(4).reshape(-1, 32)[::-1].copy()
    blend = unit(query + 0.8 * view(5).reshape(-1, 32))
    matcher = Matcher((31, 31))
    pairs = matcher.pairs(query, blend)
    assert len(pairs) == matcher.count(query, [other, blend])[1] > 0
    assert {tuple(p) for p in pairs} <= {tuple(p) for p in mutual_matches(query, blend)}


def test_the_papers_score_counts_every_mutual_match():
    query, other = view(6).reshape(-1, 32), view(7).reshape(-1, 32)
    paper = Matcher((31, 31), 1, 'mutual')
    assert paper.count(query, [other]).tolist() == count_mutual(query, [other]).tolist()
    np.testing.assert_array_equal(paper.pairs(query, other), mutual_matches(query, other))


def test_no_candidate_and_no_cell_are_no_matches():
    query = view(8).reshape(-1, 32)
    assert Matcher((31, 31)).count(query, []).shape == (0,)
    assert Matcher((31, 31)).count(query, [np.zeros_like(query)]).tolist() == [0]
