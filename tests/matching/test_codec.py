# SPDX-License-Identifier: MIT
"""What every storage of local features promises a map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from selavpr_model.config import MapConfig, ModelConfig
from selavpr_model.features.network import SelaVPR
from selavpr_model.matching.codec import Codec, codec_of
from selavpr_model.matching.compact_codec import CompactCodec
from selavpr_model.matching.local_codec import FastCodec
from selavpr_model.matching.local_head import head_of
from selavpr_model.matching.matcher import Matcher
from selavpr_model.matching.token_matcher import TokenMatcher
from selavpr_model.records import Features

STORAGES = MapConfig.__dataclass_fields__['local_dtype'].metadata['choices']


@pytest.fixture(scope='module')
def network() -> SelaVPR:
    torch.manual_seed(5)
    return SelaVPR(ModelConfig(blocks=1)).eval()


@pytest.fixture(scope='module')
def views(network: SelaVPR) -> list[Features]:
    """Of noise at 154 x 126 px: 11 x 9 tokens, 41 x 33 dense cells."""
    torch.manual_seed(6)
    with torch.inference_mode():
        outputs = network(torch.rand(2, 3, 154, 126))
    return [Features(*one) for one in zip(*(whole.numpy() for whole in outputs), strict=True)]


@pytest.fixture(params=STORAGES)
def codec(request: pytest.FixtureRequest, network: SelaVPR) -> Codec:
    assert network.local is not None
    return codec_of(request.param, network.local_shape(154, 126), head_of(network.local))


def test_each_storage_of_the_configuration_has_a_codec_of_its_name(codec, request):
    assert codec.name in request.node.name


def test_a_row_has_the_promised_form_and_shares_no_memory(codec, views):
    row = codec.store(views[0])
    assert (row.shape, row.dtype) == (codec.shape, codec.dtype)
    assert not np.shares_memory(row, views[0].local)


def test_a_view_decodes_to_unit_vectors_of_its_cells(codec, views):
    decoded = codec.decode(codec.view(codec.store(views[0])))
    assert decoded.shape == (codec.grid[0] * codec.grid[1], codec.local_shape[2])
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1.0, atol=1e-3)


@pytest.mark.parametrize('codec', ['dense', 'compact', 'exact'], indirect=True)
def test_a_view_of_all_cells_keeps_their_directions(codec, views):
    local = views[0].local
    decoded = codec.decode(codec.view(codec.store(views[0])))
    assert (decoded * local.reshape(-1, local.shape[2])).sum(axis=1).min() > 0.99


def test_a_place_is_found_by_its_own_features_and_not_by_others(codec, views):
    matcher = codec.matcher('mutual')
    rows = [codec.view(codec.store(one)) for one in views]
    counts = matcher.count(codec.encode(views[1]), rows)
    assert counts[1] > 0.95 * codec.grid[0] * codec.grid[1] > 1.5 * counts[0]
    assert matcher.grid == codec.grid


def test_large_grids_are_compared_over_every_second_cell_however_they_are_stored(codec):
    thinned = codec.grid == (21, 17)
    assert thinned or codec.grid == (41, 33)
    assert codec.matcher('mutual').reach == (1 if thinned else 2)


def test_only_tokens_are_compared_by_what_they_become(codec):
    expected = TokenMatcher if isinstance(codec, CompactCodec) else Matcher
    assert type(codec.matcher('mutual', quick=True)) is expected
    assert (codec.head is not None) is isinstance(codec, CompactCodec)


def test_without_a_head_compact_keeps_the_tokens_as_fast_does():
    assert codec_of('compact', (16, 16, 384)) == FastCodec((16, 16, 384))
