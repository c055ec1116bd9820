# SPDX-License-Identifier: MIT
"""Byte products give the network's features to a small angle, the same bits on any threads."""

from __future__ import annotations

import json
import logging
import shutil

from native_helpers import ARM, ARM_COMPILER, checked, counted, EMULATOR, has_arm
import numpy as np
import pytest
import torch

from selavpr_model.config import ExtractorConfig, ModelConfig
from selavpr_model.errors import EngineError
from selavpr_model.features.engines import choice
from selavpr_model.features.engines import int8 as trunk
from selavpr_model.features.engines.engine import candidates
from selavpr_model.features.engines.int8 import Int8SelaVPR, Trunk, Up, whole_numbers
from selavpr_model.features.extractor import load_extractor
from selavpr_model.features.network import SelaVPR
from selavpr_model.runtime import native

SIZE = (56, 84)
OPTIONS = [
    {},
    {'serial_adapter': False},
    {'parallel_adapter': False, 'registers': 4},
    {'serial_adapter': False, 'parallel_adapter': False, 'final_norm': False},
    {'local_head': 'tokens', 'global_feature': 'cls'},
    {'projection': 40},
    {'adapter_ratio': 0.3},  # widths that are no multiple of a panel's
    {'backbone': 'vitb14', 'blocks': 2},
]


@pytest.fixture
def kernel():
    try:
        trunk._best_set()
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[name for name in native.allowed_sets() if name not in ('scalar', 'neon')])
def instructions(request, monkeypatch, kernel):
    """Each set of this machine as the best that is allowed."""
    if request.param not in trunk.instruction_sets():
        pytest.skip(f'this CPU has no {request.param}')
    monkeypatch.setenv(native.LIMIT, request.param)
    return request.param


