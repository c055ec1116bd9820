# SPDX-License-Identifier: MIT
"""The transformer's variants, its position embedding and its adapters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from selavpr_model.config import ModelConfig
from selavpr_model.errors import ConfigError, InputError
from selavpr_model.features.vit import Block, grid_of, SIZES, VisionTransformer


def vit(**options) -> VisionTransformer:
    torch.manual_seed(0)
    network = VisionTransformer(ModelConfig(**{'blocks': 2, **options})).eval()
    torch.nn.init.normal_(network.pos_embed)
    torch.nn.init.normal_(network.cls_token)
    return network


@pytest.mark.parametrize('size', [(224, 224), (28, 42), (336, 448), (14, 14)])
def test_any_multiple_of_14_gives_one_token_a_patch(size):
    with torch.inference_mode():
        tokens, cls = vit()(torch.rand(2, 3, *size))
    assert tokens.shape == (2, size[0] * size[1] // 196, 384)
    assert cls.shape == (2, 384)


@pytest.mark.parametrize('size', [(225, 224), (224, 100), (0, 14)])
def test_other_sizes_are_refused_with_the_nearest_good_one(size):
    with pytest.raises(InputError, match='nearest is'):
        grid_of(*size)


@pytest.mark.parametrize('backbone', SIZES)
def test_every_size_has_dinov2s_width_and_depth(backbone):
    size = SIZES[backbone]
    with torch.device('meta'):
        network = VisionTransformer(ModelConfig(backbone=backbone, blocks=size.depth))
    assert network.pos_embed.shape == (1, 1370, size.dim)
    assert len(network.blocks) == size.depth
    assert hasattr(network.blocks[0].mlp, 'w12') == (backbone == 'vitg14')


def test_vit_large_with_adapters_has_the_official_number_of_parameters():
    from selavpr_model.features.network import SelaVPR

    with torch.device('meta'):
        network = SelaVPR(ModelConfig(backbone='vitl14', blocks=24))
    # The official count includes DINOv2's mask token (1024), which inference never uses.
    assert sum(p.numel() for p in network.parameters()) + 1024 == 357_428_609


def test_vit_giant_uses_the_swiglu_width_of_dinov2():
    with torch.device('meta'):
        block = Block(SIZES['vitg14'], ModelConfig(backbone='vitg14'))
    assert block.mlp.w12.weight.shape == (8192, 1536)
    assert block.mlp.w3.weight.shape == (1536, 4096)


def test_more_blocks_than_the_backbone_has_are_refused():
    with pytest.raises(ConfigError, match='12 blocks, got 13'):
        VisionTransformer(ModelConfig(blocks=13))


def test_adapters_start_as_the_plain_backbone():
    image = torch.rand(1, 3, 56, 70)
    plain = vit(serial_adapter=False, parallel_adapter=False)
    adapted = vit()
    missing, unexpected = adapted.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and all('.serial.' in k or '.parallel.' in k for k in missing)
    with torch.inference_mode():
        torch.testing.assert_close(adapted(image)[0], plain(image)[0])


@pytest.mark.parametrize('name', ['serial', 'parallel'])
def test_each_adapter_can_be_off_and_changes_the_output_when_on(name):
    network = vit(**{f'{name}_adapter': True})
    other = 'parallel' if name == 'serial' else 'serial'
    alone = vit(**{f'{other}_adapter': False})
    assert getattr(alone.blocks[0], other) is None
    image = torch.rand(1, 3, 28, 28)
    with torch.inference_mode():
        before = network(image)[0]
        torch.nn.init.normal_(getattr(network.blocks[0], name).up.weight)
        assert not torch.allclose(network(image)[0], before, atol=1e-3)


def test_the_block_follows_the_released_equations():
    torch.manual_seed(1)
    block = Block(SIZES['vits14'], ModelConfig(adapter_scale=0.3)).eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    x = torch.randn(2, 5, 384)
    with torch.inference_mode():
        a = block.attn(block.norm1(x))
        x1 = x + block.ls1.gamma * (a + block.serial(a))
        n = block.norm2(x1)
        expected = x1 + block.ls2.gamma * (block.mlp(n) + 0.3 * block.parallel(n))
        torch.testing.assert_close(block(x), expected)


def test_the_position_embedding_is_resampled_rows_first_for_images_that_are_not_square():
    network = vit()
    rows, columns = 16, 20
    grid = network.pos_embed[:, 1:].reshape(1, 37, 37, 384).permute(0, 3, 1, 2)
    factor = ((rows + 0.1) / 37, (columns + 0.1) / 37)
    expected = F.interpolate(grid, scale_factor=factor, mode='bicubic')
    with torch.inference_mode():
        got = network.position(rows, columns)[:, 1:].reshape(1, rows, columns, 384)
    torch.testing.assert_close(got, expected.permute(0, 2, 3, 1))
    by_size = F.interpolate(grid, size=(rows, columns), mode='bicubic').permute(0, 2, 3, 1)
    assert not torch.allclose(got, by_size, atol=1e-3)  # the 0.1 moves the samples


def test_the_pretraining_grid_keeps_the_position_embedding_untouched():
    network = vit()
    assert network.position(37, 37) is network.pos_embed


def test_registers_follow_the_cls_token_and_leave_the_patch_tokens_in_place():
    network = vit(registers=4)
    with torch.inference_mode():
        x = network.embed(torch.rand(1, 3, 28, 42), network.position(2, 3))
    assert x.shape == (1, 1 + 4 + 6, 384)
    torch.testing.assert_close(x[:, 1:5], network.register_tokens)
