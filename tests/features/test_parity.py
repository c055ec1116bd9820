# SPDX-License-Identifier: MIT
"""The network against the official implementation's outputs (reference.md, section 9)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from parity import formula_image, official_state, write_official_checkpoint
import pytest
import torch

from selavpr_model.features.checkpoint import build_network, read_checkpoint
from selavpr_model.features.network import SelaVPR
from selavpr_model.matching.nearest import count_mutual, mutual_matches

DATA = Path(__file__).parent / 'data'
CASES = {'vit_small': ('vits14', 0), 'vit_small_reg4': ('vits14', 4), 'vit_large': ('vitl14', 0)}


@pytest.fixture(scope='module', params=CASES)
def outputs(request, tmp_path_factory):
    """Reference arrays, and our global and local features of the same images."""
    reference = np.load(DATA / f'parity_{request.param}.npz')
    state = official_state(*CASES[request.param], seed=int(reference['seed']))
    path = tmp_path_factory.mktemp('parity') / 'official.pth'
    write_official_checkpoint(path, state)
    network = build_network(read_checkpoint(path))
    return reference, *features(network, len(reference['global_features']))


def features(network: SelaVPR, count: int) -> tuple[np.ndarray, np.ndarray]:
    images = np.stack([formula_image(i) for i in range(count)])
    with torch.inference_mode():
        global_, local, _ = network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    return global_.numpy(), local.numpy()


def test_global_features_agree_with_the_official_code(outputs):
    reference, global_, _ = outputs
    np.testing.assert_allclose(global_, reference['global_features'], atol=1e-5, rtol=0)


def test_local_features_agree_with_the_official_code(outputs):
    reference, _, local = outputs
    sample = local[:, ::6, ::6, :][:, ::5, ::5, ::4]
    np.testing.assert_allclose(sample, reference['local_sample'], atol=1e-5, rtol=0)
    checksum = local.sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(checksum, reference['local_checksum'], atol=1e-3, rtol=0)


def test_mutual_match_counts_agree_up_to_two(outputs):
    reference, _, local = outputs
    cells = local.reshape(len(local), -1, local.shape[-1])
    counts = np.array([count_mutual(query, cells) for query in cells])
    assert np.abs(counts - reference['match_counts']).max() <= 2


@pytest.mark.parametrize('name', CASES)
def test_the_committed_excerpt_is_what_shared_parity_holds(name, shared_data):
    """The numbers in tests/features/data were copied from ../shared/parity; nothing drifted."""
    whole = np.load(shared_data('../parity') / f'{name}.npz')
    ours = np.load(DATA / f'parity_{name}.npz')
    np.testing.assert_array_equal(ours['global_features'], whole['global_features'])
    np.testing.assert_array_equal(ours['match_counts'], whole['match_counts'])
    np.testing.assert_array_equal(whole['images'][0], formula_image(0))


def test_mutual_matches_give_the_official_local_loss(shared_data):
    """losses.npz: the hinge of Eq. 10 over our matches is the official sum, to 1e-5."""
    data = np.load(shared_data('../parity') / 'losses.npz')

    def similarity(a: np.ndarray, b: np.ndarray) -> float:
        a, b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
        pairs = mutual_matches(a, b)
        return float((a[pairs[:, 0]] * b[pairs[:, 1]]).sum(axis=1).mean())

    triplets = zip(data['q'], data['p'], data['n'], strict=True)
    loss = sum(max(0.0, similarity(q, n) - similarity(q, p)) for q, p, n in triplets)
    assert loss == pytest.approx(float(data['local_loss_sum']), abs=1e-5)
