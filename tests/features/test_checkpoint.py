# SPDX-License-Identifier: MIT
"""Checkpoints: official layouts, strictness, safety and our own format."""

from __future__ import annotations

from pathlib import Path
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st
from parity import official_state, write_official_checkpoint
import pytest
import torch

from selavpr_model.errors import WeightsError
from selavpr_model.features.checkpoint import (
    adapters_only,
    build_network,
    is_adapter,
    join_backbone,
    read_checkpoint,
    tensors_digest,
    write_checkpoint,
)


@pytest.fixture(scope='module')
def official(tmp_path_factory) -> Path:
    """A ViT-S checkpoint in the official layout: `module.` names, numpy recalls."""
    path = tmp_path_factory.mktemp('weights') / 'official.pth'
    write_official_checkpoint(path, official_state('vits14', 0, seed=7))
    return path


@pytest.fixture(scope='module')
def checkpoint(official):
    return read_checkpoint(official)


def test_the_official_layout_loads_with_its_architecture(checkpoint):
    config = checkpoint.config
    assert (config.backbone, config.blocks, config.final_norm) == ('vits14', 12, True)
    assert config.serial_adapter and config.parallel_adapter
    assert (config.adapter_ratio, config.local_head) == (0.5, 'upconv')
    assert checkpoint.meta == {'source': 'official.pth', 'epoch': 7}
    assert len(checkpoint.tensors) == 276 - 1  # the reference's keys without the mask token
    build_network(checkpoint)


@pytest.mark.parametrize('registers', [0, 4])
def test_plain_dinov2_files_load_without_adapters(tmp_path, registers):
    state = official_state('vits14', registers, seed=7)
    plain = {
        k.removeprefix('backbone.'): v
        for k, v in state.items()
        if k.startswith('backbone.') and 'adapter' not in k
    }
    torch.save(plain, tmp_path / 'dinov2.pth')
    checkpoint = read_checkpoint(tmp_path / 'dinov2.pth')
    config = checkpoint.config
    assert not config.serial_adapter and not config.parallel_adapter
    assert (config.local_head, config.registers) == ('tokens', registers)
    # Meta's register models resample the position embedding in their own way.
    assert (config.pos_offset, config.pos_antialias) == (
        (0.0, True) if registers else (0.1, False)
    )
    assert build_network(checkpoint).gem.p.item() == 3.0


def test_missing_unexpected_and_misshapen_tensors_are_all_named(checkpoint):
    tensors = dict(checkpoint.tensors)
    del tensors['backbone.norm.bias']
    tensors['backbone.surprise'] = torch.zeros(1)
    tensors['gem.p'] = torch.zeros(2)
    broken = type(checkpoint)(checkpoint.config, tensors)
    with pytest.raises(WeightsError) as error:
        build_network(broken)
    text = str(error.value)
    assert 'missing 1: backbone.norm.bias' in text
    assert 'unexpected 1: backbone.surprise' in text
    assert 'gem.p: expected (1,), got (2,)' in text


class Malicious:
    """Would create a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    trap = tmp_path / 'trap'
    torch.save({'model_state_dict': {}, 'recalls': Malicious(trap)}, tmp_path / 'bad.pth')
    with pytest.raises(WeightsError, match='unsafe or damaged'):
        read_checkpoint(tmp_path / 'bad.pth')
    assert not trap.exists()
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps(Malicious(trap)))
    with pytest.raises(WeightsError, match='unsafe or damaged'):
        read_checkpoint(tmp_path / 'plain.pth')
    assert not trap.exists()


@pytest.mark.parametrize('name', ['none.pth', 'weights.onnx'])
def test_a_missing_or_foreign_file_says_what_to_do(tmp_path, name):
    if name.endswith('onnx'):
        (tmp_path / name).write_bytes(b'x')
    with pytest.raises(WeightsError, match=r'weights list|expected \.safetensors'):
        read_checkpoint(tmp_path / name)


def test_a_state_dict_of_something_else_is_refused(tmp_path):
    torch.save({'fc.weight': torch.zeros(3, 3)}, tmp_path / 'resnet.pth')
    with pytest.raises(WeightsError, match='neither SelaVPR nor DINOv2'):
        read_checkpoint(tmp_path / 'resnet.pth')


def test_our_format_gives_back_every_bit_and_the_architecture(tmp_path, checkpoint):
    path = tmp_path / 'ours.safetensors'
    write_checkpoint(path, checkpoint)
    again = read_checkpoint(path)
    assert again.config == checkpoint.config
    assert again.meta['source'] == 'official.pth'
    assert tensors_digest(again.tensors) == tensors_digest(checkpoint.tensors)
    assert list(tmp_path.iterdir()) == [path]  # no temporary file stays


def test_adapters_alone_join_their_backbone_and_no_other(tmp_path, checkpoint):
    small = adapters_only(checkpoint)
    assert all(is_adapter(key) for key in small.tensors)
    write_checkpoint(tmp_path / 'adapters.safetensors', small)
    joined = join_backbone(read_checkpoint(tmp_path / 'adapters.safetensors'), checkpoint)
    assert tensors_digest(joined.tensors) == tensors_digest(checkpoint.tensors)
    other = dict(checkpoint.tensors)
    other['backbone.cls_token'] = other['backbone.cls_token'] + 1
    with pytest.raises(WeightsError, match='belong to backbone'):
        join_backbone(small, type(checkpoint)(checkpoint.config, other))


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_truncated_file_of_ours_is_a_weights_error(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('cut')
    config = official_config()
    path = folder / 'small.safetensors'
    write_checkpoint(path, config)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:cut])
    with pytest.raises(WeightsError, match=r'damaged|expected format|empty'):
        read_checkpoint(path)


def official_config():
    from selavpr_model.config import ModelConfig
    from selavpr_model.features.checkpoint import Checkpoint

    return Checkpoint(ModelConfig(), {'gem.p': torch.ones(1)})


@pytest.mark.parametrize(
    'data', [{'model_state_dict': [1, 2]}, {1: torch.zeros(1)}, {'model_state_dict': {2: 3}}]
)
def test_a_checkpoint_of_another_shape_is_a_weights_error(tmp_path, data):
    torch.save(data, tmp_path / 'odd.pth')
    with pytest.raises(WeightsError, match='expected a state dict of named tensors'):
        read_checkpoint(tmp_path / 'odd.pth')
