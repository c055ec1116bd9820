# SPDX-License-Identifier: MIT
"""Configuration: every default described and in range, every bad value named."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil

from hypothesis import given
from hypothesis import strategies as st
import pytest

from selavpr_model import config as package
from selavpr_model.config import (
    ExtractorConfig,
    GeometryConfig,
    ModelConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
)
from selavpr_model.errors import ConfigError, SelaVPRError
from selavpr_ros.config import GROUPS, NodeConfig

CLASSES = [*GROUPS.values(), ModelConfig]


@pytest.mark.parametrize('cls', CLASSES)
def test_every_field_has_help_and_a_default_in_its_own_range(cls):
    values = cls().to_dict()
    assert cls.from_dict(values) == cls()
    assert all(f.metadata['help'] for f in dataclasses.fields(cls))


def test_every_class_of_the_package_is_had_from_it():
    modules = [m.name for m in pkgutil.iter_modules(package.__path__, 'selavpr_model.config.')]
    made = {
        name
        for module in map(importlib.import_module, modules)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    assert len(made) >= 15 and set(package.__all__) == made
    assert all(hasattr(package, name) for name in package.__all__)


def test_an_unknown_key_names_the_nearest_one():
    with pytest.raises(ConfigError, match="'treads'; did you mean 'threads'"):
        ExtractorConfig.from_dict({'treads': 2})
    with pytest.raises(ConfigError, match='valid: weights'):
        ExtractorConfig.from_dict({'zzzz': 2})


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'threads': -1}, 'expected 0 to 256; got -1'),
        ({'threads': 1.5}, 'expected int'),
        ({'threads': True}, 'expected int'),
        ({'random_weights': 1}, 'expected bool'),
        ({'precision': 'int4'}, 'expected one of auto, fp32, bf16, fp16'),
        ({'image_height': 4000}, '14 to 1792 px'),
    ],
)
def test_a_bad_value_says_what_was_expected_and_what_came(values, text):
    with pytest.raises(ConfigError, match=text):
        ExtractorConfig.from_dict(values)


def test_a_list_of_the_wrong_length_or_with_nan_is_refused():
    seven = r'base_camera: expected 7 numbers x, y, z, qx, qy, qz, qw or null, got \(0\.0, 1\.0\)'
    with pytest.raises(ConfigError, match=seven):
        NodeConfig.from_dict({'base_camera': [0.0, 1.0]})
    with pytest.raises(ConfigError, match='base_camera'):
        NodeConfig.from_dict({'base_camera': [float('nan')] * 7})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(st.sampled_from(CLASSES), st.data())
def test_any_value_is_either_taken_or_a_config_error(cls, data):
    name = data.draw(st.sampled_from([f.name for f in dataclasses.fields(cls)]))
    value = data.draw(SCALARS | st.lists(SCALARS, max_size=8))
    try:
        config = cls.from_dict({name: value})
    except SelaVPRError as error:
        assert name in str(error)
    else:
        assert getattr(config, name) == (tuple(value) if isinstance(value, list) else value)


def test_an_optional_number_may_be_null_and_nothing_else():
    assert RecognizerConfig().min_matches is None
    assert RecognizerConfig.from_dict({'min_matches': None}) == RecognizerConfig()
    assert RecognizerConfig(min_similarity=1).min_similarity == 1
    with pytest.raises(ConfigError, match=r"min_matches: expected int or null, got 'many'"):
        RecognizerConfig.from_dict({'min_matches': 'many'})
    with pytest.raises(ConfigError, match=r'min_match_ratio: expected 0\.0 to inf; got -1'):
        RecognizerConfig(min_match_ratio=-1.0)
    with pytest.raises(ConfigError, match='candidates: expected int, got None'):
        RecognizerConfig.from_dict({'candidates': None})


LEANING = ('and ', 'or ', 'the same', 'more', 'not ', 'it ', 'these ', 'those ', 'of ', 'with ')


@pytest.mark.parametrize('cls', [RecognizerConfig, TemporalConfig, SlamConfig, GeometryConfig])
def test_a_help_text_stands_alone(cls):
    """`ros2 param describe` shows it without the one above."""
    texts = {f.name: f.metadata['help'] for f in dataclasses.fields(cls)}
    assert not [name for name, text in texts.items() if text.lower().startswith(LEANING)]
    assert len(set(texts.values())) == len(texts)
