# SPDX-License-Identifier: MIT
"""The fused network is the plain one, and torch.export follows both."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from parity import formula_image, official_state
import pytest
import torch

from selavpr_model.config import ModelConfig
from selavpr_model.features.checkpoint import build_network, from_official
from selavpr_model.features.engines.fused import FusedSelaVPR, FusedUp
from selavpr_model.features.engines.linears import bf16_is_fast, PackedLinear, PlainLinear
from selavpr_model.features.engines.tensorrt import export_program, HalfSelaVPR
from selavpr_model.features.network import SelaVPR, unit

KINDS = {'plain': PlainLinear, 'packed': partial(PackedLinear, dtype=torch.float32)}


def formula_network(backbone: str, registers: int, blocks: int) -> SelaVPR:
    state = official_state(backbone, registers, seed=3)
    kept = {k: v for k, v in state.items() if not _later(k, blocks)}
    return build_network(from_official(kept, Path('official.pth')))


def _later(key: str, blocks: int) -> bool:
    parts = key.split('.')
    return parts[1] == 'blocks' and int(parts[2]) >= blocks


def images(count: int, height: int = 224, width: int = 224) -> torch.Tensor:
    stacked = np.stack([formula_image(i)[:height, :width] for i in range(count)])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    ('backbone', 'registers', 'blocks'),
    [('vits14', 0, 12), ('vits14', 4, 12), ('vitl14', 0, 3)],
)
@torch.inference_mode()
def test_the_fused_network_gives_what_the_plain_one_gives(backbone, registers, blocks, kind):
    network = formula_network(backbone, registers, blocks)
    fused = FusedSelaVPR(network, (224, 224), KINDS[kind], torch.float32)
    for got, expected in zip(fused(images(2)), network(images(2)), strict=True):
        np.testing.assert_allclose(unit(got), unit(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    'options',
    [
        {'serial_adapter': False},
        {'parallel_adapter': False},
        {'global_feature': 'cls'},
        {'projection': 40},
        {'projection': 40, 'global_feature': 'cls'},
        {'final_norm': False, 'local_head': 'tokens'},
        {'backbone': 'vitg14', 'registers': 2},
    ],
    ids=str,
)
@torch.inference_mode()
def test_every_architecture_and_a_wide_input_are_fused(options):
    torch.manual_seed(0)
    network = SelaVPR(ModelConfig(**{'blocks': 2, **options})).eval()
    for name, tensor in network.named_parameters():
        if 'up.' in name or name.endswith('gamma'):
            torch.nn.init.normal_(tensor, std=0.3)
    fused = FusedSelaVPR(network, (56, 84), PlainLinear, torch.float32)
    for got, expected in zip(fused(images(1, 56, 84)), network(images(1, 56, 84)), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_real_weights_are_fused_to_parity(extractor, street):
    from selavpr_model.config import ExtractorConfig
    from selavpr_model.features import weights

    network = build_network(weights.load(ExtractorConfig(local_head='upconv'))[0])
    batch = torch.stack([extractor.preprocess(frame.image) for frame in street[:2]])
    fused = FusedSelaVPR(network, (224, 224), KINDS['packed'], torch.float32)
    for got, expected in zip(fused(batch), network(batch), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ('name', 'least'),
    # adapters make it more sensitive, and whitening raises the axes in which features differ least
    [('imgfocus_vits14', 0.9999), ('selavpr_vits14', 0.999)],
)
@torch.inference_mode()
def test_bf16_stays_close_on_real_images(name, least, extractor, street):
    if not bf16_is_fast():
        pytest.skip('this CPU has no bf16 instructions')
    from selavpr_model.config import ExtractorConfig
    from selavpr_model.features import weights

    network = build_network(weights.load(ExtractorConfig(weights=name))[0])
    batch = torch.stack([extractor.preprocess(frame.image) for frame in street[:3]])
    make = partial(PackedLinear, dtype=torch.bfloat16)
    fused = FusedSelaVPR(network, (224, 224), make, torch.bfloat16)
    (global_, local, _), expected = fused(batch), network(batch)
    assert (global_ * expected[0]).sum(dim=-1).min() > least
    network.projection = None
    pooled = FusedSelaVPR(network, (224, 224), make, torch.bfloat16)(batch)[0]
    assert (pooled * network(batch)[0]).sum(dim=-1).min() > 0.9995
    assert (local * expected[1]).sum(dim=-1).mean() > 0.9995


@pytest.mark.parametrize('shape', [(1, 1), (2, 5), (16, 16)])
@torch.inference_mode()
def test_four_products_are_the_transposed_convolution(shape):
    conv = torch.nn.ConvTranspose2d(5, 7, 3, stride=2, padding=1)
    x = torch.randn(2, 5, *shape)
    up = FusedUp(conv, 'none', PlainLinear)
    torch.testing.assert_close(up(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), conv(x))


@pytest.mark.parametrize('projection', [0, 24])
@pytest.mark.parametrize('fused', [False, True], ids=['plain', 'fused'])
@torch.inference_mode()
def test_torch_export_follows_the_network_with_any_batch(fused, projection):
    torch.manual_seed(0)
    network = SelaVPR(ModelConfig(blocks=1, registers=2, projection=projection)).eval()
    if fused:
        network = FusedSelaVPR(network, (56, 56), PlainLinear, torch.float32)
    program = export_program(network, (56, 56), 'cpu').module()
    for batch in (1, 3, 8):
        some = torch.rand(batch, 3, 56, 56)
        for got, expected in zip(program(some), network(some), strict=True):
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize('projection', [0, 24])
@torch.inference_mode()
def test_what_tensorrt_would_be_given_is_exported_in_half_precision(projection):
    torch.manual_seed(0)
    network = SelaVPR(ModelConfig(blocks=1, projection=projection)).eval()
    some = torch.rand(2, 3, 56, 56)
    expected = network(some)
    program = export_program(HalfSelaVPR(network), (56, 56), 'cpu').module()
    for got, right in zip(program(some), expected, strict=True):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, right, atol=5e-3, rtol=0)
