# SPDX-License-Identifier: MIT
"""Global and local features: shapes, lengths and the equations behind them."""

from __future__ import annotations

import pytest
import torch

from selavpr_model.config import ModelConfig
from selavpr_model.features.network import GeM, SelaVPR


def network(**options) -> SelaVPR:
    torch.manual_seed(0)
    return SelaVPR(ModelConfig(**{'blocks': 1, **options})).eval()


@pytest.mark.parametrize('head', ['upconv', 'tokens'])
@pytest.mark.parametrize('size', [(224, 224), (70, 98)])
def test_features_have_unit_length_and_the_announced_shape(head, size):
    net = network(local_head=head)
    with torch.inference_mode():
        global_, local, _ = net(torch.rand(2, 3, *size))
    assert global_.shape == (2, 384)
    assert tuple(local.shape[1:]) == net.local_shape(*size)
    torch.testing.assert_close(global_.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(local.norm(dim=-1), torch.ones(local.shape[:-1]))


def test_a_16_grid_becomes_61_cells_a_side():
    assert network().local_shape(224, 224) == (61, 61, 128)
    assert network(local_head='tokens').local_shape(224, 308) == (16, 22, 384)


def test_gem_is_the_mean_at_p_1_and_nears_the_maximum_for_large_p():
    tokens = torch.rand(2, 9, 5) + 0.1
    torch.testing.assert_close(GeM(p=1.0)(tokens), tokens.mean(dim=1))
    torch.testing.assert_close(GeM(p=200.0)(tokens), tokens.amax(dim=1), rtol=0.02, atol=0)


def test_the_global_feature_normalises_each_token_before_pooling():
    net = network()
    tokens = torch.rand(1, 16, 384)
    scaled = tokens * torch.rand(1, 16, 1).add(0.5)
    cls = torch.rand(1, 384)
    torch.testing.assert_close(net.global_feature(tokens, cls), net.global_feature(scaled, cls))


def test_the_cls_token_is_the_global_feature_where_asked():
    net = network(global_feature='cls')
    x = torch.rand(1, 3, 56, 56)
    with torch.inference_mode():
        _, cls = net.backbone((x - net.mean) / net.std)
        expected = cls / cls.norm(dim=-1, keepdim=True)
        torch.testing.assert_close(net(x)[0], expected)
        torch.testing.assert_close(net.describe(x), expected)


def test_the_projection_is_linear_in_the_pooling_and_stays_in_float32():
    net = network(projection=24)
    x = torch.rand(2, 3, 56, 56)
    with torch.inference_mode():
        pooled = net.pool(*net.backbone((x - net.mean) / net.std))
        expected = pooled @ net.projection.weight.T + net.projection.bias
        expected = expected / expected.norm(dim=-1, keepdim=True)
        torch.testing.assert_close(net(x)[0], expected)
        torch.testing.assert_close(net.describe(x), expected)
        with torch.autocast('cpu', torch.bfloat16):
            assert torch.equal(net.projection(pooled), net.projection(pooled.double().float()))
    assert net.global_dim == 24 and network().global_dim == 384


def test_a_choice_that_came_later_leaves_old_descriptions_as_they_were():
    assert not {'global_feature', 'projection'} & ModelConfig().to_dict().keys()
    assert ModelConfig(projection=8).to_dict()['projection'] == 8
    values = ModelConfig(global_feature='cls').to_dict()
    assert ModelConfig.from_dict(values).global_feature == 'cls'


def test_half_precision_still_returns_float32_of_unit_length():
    net = network()
    with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16):
        global_, local, _ = net(torch.rand(1, 3, 56, 56))
    assert global_.dtype == local.dtype == torch.float32
    torch.testing.assert_close(local.norm(dim=-1), torch.ones(local.shape[:-1]))