@pytest.fixture
def threads():
    """Sets torch's threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def trained(**options) -> SelaVPR:
    """A network whose adapters, LayerScales and tokens are not what they start as."""
    torch.manual_seed(0)
    network = SelaVPR(ModelConfig(**{'blocks': 3, **options})).eval()
    for name, tensor in network.named_parameters():
        if 'up.' in name:
            torch.nn.init.normal_(tensor, std=0.05)
        elif name.endswith('gamma') or 'token' in name or 'pos' in name:
            torch.nn.init.normal_(tensor, std=0.3)
    return network


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@torch.inference_mode()
def test_features_turn_by_little(instructions, options):
    network, images = trained(**options), torch.rand(2, 3, *SIZE)
    got, expected = Int8SelaVPR(network, SIZE)(images), network(images)
    for ours, right, least in zip(got, expected, (0.9999, 0.9995, 0.9995), strict=True):
        assert ours.shape == right.shape and ours.dtype == torch.float32
        assert torch.cosine_similarity(ours, right, dim=-1).min() > least


@torch.inference_mode()
def test_neither_threads_nor_other_images_change_a_bit(instructions, threads):
    network, images = trained(), torch.rand(3, 3, *SIZE)
    expected = None
    for count in (1, 2, 3, 7):  # more than there are tiles of tokens for the last one
        threads(count)
        fused = Int8SelaVPR(network, SIZE)
        got = fused(images)
        single = fused(images[1:2])
        expected = expected or got
        assert all(torch.equal(*pair) for pair in zip(got, expected, strict=True))
        assert all(torch.equal(a[0], b[1]) for a, b in zip(single, got, strict=True))


@pytest.mark.parametrize('shape', [(1, 1), (2, 5), (16, 16), (31, 7)])
@pytest.mark.parametrize('count', [1, 3])
@torch.inference_mode()
def test_the_transposed_convolution_is_off_by_the_rounding_of_bytes(kernel, shape, count):
    torch.manual_seed(1)
    conv, x = torch.nn.ConvTranspose2d(64, 128, 3, stride=2, padding=1), torch.randn(2, *shape, 64)
    expected = conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    plain, relu = Up(conv, False, count)(x), Up(conv, True, count)(x)
    assert torch.equal(relu, plain.relu())
    assert (plain - expected).norm() / expected.norm() < 0.02


@torch.inference_mode()
def test_all_instruction_sets_give_the_same_bits(kernel):
    """Those with attention in float32: AVX-512 with BF16 has it in bf16."""
    network, x = trained(), torch.randn(1, 25, 384)
    conv, grid = (
        torch.nn.ConvTranspose2d(64, 128, 3, stride=2, padding=1),
        torch.randn(1, 5, 7, 64),
    )
    blocks, ups = {}, {}
    for name in trunk.instruction_sets():
        blocks[name] = Trunk(network.backbone, 25, 2, name, lanes=True)(x.clone())
        ups[name] = Up(conv, True, 2, name, lanes=True)(grid)
    assert blocks.keys() >= {'scalar', trunk.instruction_sets()[-1]}
    for name in blocks:
        assert torch.equal(ups[name], ups['scalar'])
        if name != 'avx512bf16':
            assert torch.equal(blocks[name], blocks['scalar'])
    angles = torch.cosine_similarity(
        blocks[trunk.instruction_sets()[-1]], blocks['scalar'], dim=-1
    )
    assert angles.min() > 0.9999


def test_weights_of_any_spread_never_overflow_a_lane():
    torch.manual_seed(0)
    weight = torch.randn(64, 128) * torch.rand(64, 1).mul(9).exp()
    weight[:4] = torch.tensor([[1.0], [-1.0], [0.0], [3e30]])  # all alike, none, large
    codes, scale = whole_numbers(weight, lanes=True)
    lanes = codes.view(64, -1, 2, 2, 2).int()
    for sign in (1, -1):
        assert (sign * lanes).relu().sum(dim=(2, 4)).max() <= 128
    error = (codes * scale[:, None] - weight)[4:].norm() / weight[4:].norm()
    assert error < 0.02 and torch.isfinite(scale).all()
    closer = [whole_numbers(weight, lanes)[1][4:] for lanes in (False, True)]
    assert (closer[0] < closer[1]).all()


def test_without_byte_products_fp32_runs_and_one_line_says_why(
    kernel, monkeypatch, caplog, tmp_path
):
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    monkeypatch.setenv(native.LIMIT, 'scalar')
    config = ExtractorConfig(
        random_weights=True, precision='int8', image_height=56, image_width=56
    )
    assert load_extractor(config).precision == 'fp32'
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert 'instead of fused int8: no int8 products here' in line and 'SELAVPR_ISA=scalar' in line


@torch.inference_mode()
def test_tokens_of_any_size_are_taken(kernel):
    """Outliers a thousand times the rest, and tokens of zeros, leave the others as they are."""
    network = trained(serial_adapter=False, parallel_adapter=False, blocks=1)
    x = torch.randn(1, 25, 384)
    x[0, 3] *= 1000
    x[0, 5] = 0
    expected = network.backbone.blocks[0](x)
    got = Trunk(network.backbone, 25, 2)(x.clone())
    assert torch.isfinite(got).all()
    cosine = torch.nn.functional.cosine_similarity(got, expected, dim=-1)
    assert cosine.min() > 0.999


@pytest.mark.skipif(not shutil.which('g++'), reason='no g++')
@pytest.mark.parametrize(
    'flags', [['-O2'], ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']],
    ids=['as built', 'sanitized'],
)  # fmt: skip
@pytest.mark.slow
@pytest.mark.timeout(1200)  # five sets are compiled
def test_all_sets_give_the_bits_of_plain_code(flags, tmp_path):
    """AVX-VNNI, too, where AVX-512 VNNI has its instruction in another encoding."""
    if 'avx512vnni' in trunk.instruction_sets():
        flags = [*flags, '-DAVXVNNI_AS_EVEX']
    printed = checked('trunk', tmp_path, 'g++', flags, [])
    if 'avx512vnni' in trunk.instruction_sets():
        assert 'set 2: off by 0\n' in printed


@pytest.mark.skipif(not has_arm(), reason=ARM)
@pytest.mark.parametrize(('cpu', 'sets'), [('max', {6, 7}), ('neoverse-n1', {6})])
@pytest.mark.slow
def test_neon_in_an_emulator_gives_the_bits_of_plain_code(cpu, sets, tmp_path):
    printed = checked('trunk', tmp_path, ARM_COMPILER, ['-O2', '-static'], [*EMULATOR, cpu])
    assert {n for n in range(1, 8) if f'set {n}: off by 0\n' in printed} == sets


@pytest.mark.skipif(not (has_arm() and shutil.which('gcc')), reason=f'{ARM} gcc')
@pytest.mark.slow
def test_neon_executes_fewer_instructions_than_with_floats(tmp_path):
    """A block of ViT-S: its instructions with products in float32 instead of bytes, over ours."""
    counts = counted(tmp_path, ('nothing', 'trunk', 'bytes', 'floats'))
    trunk, products, floats = (counts[n] - counts['nothing'] for n in ('trunk', 'bytes', 'floats'))
    assert (trunk - products + floats) / trunk > 2.5


def test_what_the_kernel_has_not_is_refused_in_one_line(kernel, monkeypatch, caplog):
    gated = SelaVPR(ModelConfig(backbone='vitg14', blocks=1)).backbone
    with pytest.raises(EngineError, match='SwiGLU'):
        Trunk(gated, 25, 1)
    with pytest.raises(EngineError, match='multiples of 64'):
        Up(torch.nn.ConvTranspose2d(64, 30, 3, stride=2, padding=1), True, 1)
    monkeypatch.setitem(native.ABI, 'trunk', -1)  # as after an update without a new build
    trunk.library.cache_clear()
    try:
        config = ExtractorConfig(
            random_weights=True, precision='int8', image_height=56, image_width=56
        )
        assert load_extractor(config).precision != 'int8'
    finally:
        trunk.library.cache_clear()
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert 'instead of fused int8: no int8 kernel' in line and 'make setup' in line


@pytest.mark.parametrize(
    ('fp32', 'bf16', 'int8', 'best'),
    [
        (60, 30, 20, 'int8'),
        (60, 30, 25, 'bf16'),  # 1.2 times as fast as bf16 is not enough
        (30, 29, 21, 'fp32'),  # nor 1.4 times as fast as fp32
        (30, None, 19, 'int8'),
        (30, 20, None, 'bf16'),
    ],
)
def test_fewer_bits_are_taken_where_they_are_clearly_faster(
    fp32, bf16, int8, best, tmp_path, monkeypatch
):
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    network, cpu = trained(blocks=1), torch.device('cpu')
    times = {'fused fp32': fp32, 'fused bf16': bf16, 'fused int8': int8}
    key = choice._machine_key(network, SIZE, cpu)
    record = {key: {name: ms for name, ms in times.items() if ms}}
    (tmp_path / 'precision.json').write_text(json.dumps(record))
    assert choice._by_speed(network, SIZE, candidates(cpu), '')[0] == ('fused', best)


@torch.inference_mode()
def test_real_images_keep_their_features(instructions, street, extractor):
    from selavpr_model.features import weights
    from selavpr_model.features.checkpoint import build_network

    network = build_network(weights.load(ExtractorConfig())[0])
    batch = torch.stack([extractor.preprocess(frame.image) for frame in street[:3]])
    (global_, local, _), expected = Int8SelaVPR(network, (224, 224))(batch), network(batch)
    # Whitening raises the axes in which features differ least: bf16 has 0.9992 and int8 0.9969 of
    # the global feature there. What that does to answers is tested in test_retention.py.
    assert (global_ * expected[0]).sum(dim=-1).min() > (0.99 if instructions == 'avx2' else 0.996)
    network.projection = None
    pooled = Int8SelaVPR(network, (224, 224))(batch)[0]
    assert (pooled * network(batch)[0]).sum(dim=-1).min() > (
        0.996 if instructions == 'avx2' else 0.998
    )
    angles = (local * expected[1]).sum(dim=-1).numpy()
    assert angles.mean() > 0.998 and np.quantile(angles, 0.01) > 0.995
