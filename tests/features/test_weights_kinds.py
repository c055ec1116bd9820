# SPDX-License-Identifier: MIT
"""Weights under the names that people hold, and files that are taken for weights."""

from __future__ import annotations

import re

import pytest
from safetensors.torch import save_file
import torch

from selavpr_model.config import ModelConfig
from selavpr_model.errors import WeightsError
from selavpr_model.features import weights
from selavpr_model.features.checkpoint import build_network, Checkpoint, read_checkpoint
from selavpr_model.features.network import SelaVPR

PLAIN = ModelConfig(
    blocks=2, serial_adapter=False, parallel_adapter=False, local_head='tokens', registers=4,
    pos_offset=0.0, pos_antialias=True,
)  # fmt: skip


@pytest.fixture(scope='module')
def plain():
    """DINOv2 of two blocks with registers under Meta's names, random."""
    torch.manual_seed(5)
    state = SelaVPR(PLAIN).state_dict()
    state = {k.removeprefix('backbone.'): torch.randn_like(v) for k, v in state.items()}
    del state['gem.p']
    return state


@pytest.fixture(scope='module')
def images():
    return torch.rand(1, 3, 56, 70, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module')
def answer(plain, images):
    return describe(plain, images)


def describe(state, images):
    tensors = {f'backbone.{k}': v for k, v in state.items()}
    with torch.no_grad():
        return build_network(Checkpoint(PLAIN, tensors)).describe(images)


def hugging_face(state):
    """The names that transformers gives."""
    out = {}
    for key, value in state.items():
        if '.attn.qkv.' in key:
            block, kind = re.match(r'blocks\.(\d+)\.attn\.qkv\.(\w+)', key).groups()
            for which, part in zip(('query', 'key', 'value'), value.chunk(3), strict=True):
                out[f'encoder.layer.{block}.attention.attention.{which}.{kind}'] = part
            continue
        for a, b in (
            ('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
            ('pos_embed', 'embeddings.position_embeddings'),
            ('cls_token', 'embeddings.cls_token'),
            ('register_tokens', 'embeddings.register_tokens'),
            ('blocks.', 'encoder.layer.'), ('.attn.proj.', '.attention.output.dense.'),
            ('.ls1.gamma', '.layer_scale1.lambda1'), ('.ls2.gamma', '.layer_scale2.lambda1'),
        ):  # fmt: skip
            key = key.replace(a, b)
        out[re.sub(r'^norm\.', 'layernorm.', key)] = value
    return {**out, 'embeddings.mask_token': torch.zeros(1, 384)}


def timm(state):
    """timm adds the position of the cls token to the token itself."""
    out = dict(state)
    out['reg_token'] = out.pop('register_tokens')
    position = out['pos_embed']
    out['cls_token'] = out['cls_token'] + position[:, :1]
    out['pos_embed'] = position[:, 1:].clone()
    return out


def nested(state):
    """DINOv2 trained in pieces of blocks."""
    return {re.sub(r'^blocks\.(\d)', r'blocks.0.\1', k): v for k, v in state.items()}


def prefixed(state, prefix):
    return {f'{prefix}{k}': v for k, v in state.items()}


KINDS = {
    'as Meta has it': lambda s: s,
    'model': lambda s: {'model': s, 'epoch': 3},
    'state_dict and DataParallel': lambda s: {'state_dict': prefixed(s, 'module.')},
    'teacher with heads': lambda s: {
        'teacher': {**prefixed(nested(s), 'backbone.'), 'dino_head.mlp.0.weight': torch.ones(3, 3)}
    },
    'compiled': lambda s: prefixed(s, '_orig_mod.'),
    'Hugging Face': hugging_face,
    'Hugging Face, classifier': lambda s: {
        **prefixed(hugging_face(s), 'dinov2.'), 'classifier.weight': torch.ones(3, 3)
    },
    'timm': timm,
    'timm in model': lambda s: {'model': prefixed(timm(s), 'model.')},
}  # fmt: skip


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_gives_the_same_answer(tmp_path, plain, images, answer, kind):
    torch.save(KINDS[kind](plain), tmp_path / 'x.pth')
    checkpoint = read_checkpoint(tmp_path / 'x.pth')
    assert checkpoint.config == PLAIN
    with torch.no_grad():
        assert torch.allclose(build_network(checkpoint).describe(images), answer, atol=1e-6)


def test_heads_that_are_left_out_are_told(tmp_path, plain, monkeypatch, caplog):
    torch.save({**plain, 'head.weight': torch.ones(3, 3)}, tmp_path / 'x.pth')
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    path = weights.import_file('x', tmp_path / 'x.pth')
    assert 'left out: head' in caplog.text and read_checkpoint(path).meta['left_out'] == ['head']


def test_foreign_safetensors_and_the_old_format_and_other_suffixes_read(
    tmp_path, plain, images, answer
):
    save_file(hugging_face({k: v.contiguous() for k, v in plain.items()} | {
        k: v.clone() for k, v in plain.items()
    }), tmp_path / 'model.safetensors')  # fmt: skip
    torch.save(plain, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    torch.save(plain, tmp_path / 'pytorch_model.bin')
    for name in ('model.safetensors', 'old.pth', 'pytorch_model.bin'):
        network = build_network(read_checkpoint(tmp_path / name))
        with torch.no_grad():
            assert torch.allclose(network.describe(images), answer, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_imports_and_runs_as_float32(tmp_path, monkeypatch, plain, dtype):
    torch.save({k: v.to(dtype) for k, v in plain.items()}, tmp_path / 'half.pth')
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    path = weights.import_file('half', tmp_path / 'half.pth')
    network = build_network(read_checkpoint(path))
    expected = plain['blocks.0.mlp.fc1.weight'].to(dtype).float()
    assert network.state_dict()['backbone.blocks.0.mlp.fc1.weight'].equal(expected)


def test_tensors_that_share_memory_import(tmp_path, monkeypatch, plain):
    shared = {
        **plain,
        'norm.bias': plain['norm.weight'],
        'cls_token': torch.ones(1).expand(1, 1, 384),
    }
    torch.save(shared, tmp_path / 'x.pth')
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    tensors = read_checkpoint(weights.import_file('x', tmp_path / 'x.pth')).tensors
    assert tensors['backbone.norm.bias'].equal(plain['norm.weight'])


BYTES = {
    'a web page': b'<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>',
    'Git LFS': b'version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n',
    'it is empty': b'',
    'a gzip archive': b'\x1f\x8b\x08' + bytes(50),
    'HDF5': b'\x89HDF\r\n\x1a\n' + bytes(50),
    'an ONNX network': b'\x08\x07\x12\x07pytorch' + bytes(50),
    'expected .safetensors, .pth or .pt': b'\x00\x01\x02\x03' * 50,
    'cut or damaged': b'PK\x03\x04' + bytes(200),
}


@pytest.mark.parametrize('said', BYTES)
def test_files_that_are_no_weights_are_named(tmp_path, said):
    (tmp_path / 'x.pth').write_bytes(BYTES[said])
    one_line(tmp_path / 'x.pth', re.escape(said))


def one_line(path, said):
    with pytest.raises(WeightsError, match=said) as error:
        read_checkpoint(path)
    text = str(error.value)
    assert '\n' not in text and len(text) < 600 and 'weights_only' not in text
    return text


def test_a_download_cut_short_is_named(tmp_path, plain):
    torch.save(plain, tmp_path / 'x.pth')
    data = (tmp_path / 'x.pth').read_bytes()
    (tmp_path / 'x.pth').write_bytes(data[: len(data) // 2])
    one_line(tmp_path / 'x.pth', r'cut or damaged .*download it again')


OTHERS = {
    'SelaVPR++': {'module.backbone.cls_token': (1, 1, 768),
                  'module.backbone.adapters.0.D_fc1.weight': (4, 4)},
    'SALAD': {'backbone.model.cls_token': (1, 1, 768), 'aggregator.dust_bin': (1,)},
    'BoQ': {'backbone.cls_token': (1, 1, 768), 'aggregator.boqs.0.queries': (1, 4, 4)},
    'CosPlace or EigenPlaces': {'backbone.0.weight': (4, 3, 7, 7), 'aggregation.3.weight': (4, 4)},
    'DINOv3': {'cls_token': (1, 1, 384), 'storage_tokens': (1, 4, 384)},
    'CLIP': {'visual.class_embedding': (768,), 'logit_scale': ()},
    'a ResNet': {'layer1.0.conv1.weight': (4, 4, 3, 3)},
    'patches have 16 pixels': {'cls_token': (1, 1, 384),
                               'patch_embed.proj.weight': (384, 3, 16, 16)},
}  # fmt: skip


@pytest.mark.parametrize('said', OTHERS)
def test_other_models_are_named_with_what_to_take(tmp_path, said):
    torch.save({k: torch.ones(s) for k, s in OTHERS[said].items()}, tmp_path / 'x.pth')
    text = one_line(tmp_path / 'x.pth', re.escape(said))
    assert 'take' in text


def test_torchscript_and_other_archives_are_named(tmp_path):
    class Small(torch.nn.Module):
        def forward(self, x):
            return x

    torch.jit.script(Small()).save(str(tmp_path / 'script.pt'))
    one_line(tmp_path / 'script.pt', 'TorchScript')
    import zipfile

    with zipfile.ZipFile(tmp_path / 'x.pth', 'w') as archive:
        archive.writestr('SelaVPR_msls.pth', b'x')
    one_line(tmp_path / 'x.pth', 'an archive without tensors')
