# SPDX-License-Identifier: MIT
"""Weights of strangers: one typed line, no code, and no memory for what is only claimed."""

from __future__ import annotations

import json
import pickle
import resource
import struct
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from safetensors.torch import save_file
import torch

from selavpr_model.config import ModelConfig
from selavpr_model.errors import WeightsError
from selavpr_model.features.checkpoint import (
    build_network,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from selavpr_model.features.network import SelaVPR

SMALL = ModelConfig(blocks=1, local_head='tokens', serial_adapter=False, parallel_adapter=False)
MORE_MB = 400


@pytest.fixture(autouse=True)
def memory():
    """No test may take much more than the process has taken before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    assert grown < MORE_MB


@pytest.fixture(scope='module')
def state():
    torch.manual_seed(2)
    return SelaVPR(SMALL).state_dict()


def refused(path, said='weights'):
    """Reading and building fail in one line; the text."""
    with pytest.raises(WeightsError, match=said) as error:
        build_network(read_checkpoint(path))
    text = str(error.value)
    assert '\n' not in text and len(text) < 2000 and 'weights_only' not in text
    return text


def constant(*shape):
    """Any shape out of one number."""
    return torch.zeros(1).expand(*shape)


@pytest.mark.parametrize('tensors', [
    {'cls_token': torch.tensor(1.0)},
    {'cls_token': torch.ones(384)},
    {'cls_token': torch.ones(1, 1, 384), 'register_tokens': torch.tensor(1.0)},
    {'cls_token': torch.ones(1, 1, 384), 'register_tokens': constant(1, 10**9, 384)},
    {'cls_token': torch.ones(1, 1, 384), 'pos_embed': constant(10**6, 10**6)},
    {'cls_token': torch.ones(1, 1, 1536), 'blocks.39.norm1.weight': torch.ones(1536)},  # ViT-g
    {'cls_token': torch.ones(1, 1, 384), 'blocks.999.norm1.weight': torch.ones(1)},
    {'cls_token': torch.ones(1, 1, 384), f'blocks.{"9" * 5000}.norm1.weight': torch.ones(1)},
    {'cls_token': torch.ones(1, 1, 384), 'blocks.0.adapter1.D_fc1.weight': constant(10**8, 384)},
    {'cls_token': torch.ones(1, 1, 384), 'LocalAdapt.upconv1.weight': constant(384, 10**7, 3, 3),
     'LocalAdapt.upconv2.weight': constant(4, 10**7, 3, 3)},
    {'cls_token': torch.ones(1, 1, 384, dtype=torch.complex64)},
    {'cls_token': torch.ones(1, 1, 384).to_sparse()},
    {'cls_token': torch.quantize_per_tensor(torch.ones(1, 1, 384), 1.0, 0, torch.qint8)},
    {'embeddings.cls_token': torch.tensor(1.0), 'embeddings.position_embeddings': torch.ones(2)},
    {'reg_token': torch.tensor(1.0), 'pos_embed': torch.ones(2), 'cls_token': torch.ones(384)},
    {f'a{i}\n\x1b[31m{"x" * 300}': torch.ones(1) for i in range(50)},
])  # fmt: skip
def test_absurd_tensors_are_refused_without_memory(tmp_path, tensors):
    torch.save(tensors, tmp_path / 'x.pth')
    refused(tmp_path / 'x.pth')


def test_numbers_that_are_none_are_refused(tmp_path, state):
    state = {**state, 'backbone.norm.weight': torch.full((384,), float('nan'))}
    write_checkpoint(tmp_path / 'x.safetensors', Checkpoint(SMALL, state))
    refused(tmp_path / 'x.safetensors', 'backbone.norm.weight holds NaN')


@pytest.mark.parametrize('header', [
    '[' * 100_000, '{"a":' * 100_000, '[]', '3', 'null', '{', '{"format": 3}', '{"format": []}',
    '{"format": "selavpr-1"}', '{"format": "selavpr-1", "model": []}',
    '{"format": "selavpr-1", "model": {"blocks": 1e400}}',
    '{"format": "selavpr-1", "model": {"backbone": ["vits14"]}}',
    '{"format": "selavpr-1", "model": {"backbone": "vitg14", "blocks": 40}}',
    '{"format": "selavpr-1", "model": {"local_hidden": 1000000000000}}',
    '{"format": "selavpr-1", "model": {"local_hidden": 9000000000000000000000}}',
    '{"format": "selavpr-1", "model": {"projection": 100000000000}}',
    '{"format": "selavpr-1", "model": {}, "base": 7}',
    '{"format": "selavpr-1", "model": {"nothing": 1}}', '"' + 'x' * (5 << 20) + '"',
])  # fmt: skip
def test_headers_that_describe_no_model_are_refused(tmp_path, header):
    save_file({'gem.p': torch.ones(1)}, tmp_path / 'x.safetensors', {'selavpr': header})
    refused(tmp_path / 'x.safetensors')


@pytest.mark.parametrize('entry', [
    {'dtype': 'F32', 'shape': [10**6, 10**6], 'data_offsets': [0, 4]},
    {'dtype': 'F32', 'shape': [2**63, 2], 'data_offsets': [0, 4]},
    {'dtype': 'F32', 'shape': [-1], 'data_offsets': [0, 4]},
    {'dtype': 'X9', 'shape': [1], 'data_offsets': [0, 4]},
    {'dtype': 'F32', 'shape': [1], 'data_offsets': [4, 0]},
    {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 2**60]},
])  # fmt: skip
def test_safetensors_that_claim_too_much_are_damaged(tmp_path, entry):
    header = json.dumps({'gem.p': entry}).encode()
    (tmp_path / 'x.safetensors').write_bytes(struct.pack('<Q', len(header)) + header + bytes(4))
    refused(tmp_path / 'x.safetensors', 'damaged')


def test_a_zip_whose_tensors_are_shorter_than_the_pickle_says_is_damaged(tmp_path):
    """torch would read behind the end of its memory."""
    torch.save({'cls_token': torch.ones(1, 1, 384)}, tmp_path / 'x.pth')
    with (
        zipfile.ZipFile(tmp_path / 'x.pth') as old,
        zipfile.ZipFile(tmp_path / 'y.pth', 'w') as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data[:64] if '/data/' in name else data)
    refused(tmp_path / 'y.pth', 'should have 1536 bytes, got 64')


def test_a_zip_that_is_compressed_is_refused(tmp_path):
    torch.save({'cls_token': torch.zeros(1, 1, 384 * 10_000)}, tmp_path / 'x.pth')
    with (
        zipfile.ZipFile(tmp_path / 'x.pth') as old,
        zipfile.ZipFile(tmp_path / 'y.pth', 'w', zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    refused(tmp_path / 'y.pth', 'is compressed')


def test_the_old_format_may_not_claim_more_than_it_has(tmp_path):
    torch.save(
        {'x': torch.ones(300_000)}, tmp_path / 'x.pth', _use_new_zipfile_serialization=False
    )
    data = (tmp_path / 'x.pth').read_bytes()
    claim = b'J' + struct.pack('<i', 300_000)
    assert claim in data
    (tmp_path / 'x.pth').write_bytes(data.replace(claim, b'J' + struct.pack('<i', 2**31 - 1)))
    refused(tmp_path / 'x.pth', r'should have 85\d+ bytes')


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f'open({str(self.path)!r}, "w")',)


@pytest.mark.parametrize('old', [False, True])
def test_objects_are_named_and_never_run(tmp_path, old):
    trap = tmp_path / 'trap'
    torch.save(
        {'state_dict': {'cls_token': torch.ones(1, 1, 384)}, 'args': Runs(trap)},
        tmp_path / 'x.pth', _use_new_zipfile_serialization=not old,
    )  # fmt: skip
    text = refused(tmp_path / 'x.pth', r'Python objects \(builtins\.exec\)|Python objects')
    assert 'state_dict()' in text and not trap.exists()


@pytest.mark.parametrize('data', [
    b'\x80\x02\x8e' + struct.pack('<Q', 2**40) + b'x',  # bytes of a terabyte
    b'\x80\x02\x96' + struct.pack('<Q', 2**40) + b'x',
    b'\x80\x02r' + b'\xff' * 4 + b'.',  # a memo of four billion
    b'\x80\x02' + b'(' * 100_000,
    b'\x80\x02' + b']' * 100_000 + b'.',
    pickle.dumps({'a': 1}), b'\x80\x02.', b'\x80\x02cos\nsystem\n(S"id"\ntR.',
])  # fmt: skip
def test_pickles_that_are_bombs_are_refused(tmp_path, data):
    (tmp_path / 'x.pth').write_bytes(data)
    refused(tmp_path / 'x.pth', 'unsafe or damaged')


@settings(deadline=None, max_examples=20)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp('any') / 'x.pth'
    path.write_bytes(data)
    refused(path)


def test_200_files_with_random_damage_are_one_line_or_sound(tmp_path, state):
    """Each kind of file, changed at random: flipped, cut, overwritten, huge numbers."""
    rng = np.random.default_rng(6)
    light = {k: v[:1].clone() if v.ndim > 1 else v for k, v in state.items()}
    write_checkpoint(tmp_path / 'own.safetensors', Checkpoint(SMALL, light))
    save_file({k: v.clone() for k, v in light.items()}, tmp_path / 'other.safetensors')
    torch.save(light, tmp_path / 'new.pth')
    torch.save({'model': light}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    ends = {'sound': 0, 'refused': 0}
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for _ in range(60):
            path.write_bytes(changed(whole, rng))
            try:
                checkpoint = read_checkpoint(path)
            except WeightsError as error:
                assert '\n' not in str(error) and 'weights_only' not in str(error)
                ends['refused'] += 1
            else:
                assert all(t.numel() < 10**7 for t in checkpoint.tensors.values())
                ends['sound'] += 1
        path.write_bytes(whole)
    assert sum(ends.values()) == 240 and min(ends.values()) > 20


def changed(data, rng):
    out = bytearray(data)
    ends = (int(rng.integers(3000)), len(out) - 1 - int(rng.integers(9000)))
    at = max(ends[rng.integers(2)], 0) if rng.random() < 0.8 else int(rng.integers(len(out)))
    at = min(at, len(out) - 1)
    kind = rng.integers(5)
    if kind == 0:
        out[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del out[at:]
    elif kind == 2:
        out[at : at + 8] = b'\xff' * 8
    elif kind == 3:
        out[at : at + 20] = rng.bytes(20)
    else:
        out[at : at + 4] = struct.pack('<I', 2**31 - 1)
    return bytes(out)
