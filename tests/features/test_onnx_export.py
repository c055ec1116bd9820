# SPDX-License-Identifier: MIT
"""The network as ONNX: ONNX Runtime gives what torch gives, for the real weights and others."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from selavpr_model.cli.weights import weights_app
from selavpr_model.config import ExtractorConfig
from selavpr_model.errors import EngineError
from selavpr_model.features.extractor import load_extractor
from selavpr_model.features.onnx_export import OUTPUTS, write_onnx
from selavpr_model.matching.nearest import mutual_matches

onnxruntime = pytest.importorskip('onnxruntime', reason='see requirements/dev.txt')
SMALL = ('--random-weights', '--size', '56x70')


def export(path, *words):
    result = CliRunner().invoke(weights_app, ['export', str(path), *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return session(path)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def as_torch(images, **options):
    config = ExtractorConfig(engine='eager', precision='fp32', device='cpu', **options)
    extractor = load_extractor(config)
    batch = torch.stack([extractor.preprocess(image) for image in images])
    with torch.inference_mode():
        outputs = extractor._engine.run(batch)
    return extractor, batch.numpy(), [whole.numpy() for whole in outputs]


def matches(local, one, other):
    a, b = (local[k].reshape(-1, local.shape[-1]) for k in (one, other))
    return {(int(q), int(r)) for q, r in mutual_matches(a, b)}


def test_the_shipped_weights_give_the_same_features_and_matches(street, tmp_path):
    ran = export(tmp_path / 'net.onnx')
    images = [street[k].image for k in (0, 1, 5)]
    images.append(np.roll(images[0], 23, axis=1))  # seen from beside
    extractor, batch, expected = as_torch(images)
    got = ran.run(None, {'images': batch})
    for one, other, name in zip(got, expected, OUTPUTS, strict=True):
        assert one.shape == other.shape and one.dtype == np.float32, name
    assert np.abs(got[0] - expected[0]).max() <= 1e-4
    assert np.abs(got[1] - expected[1]).max() <= 1e-3
    pairs = [(a, b) for a in range(4) for b in range(4)]
    ours, theirs = ([matches(w[1], *p) for p in pairs] for w in (expected, got))
    same = sum(len(a & b) for a, b in zip(ours, theirs, strict=True))
    assert same >= 0.999 * max(sum(map(len, ours)), sum(map(len, theirs)))
    meta = ran.get_modelmeta().custom_metadata_map
    assert meta['fingerprint'] == extractor.identity.fingerprint
    assert json.loads(meta['preprocessing']) == extractor.identity.description['preprocessing']


@pytest.mark.parametrize(
    ('words', 'options'),
    [
        ((), {}),
        (('--local-head', 'upconv', '--blocks', '3'), {'local_head': 'upconv', 'blocks': 3}),
        (('--global-feature', 'cls'), {'global_feature': 'cls'}),
    ],
)
def test_any_input_size_and_batch_and_every_head_is_exported(tmp_path, words, options):
    ran = export(tmp_path / 'net.onnx', *SMALL, *words)
    noise = np.random.default_rng(0).integers(0, 256, (3, 56, 70, 3), dtype=np.uint8)
    sized = {'image_height': 56, 'image_width': 70, 'random_weights': True}
    _, batch, expected = as_torch(list(noise), **sized, **options)
    for count in (1, 3):
        got = ran.run(None, {'images': batch[:count]})
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other[:count], atol=1e-4)


def test_what_cannot_be_written_is_said_before_the_model_loads(tmp_path):
    for path in (tmp_path, tmp_path / 'no' / 'net.onnx'):
        result = CliRunner().invoke(weights_app, ['export', str(path)])
        assert 'expected a file in an existing folder' in str(result.exception)


class Positions(torch.nn.Module):
    def position(self, *_):
        return torch.zeros(1)


class Asking(torch.nn.Module):
    """A network with a choice that depends on the image, which ONNX cannot hold."""

    def __init__(self):
        super().__init__()
        self.backbone = Positions()

    def forward(self, images, position):
        return images if images.sum() > 0 else images + position


def test_what_torch_does_not_export_is_one_line_and_leaves_no_file(tmp_path):
    with pytest.raises(EngineError, match='does not export it') as failed:
        write_onnx(tmp_path / 'net.onnx', Asking(), (28, 28))
    assert '\n' not in str(failed.value) and not list(tmp_path.iterdir())
