# SPDX-License-Identifier: MIT
"""What fewer cells and channels cost on real pairs of another season; a regression fails here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from selavpr_model.local_codec import LocalCodec, rotation
from selavpr_model.matching import count_mutual
from selavpr_model.sources import read_rgb

PAIRS, CANDIDATES = 20, 6


def dense(local: np.ndarray) -> np.ndarray:
    """Tokens (h, w, C) as a local head spreads them: (4h - 3, 4w - 3, 128) unit vectors."""
    tokens = torch.from_numpy(local @ rotation(local.shape[-1])[:, :128]).permute(2, 0, 1)[None]
    size = [4 * n - 3 for n in local.shape[:2]]
    grid = torch.nn.functional.interpolate(tokens, size, mode='bilinear', align_corners=True)
    return torch.nn.functional.normalize(grid, dim=1)[0].permute(1, 2, 0).numpy()


@pytest.fixture(scope='module')
def pairs(shared_data, extractor):
    """(queries, references): features of the same places in another season, row by row."""
    folder = shared_data('sped')
    files = sorted((folder / 'query').glob('*.png'))[:400]
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, PAIRS).astype(int)]
    files_of = chosen, [folder / 'ref' / f.name for f in chosen]
    return [extractor.extract_batch([read_rgb(f) for f in side]) for side in files_of]


def best_of(preset: str, queries, references, shown: np.ndarray, spread) -> np.ndarray:
    """The re-ranked first place of each query."""
    codec = LocalCodec(preset, spread(queries[0].local).shape)
    codes = [codec.encode(spread(r.local)) for r in references]
    counts = [
        count_mutual(codec.encode(spread(query.local)), [codes[i] for i in rows])
        for query, rows in zip(queries, shown, strict=True)
    ]
    return shown[np.arange(len(shown)), np.argmax(counts, axis=1)]


@pytest.fixture(scope='module')
def shown(pairs):
    """(queries, CANDIDATES): the right place and the globally most similar others."""
    queries, references = (np.stack([f.global_ for f in side]) for side in pairs)
    similar = queries @ references.T
    np.fill_diagonal(similar, np.inf)
    return np.argsort(-similar, axis=1)[:, :CANDIDATES]


@pytest.mark.parametrize(('preset', 'agreed', 'lost'), [('compact', 0.85, 1), ('tiny', 0.65, 2)])
def test_a_dense_grid_is_ranked_as_by_all_its_cells(pairs, shown, preset, agreed, lost):
    exact = best_of('exact', *pairs, shown, dense)
    fewer = best_of(preset, *pairs, shown, dense)
    right = np.arange(PAIRS)
    assert (exact == fewer).mean() >= agreed
    assert (fewer == right).sum() >= (exact == right).sum() - lost


def test_patch_tokens_lose_nothing_in_compact_and_little_in_tiny(pairs, shown):
    exact, compact, tiny = (
        best_of(p, *pairs, shown, np.asarray) for p in ('exact', 'compact', 'tiny')
    )
    assert (exact == compact).all() and (exact == tiny).mean() >= 0.85
