# SPDX-License-Identifier: MIT
"""Images in, features out: preprocessing, batches, precision and the fingerprint."""

from __future__ import annotations

from dataclasses import replace
import json

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from selavpr_model.config import ExtractorConfig
from selavpr_model.errors import ConfigError, InputError
from selavpr_model.features import extractor, weights
from selavpr_model.features.engines import choice
from selavpr_model.features.engines.linears import bf16_is_fast
from selavpr_model.features.extractor import load_extractor, resolve_device

TINY = ExtractorConfig(random_weights=True, image_height=56, image_width=70, precision='fp32')


@pytest.fixture(scope='module')
def tiny():
    return load_extractor(TINY)


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 90), st.integers(1, 90))
def test_any_rgb_image_gives_unit_features_of_the_announced_shape(height, width):
    extractor = load_extractor(TINY)
    features = extractor.extract(image(height, width))
    assert features.global_.shape == (extractor.identity.global_dim,)
    assert features.local.shape == extractor.identity.local_shape
    assert np.isfinite(features.global_).all() and np.isfinite(features.local).all()
    np.testing.assert_allclose(np.linalg.norm(features.global_), 1, atol=1e-5)


@pytest.mark.parametrize(
    'bad',
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
        'image.png',
    ],
)
def test_anything_else_is_an_input_error_with_the_cure(tiny, bad):
    with pytest.raises(InputError, match=r'expected \(H, W, 3\) uint8 RGB'):
        tiny.extract(bad)


def test_without_antialias_preprocessing_equals_resizing_the_normalised_tensor(tiny):
    """The paper's evaluation normalises first; both orders are the same linear map."""
    pixels = image(240, 320)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected = F.interpolate((x - mean) / std, (56, 70), mode='bilinear')[0]
    torch.testing.assert_close((tiny.preprocess(pixels) - mean) / std, expected)


def test_with_antialias_small_details_are_averaged(tiny):
    stripes = np.zeros((560, 700, 3), np.uint8)
    stripes[:, ::2] = 255
    smooth = load_extractor(
        ExtractorConfig(random_weights=True, image_height=56, image_width=70, resize='antialias')
    )
    assert smooth.preprocess(stripes)[:, 5:-5, 5:-5].std() < 0.01
    np.testing.assert_allclose(
        smooth.preprocess(stripes)[0].numpy(),
        cv2.resize(stripes[..., 0] / 255.0, (70, 56), interpolation=cv2.INTER_AREA),
        atol=0.05,
    )


def test_a_batch_gives_what_single_images_give(tiny):
    images = [image(48, 64, 1), image(100, 50, 2), image(56, 70, 3)]
    for one, many in zip(map(tiny.extract, images), tiny.extract_batch(images), strict=True):
        np.testing.assert_allclose(one.global_, many.global_, atol=1e-6)
        np.testing.assert_allclose(one.local, many.local, atol=1e-5)
    assert tiny.extract_batch([]) == []


def test_the_fingerprint_knows_architecture_weights_and_preprocessing():
    def fingerprint(**options):
        small = {'random_weights': True, 'image_height': 56, 'image_width': 70}
        return load_extractor(ExtractorConfig(**small, **options)).identity.fingerprint

    base = fingerprint(precision='fp32')
    assert base == fingerprint(precision='bf16')  # an accuracy matter, not another model
    others = {
        fingerprint(resize='antialias'),
        fingerprint(blocks=2),
        fingerprint(final_norm='no'),
        fingerprint(local_head='upconv'),
    }
    assert len(others) == 4 and base not in others


def test_the_identity_says_which_weights_and_what_to_beware_of(tiny, extractor):
    assert tiny.identity.weights == 'random' and 'RANDOM' in tiny.identity.note
    assert extractor.identity.weights == ExtractorConfig().weights and not extractor.identity.note


def test_the_precision_is_measured_once_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    auto = ExtractorConfig(random_weights=True, image_height=56, image_width=70)
    first = load_extractor(auto)
    record = json.loads((tmp_path / 'precision.json').read_text())
    (times,) = record.values()
    assert 'fused fp32' in times and min(times.values()) > 0
    monkeypatch.setattr(choice, 'measure', None)  # would fail if it were called again
    again = load_extractor(auto)
    assert (again.engine, again.precision) == (first.engine, first.precision)


@pytest.mark.parametrize(('bf16', 'chosen'), [(1.0, 'bf16'), (9.5, 'fp32')])
def test_half_precision_must_be_clearly_faster(tmp_path, monkeypatch, bf16, chosen):
    if not bf16_is_fast():
        pytest.skip('this CPU has no bf16 instructions')
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    measured = {'fused fp32': 10.0, 'fused bf16': bf16}
    monkeypatch.setattr(choice, 'measure', lambda *_: measured)
    assert load_extractor(replace(TINY, precision='auto')).precision == chosen


def test_a_damaged_record_of_precisions_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    (tmp_path / 'precision.json').write_text('{"half a')
    assert load_extractor(ExtractorConfig(**{**TINY.to_dict(), 'precision': 'auto'})).precision
    assert json.loads((tmp_path / 'precision.json').read_text())


def test_an_input_size_that_is_no_multiple_of_14_is_refused():
    with pytest.raises(InputError, match='nearest is 224 x 224'):
        load_extractor(ExtractorConfig(random_weights=True, image_height=225))


@pytest.mark.parametrize('device', ['gpu', 'cuda:x', 'cpu:0', 'cuda:99'])
def test_a_device_that_is_not_there_is_refused_with_the_cure(device):
    with pytest.raises(ConfigError, match='auto'):
        resolve_device(device)


def test_a_non_square_input_runs_with_the_real_weights(extractor):
    wide = load_extractor(ExtractorConfig(image_height=168, image_width=224, precision='fp32'))
    assert wide.extract(image(240, 320)).local.shape == (45, 61, 128)
    assert wide.identity.fingerprint != extractor.identity.fingerprint
    assert weights.KNOWN[wide.identity.weights]


def test_a_recorded_precision_without_its_reference_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))
    auto = ExtractorConfig(**{**TINY.to_dict(), 'precision': 'auto'})
    load_extractor(auto)
    path = tmp_path / 'precision.json'
    path.write_text(json.dumps({key: {'fused bf16': 1.0} for key in json.loads(path.read_text())}))
    load_extractor(auto)
    (times,) = json.loads(path.read_text()).values()
    assert 'fused fp32' in times


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize('shape', [(301, 517, 3), (5, 900, 3), (900, 5, 3)])
def test_a_huge_image_gives_what_it_gives_at_once(
    antialias: bool, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor, 'BAND_PIXELS', 3000)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    whole = extractor._resized(image, (56, 70), antialias)
    bands = extractor._resized_huge(image, (56, 70), antialias)
    assert bands.shape == whole.shape and (bands - whole).abs().max() < 0.02
