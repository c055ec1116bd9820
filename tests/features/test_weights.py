# SPDX-License-Identifier: MIT
"""From a name to a checkpoint, and what people are told about it."""

from __future__ import annotations

from dataclasses import replace
import functools
import hashlib
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
import threading

import pytest

from selavpr_model.config import ExtractorConfig, RecognizerConfig
from selavpr_model.data.datasets import open_dataset
from selavpr_model.errors import WeightsError
from selavpr_model.evaluation.evaluate import evaluate
from selavpr_model.features import imgfocus, weights
from selavpr_model.features.checkpoint import (
    build_network,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from selavpr_model.features.extractor import load_extractor
from selavpr_model.features.network import SelaVPR
from selavpr_model.features.vit import SIZES
from selavpr_model.runtime.paths import SHIPPED


def test_every_dinov2_size_is_known_with_and_without_registers():
    names = {f'dinov2_{size}{reg}' for size in SIZES for reg in ('', '_reg4')}
    assert names < weights.KNOWN.keys()
    assert all(weights.KNOWN[name].url.endswith('_pretrain.pth') for name in names)


def test_the_default_weights_use_7_blocks_without_the_final_norm_and_say_what_they_are(extractor):
    checkpoint, note = weights.load(ExtractorConfig())
    assert (checkpoint.config.blocks, checkpoint.config.final_norm) == (7, False)
    assert checkpoint.config.serial_adapter and checkpoint.config.parallel_adapter
    assert checkpoint.config.local_head == 'upconv' and not note


def test_the_frozen_backbone_says_that_its_local_features_are_tokens(extractor):
    checkpoint, note = weights.load(ExtractorConfig(weights='imgfocus_vits14'))
    assert (checkpoint.config.blocks, checkpoint.config.final_norm) == (7, False)
    assert checkpoint.config.local_head == 'tokens' and 'no trained local head' in note


def test_what_comes_with_the_package_is_small_and_is_never_fetched_anew(extractor):
    first, backbone = weights.fetch_all('selavpr_vits14', force=False)
    assert first.stat().st_size <= 12_000_000 and first.parent == SHIPPED
    assert backbone == weights.locate('imgfocus_vits14')
    assert weights.fetch('selavpr_vits14', force=True) == first


def test_all_12_blocks_can_be_asked_for(extractor):
    checkpoint, _ = weights.load(
        ExtractorConfig(weights='imgfocus_vits14', blocks=12, final_norm='yes')
    )
    assert (checkpoint.config.blocks, checkpoint.config.final_norm) == (12, True)
    imgfocus.check({k: v for k, v in checkpoint.tensors.items() if k.startswith('backbone.')})


def test_an_untrained_up_convolution_is_seeded_and_never_silent(extractor):
    asked = ExtractorConfig(weights='imgfocus_vits14', local_head='upconv')
    first, note = weights.load(asked)
    second, _ = weights.load(asked)
    assert 'UNTRAINED' in note
    assert first.tensors['local.up1.weight'].equal(second.tensors['local.up1.weight'])


def test_a_projection_goes_with_its_pooling_and_is_never_dropped_silently(tmp_path):
    plain, _ = weights.load(ExtractorConfig(weights=imgfocus.NAME, local_head='tokens', blocks=2))
    network = SelaVPR(replace(plain.config, projection=8))
    tensors = {**network.state_dict(), **plain.tensors}
    path = tmp_path / 'projected.safetensors'
    write_checkpoint(path, Checkpoint(network.config, tensors))
    whole, note = weights.load(ExtractorConfig(weights=str(path)))
    assert whole.config.projection == 8 and build_network(whole).global_dim == 8
    assert 'projection' not in note
    for other in ({'global_feature': 'cls'}, {'blocks': 1}):
        found, note = weights.load(ExtractorConfig(weights=str(path), **other))
        assert build_network(found).global_dim == 384
        assert 'without its projection' in note


def test_random_weights_are_never_silent():
    _, note = weights.load(ExtractorConfig(random_weights=True))
    assert note.startswith('RANDOM WEIGHTS')


def test_a_wrong_name_lists_the_known_ones():
    with pytest.raises(WeightsError, match=r'imgfocus_vits14.*selavpr weights list'):
        weights.load(ExtractorConfig(weights='dinov3'))


def test_weights_that_cannot_be_downloaded_say_how_to_import_them(tmp_path, monkeypatch):
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    with pytest.raises(WeightsError, match='weights import selavpr_vitl14_reg4_msls FILE'):
        weights.fetch('selavpr_vitl14_reg4_msls')


def test_a_changed_tensor_of_the_backbone_is_noticed(extractor, tmp_path, monkeypatch):
    checkpoint = read_checkpoint(weights.locate(imgfocus.NAME))
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    checkpoint.tensors['backbone.cls_token'][0, 0, 5] += 1e-3
    write_checkpoint(tmp_path / 'weights' / 'imgfocus_vits14.safetensors', checkpoint)
    with pytest.raises(WeightsError, match='fetch imgfocus_vits14 --force'):
        weights.load(ExtractorConfig())


def test_an_imported_file_is_found_by_its_name(extractor, tmp_path, monkeypatch):
    source = weights.locate(imgfocus.NAME)
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    path = weights.import_file('my-robot', source)
    assert weights.locate('my-robot') == path
    with pytest.raises(WeightsError, match='letters, digits'):
        weights.import_file('../escape', source)


@pytest.fixture
def server(tmp_path):
    """A real HTTP server over a folder with one file."""
    folder = tmp_path / 'www'
    folder.mkdir()
    (folder / 'file.pth').write_bytes(bytes(range(256)) * 5000)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}', folder / 'file.pth'
        httpd.shutdown()


def test_a_download_arrives_whole_and_is_checked(server, tmp_path):
    url, source = server
    target = tmp_path / 'cache' / 'file.pth'
    weights.download(f'{url}/file.pth', target, hashlib.sha256(source.read_bytes()).hexdigest())
    assert target.read_bytes() == source.read_bytes()
    assert [p.name for p in target.parent.iterdir()] == ['file.pth']


def test_a_download_with_another_checksum_is_thrown_away(server, tmp_path):
    target = tmp_path / 'cache' / 'file.pth'
    with pytest.raises(WeightsError, match='expected SHA-256'):
        weights.download(f'{server[0]}/file.pth', target, '0' * 64)
    assert not any(target.parent.iterdir())


def test_a_failed_download_says_how_to_carry_the_file_by_hand(server, tmp_path):
    with pytest.raises(WeightsError, match='selavpr weights import file FILE'):
        weights.download(f'{server[0]}/missing.pth', tmp_path / 'file.pth', '')


def test_the_shipped_weights_meet_their_backbone_and_find_real_places(shared_data):
    """Re-ranking real pairs of validation names by dense features beats the global order."""
    extractor = load_extractor(ExtractorConfig(precision='fp32'))
    assert extractor.identity.local_shape == (61, 61, 128) and not extractor.identity.note
    pairs = open_dataset(shared_data('sped'), query_slice=slice(330, None))
    few = replace(
        pairs,
        queries=pairs.queries.take(range(0, 167, 4)),
        references=pairs.references.take(range(330, 497)),
    )
    result = evaluate(few, extractor, recognizer=RecognizerConfig(candidates=20), progress=False)
    assert result.reranked.recall[1] >= result.global_.recall[1] + 5
