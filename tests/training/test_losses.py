# SPDX-License-Identifier: MIT
"""Losses against the released code's numbers, gradients included, and against plain loops."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from selavpr_model.training import losses

KEYS = ('q', 'p', 'n', 'gq', 'gp', 'gn')


def units(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator), dim=-1)


def test_losses_and_gradients_are_the_released_codes(shared_data):
    data = np.load(shared_data('../parity') / 'losses.npz')
    x = {key: torch.tensor(data[key], requires_grad=True) for key in KEYS}
    q, p, n = (x[key].flatten(1, 2) for key in ('q', 'p', 'n'))
    local = losses.local_loss(q, p, n[:, None])
    global_ = losses.triplet_loss(x['gq'], x['gp'], x['gn'][:, None], margin=0.1)
    (local + global_).backward()
    assert local.item() == pytest.approx(float(data['local_loss_sum']), abs=1e-5)
    assert global_.item() == pytest.approx(float(data['global_loss_sum']), abs=1e-5)
    compared = [key for key in KEYS if f'grad_{key}' in data]
    assert {'q', 'p', 'n', 'gq'} <= set(compared)
    for key in compared:
        np.testing.assert_allclose(x[key].grad, data[f'grad_{key}'], atol=1e-5)


def test_the_losses_are_divided_as_released_or_not_as_written():
    assert losses.divisor(4, 2, 'mean') == 8
    assert losses.divisor(4, 2, 'sum') == 1


def test_cells_that_do_not_match_mutually_give_no_nan():
    """The first of a prefers b's only cell, which prefers the second: one match, not two."""
    a = F.normalize(torch.tensor([[[1.0, 0.5], [1.0, 0.0]]]), dim=-1).requires_grad_()
    b = torch.tensor([[[1.0, 0.0]]])
    similarity = losses.mutual_similarity(a, b)
    similarity.sum().backward()
    assert similarity.item() == pytest.approx(1.0)  # that one match, not the mean of all cells
    assert torch.isfinite(a.grad).all()


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 12), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_mutual_similarity_is_the_mean_over_matches_found_one_by_one(seed, rows, columns, width):
    a, b = units(seed, rows, width), units(seed + 1, columns, width)
    similarity = a @ b.T
    forth, back = similarity.argmax(1), similarity.argmax(0)
    found = [similarity[i, forth[i]].item() for i in range(rows) if back[forth[i]] == i]
    assert losses.mutual_similarity(a[None], b[None]).item() == pytest.approx(
        np.mean(found), abs=1e-5
    )


def test_the_contrastive_loss_leaves_out_what_shows_the_same_place():
    """A second view of the place among the keys changes nothing; the same key as another does."""
    queries, keys = units(1, 2, 8), units(2, 4, 8)
    target = torch.tensor([0, 1])
    same = torch.zeros(2, 4, dtype=torch.bool)
    same[:, 3] = True
    without = losses.contrastive_loss(queries, keys[:3], same[:, :3], target, 0.1)
    masked = losses.contrastive_loss(queries, keys, same, target, 0.1)
    counted = losses.contrastive_loss(queries, keys, torch.zeros_like(same), target, 0.1)
    assert masked.item() == pytest.approx(without.item())
    assert counted > masked


def test_soft_matches_become_the_number_of_mutual_matches_when_cold():
    a, b = units(3, 1, 20, 16), units(4, 1, 15, 16)
    similarity = (a @ b.transpose(1, 2))[0]
    back = similarity.argmax(0)[similarity.argmax(1)]
    count = int((back == torch.arange(20)).sum())
    assert losses.soft_matches(a, b, 1e-5).item() == pytest.approx(count, abs=1e-3)
    assert losses.soft_matches(a, a, 0.01).item() == pytest.approx(20, abs=0.1)


def test_ranking_costs_less_the_more_the_positive_matches():
    counts = torch.tensor([[50.0, 40.0, 30.0]])
    better, worse = torch.tensor([[80.0, 40.0, 30.0]]), torch.tensor([[20.0, 40.0, 30.0]])
    of = [losses.soft_rank_loss(c, 4.0).item() for c in (better, counts, worse)]
    assert of == sorted(of)
    assert torch.isfinite(losses.soft_rank_loss(torch.zeros(1, 3), 4.0))


def test_right_correspondences_cost_less_than_wrong_ones_and_none_costs_nothing():
    cells = units(5, 12, 16)
    right = torch.arange(12).repeat(2, 1).T
    wrong = torch.stack([right[:, 0], right[:, 1].roll(1)], dim=1)
    assert losses.correspondence_loss(cells, cells, right, 0.1) < losses.correspondence_loss(
        cells, cells, wrong, 0.1
    )
    assert losses.correspondence_loss(cells, cells, right[:0], 0.1) == 0
