# SPDX-License-Identifier: MIT
"""The file of advanced_config: every setting once, every mistake named with the cure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from selavpr_model.config import ExtractorConfig, TemporalConfig
from selavpr_model.errors import ConfigError
from selavpr_ros.config import GROUPS, is_advanced, NodeConfig, NOT_OF_THE_NODE, ROS_PARAMETERS
from selavpr_ros.node import advanced_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / 'advanced.yaml'


def test_each_field_is_set_in_exactly_one_place(file: Path) -> None:
    parameters, sections = advanced_config.split({p: cls() for p, cls in GROUPS.items()})
    named = {f'{s}.{key}'.removeprefix('node.') for s, keys in sections.items() for key in keys}
    everything = {
        f'{prefix}.{field.name}'.lstrip('.')
        for prefix, cls in GROUPS.items()
        for field in dataclasses.fields(cls)
    }
    left_out = {name for name in ROS_PARAMETERS if name not in parameters}
    assert left_out == {'base_camera'}  # None: a parameter cannot be null
    assert {*parameters, *left_out} | named | {*NOT_OF_THE_NODE} == everything
    assert not parameters.keys() & named


def test_what_is_written_is_read_and_what_is_left_out_has_its_default(file: Path) -> None:
    configs: dict[str, Any] = {
        '': NodeConfig(odom_gap_s=0.7, hypotheses=9),
        'extractor': ExtractorConfig(image_height=280, device='cpu'),
        'temporal': TemporalConfig(),
    }
    _, sections = advanced_config.split(configs)
    advanced_config.write(file, sections)
    read = advanced_config.applied(configs, str(file))
    assert read == configs
    file.write_text('node: {clock_jump_s: 3}')
    changed = advanced_config.applied(configs, str(file))
    assert changed[''] == NodeConfig(clock_jump_s=3, hypotheses=9)
    assert changed['extractor'] == ExtractorConfig(device='cpu')


def test_no_file_and_an_empty_one_change_nothing(file: Path) -> None:
    file.write_text('# nothing\n')
    assert advanced_config.read('') == advanced_config.read(str(file)) == {}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('recogniser: {ties: global}', "unknown section 'recogniser'; did you mean 'recognizer'?"),
        ('zzz: {}', "unknown section 'zzz'; valid: node, extractor"),
        ('recognizer: {tie: global}', "recognizer: unknown key 'tie'; did you mean 'ties'?"),
        ('temporal: {max_evidence: high}', 'TemporalConfig.max_evidence: expected float, got'),
        ('temporal: {max_evidence: -1}', 'max_evidence: expected 0.0 to inf nat; got -1'),
        ('recognizer: {ties: none}', "ties: expected one of global, official; got 'none'"),
        ('recognizer: {candidates: 7}', 'recognizer.candidates is a ROS parameter; set it in'),
        ('node: {map: /m}', 'map is a ROS parameter'),
        ('storage: {frame_id: odom}', 'storage.frame_id has no effect'),
        ('recognizer: 7', 'recognizer: expected keys with values, got 7'),
        ('7', 'expected sections node, extractor'),
        ('a: [', 'cannot be read'),
    ],
)
def test_a_mistake_is_named_with_file_key_and_cure(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        advanced_config.read(str(file))
    message = str(refused.value)
    assert words in message and message.startswith(f'advanced_config {file}: ')
    assert '\n' not in message


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r'advanced\.yaml: cannot be read: .*No such file'):
        advanced_config.read(str(file))


@pytest.mark.parametrize('name', ['advanced', 'advanced_slam'])
def test_the_example_is_taken_and_repeats_no_default(name: str) -> None:
    from where import ROOT

    path = ROOT / 'config' / f'{name}.yaml'
    for prefix, values in advanced_config.read(str(path)).items():
        default = GROUPS[prefix]().to_dict()
        assert values and not [key for key in values if values[key] == default[key]]
        assert all(is_advanced(prefix, key) for key in values)
    assert yaml.safe_load(path.read_text())
