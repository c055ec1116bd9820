# SPDX-License-Identifier: MIT
"""What is asked for runs, or the next engine does and one line says why."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from selavpr_model.config import ExtractorConfig
from selavpr_model.errors import EngineError
from selavpr_model.features.engines import engine as engines
from selavpr_model.features.engines import int8, linears, tensorrt
from selavpr_model.features.extractor import load_extractor

SMALL = {'random_weights': True, 'image_height': 56, 'image_width': 70}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv('SELAVPR_HOME', str(tmp_path))


def load(**options):
    return load_extractor(ExtractorConfig(**{**SMALL, **options}))


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (56, 70, 3)).astype(np.uint8)


@pytest.mark.parametrize('local_head', ['tokens', 'upconv'])
def test_eager_and_fused_agree(local_head):
    options = {'precision': 'fp32', 'local_head': local_head}
    eager, fused = load(engine='eager', **options), load(engine='fused', **options)
    assert (eager.engine, fused.engine) == ('eager', 'fused')
    a, b = eager.extract(picture()), fused.extract(picture())
    np.testing.assert_allclose(a.global_, b.global_, atol=1e-5)
    np.testing.assert_allclose(a.local, b.local, atol=1e-5)
    assert eager.identity == fused.identity  # a map of one can be asked with the other


def test_tensorrt_without_a_gpu_says_so_once_and_the_fastest_other_one_runs(caplog):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    extractor = load(engine='tensorrt')
    assert extractor.engine == 'fused'
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith('engine: running fused') and 'instead of tensorrt fp16' in line
    assert 'NVIDIA GPU' in line and 'pip install torch-tensorrt' in line and '\n' not in line


def test_a_precision_that_an_engine_has_not_falls_back_with_its_name(caplog):
    extractor = load(engine='fused', precision='fp16')
    assert extractor.engine == 'fused' and extractor.precision in ('fp32', 'bf16', 'int8')
    assert 'instead of fused fp16: the fused engine has no fp16' in caplog.text


def test_without_bf16_instructions_another_precision_runs(caplog, monkeypatch):
    for module in (engines, int8):
        monkeypatch.setattr(module, 'bf16_is_fast', lambda: False)
    extractor = load(precision='bf16')
    assert extractor.precision in ('fp32', 'int8') and 'no bf16 instructions' in caplog.text
    caplog.clear()
    assert load().precision in ('fp32', 'int8')
    assert 'instead of' not in caplog.text  # nobody asked for it


def test_a_torch_without_the_packed_operators_runs_eagerly(caplog, monkeypatch):
    def refused(*_, **__):
        raise NotImplementedError("operator '_reorder_linear_weight' is not there\nlong story")

    monkeypatch.setattr(linears.PackedLinear, '__init__', refused)
    extractor = load(engine='fused', precision='fp32')
    assert (extractor.engine, extractor.precision) == ('eager', 'fp32')
    assert '_reorder_linear_weight' in caplog.text and 'long story' not in caplog.text


def test_tensorrt_is_refused_where_it_is_not_installed_or_asked_for_another_precision():
    cuda = torch.device('cuda')
    with pytest.raises(EngineError, match='built in fp16, not fp32'):
        tensorrt._library(cuda, 'fp32')
    try:
        import torch_tensorrt  # noqa: F401
    except ImportError:
        with pytest.raises(EngineError, match='selavpr export'):
            tensorrt._library(cuda, 'fp16')


def test_an_eager_engine_in_half_precision_still_gives_unit_float32():
    features = load(engine='eager', precision='bf16').extract(picture())
    assert features.global_.dtype == features.local.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features.local, axis=-1), 1, atol=1e-5)


def test_export_without_a_gpu_says_what_it_needs(capsys, monkeypatch):
    from selavpr_ros.cli import main

    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    monkeypatch.delenv('SELAVPR_HOME')  # the real weights
    with pytest.raises(SystemExit):
        main(['export', '--size', '56'])
    said = capsys.readouterr().err
    assert said.startswith('selavpr: ') and 'NVIDIA GPU' in said and said.count('\n') == 1
