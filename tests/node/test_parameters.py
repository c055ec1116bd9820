# SPDX-License-Identifier: MIT
"""ROS parameters are config fields: same names, defaults, ranges and words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import math
from pathlib import Path
from typing import Any

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from selavpr_model.config import ExtractorConfig, RecognizerConfig, SlamConfig
from selavpr_ros.config import GROUPS, is_advanced, NodeConfig, parameter_name, ROS_PARAMETERS
from selavpr_ros.node.parameters import Parameters

ALL = [(p, f) for p in GROUPS for f in dataclasses.fields(GROUPS[p])]
FIELDS = [(p, f) for p, f in ALL if parameter_name(p, f.name) in ROS_PARAMETERS]
Made = Callable[..., tuple[Node, Parameters]]


@pytest.fixture
def make(ros: None) -> Iterator[Made]:
    nodes: list[Node] = []

    def made(**given_values: Any) -> tuple[Node, Parameters]:
        overrides = [Parameter(k.replace('__', '.'), value=v) for k, v in given_values.items()]
        nodes.append(Node('parameters', parameter_overrides=overrides))
        return nodes[-1], Parameters(nodes[-1])

    yield made
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def listening(make: Made) -> tuple[Node, Parameters]:
    node, parameters = make()
    parameters.on_change(lambda names: None)
    return node, parameters


def test_what_a_user_sets_are_about_thirty_parameters_and_the_rest_is_advanced(make: Made):
    node, _ = make()
    names = [parameter_name(p, f.name) for p, f in ALL]
    assert len(FIELDS) == len(ROS_PARAMETERS) == len(set(ROS_PARAMETERS)) <= 35
    assert set(ROS_PARAMETERS) <= set(names)
    for prefix, field in ALL:
        name = parameter_name(prefix, field.name)
        assert node.has_parameter(name) == (name in ROS_PARAMETERS)
        assert not (node.has_parameter(name) and is_advanced(prefix, field.name))


def test_each_is_described_and_has_the_default_of_the_config(make: Made):
    node, parameters = make()
    for prefix, field in FIELDS:
        name = parameter_name(prefix, field.name)
        value, description = node.get_parameter(name).value, node.describe_parameter(name)
        assert value == ([] if field.default is None else field.default)
        assert field.metadata['help'] in description.description
        assert field.metadata['unit'] in description.description
    assert parameters.node == NodeConfig() and parameters.recognizer == RecognizerConfig()
    assert parameters.extractor == ExtractorConfig() and not parameters.problems


def test_ranges_and_choices_are_in_the_descriptor(make: Made):
    node, _ = make()
    for prefix, field in FIELDS:
        made, meta = node.describe_parameter(parameter_name(prefix, field.name)), field.metadata
        assert all(str(choice) in made.additional_constraints for choice in meta['choices'])
        ranges = [*made.integer_range, *made.floating_point_range]
        ranged = meta['low'] is not None or meta['high'] is not None
        assert len(ranges) == int(ranged and field.metadata['kind'] is not tuple)
        if ranges and meta['low'] is not None:
            assert ranges[0].from_value == meta['low']
        if ranges and meta['high'] is not None:
            assert ranges[0].to_value == meta['high']
    assert node.describe_parameter('autostart').read_only


def test_values_given_at_start_are_taken_and_whole_numbers_fit_floats(make: Made):
    _, parameters = make(
        max_frame_age_s=3, recognizer__candidates=7, base_camera=[1, 0, 0, 0, 0, 0, 1], map='/m'
    )
    assert parameters.node.max_frame_age_s == 3.0 and parameters.node.map == '/m'
    assert parameters.node.base_camera == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert parameters.recognizer.candidates == 7 and not parameters.problems


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('image_transport', 'compresed', 'one of raw, compressed'),
        ('hypotheses', 1000, '1 to 100'),
        ('recognizer.candidates', 'many', 'expected int'),
        ('extractor.device', 3, 'expected str'),
        ('base_camera', [0.0] * 7, 'unit quaternion'),
        (
            'base_camera',
            [1.0, 2.0],
            'expected 7 numbers x, y, z, qx, qy, qz, qw or null, got (1.0',
        ),
        ('map', ['a'], 'expected str'),
    ],
)
def test_a_bad_value_at_start_is_kept_as_a_problem_until_it_is_set_right(
    make: Made, name: str, value: Any, words: str
):
    node, parameters = make(**{name: value})
    assert list(parameters.problems) == [name] and words in parameters.problems[name]
    parameters.on_change(lambda names: None)
    good = getattr(GROUPS[name.rpartition('.')[0]](), name.rpartition('.')[2])
    good = [] if good is None else good
    assert node.set_parameters([Parameter(name, value=good)])[0].successful
    assert not parameters.problems


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('hypotheses', 0),
        ('hypotheses', True),
        ('max_frame_age_s', math.nan),
        ('max_frame_age_s', -1.0),
        ('recognizer.min_precision', 1.5),
        ('extractor.precision', 'fp8'),
        ('base_camera', [0.0] * 7),
        ('map', None),
        ('base_camera', None),
        ('advanced_config', '/nowhere.yaml'),
    ],
)
def test_a_bad_value_at_run_time_is_refused_and_changes_nothing(make: Made, name: str, value: Any):
    node, parameters = make()
    changes: list[frozenset[str]] = []
    parameters.on_change(changes.append)
    before = (parameters.node, parameters.extractor, parameters.recognizer)
    result = node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful and result.reason
    assert parameters.refusal([Parameter(name, value=value)])
    assert (parameters.node, parameters.extractor, parameters.recognizer) == before
    assert not changes


def test_several_values_are_taken_together_or_not_at_all(make: Made):
    node, parameters = make()
    changes: list[frozenset[str]] = []
    parameters.on_change(changes.append)
    good = [Parameter('hypotheses', value=9), Parameter('recognizer.candidates', value=4)]
    bad = [Parameter('hypotheses', value=11), Parameter('recognizer.candidates', value=-4)]
    assert not node.set_parameters_atomically(bad).successful
    assert parameters.node.hypotheses == 5
    assert node.set_parameters_atomically(good).successful
    assert (parameters.node.hypotheses, parameters.recognizer.candidates) == (9, 4)
    assert changes == [frozenset({'hypotheses', 'recognizer.candidates'})]


def test_parameters_of_rclpy_itself_pass_through(make: Made):
    node, parameters = make()
    parameters.on_change(lambda names: None)
    assert node.set_parameters([Parameter('use_sim_time', value=True)])[0].successful


def test_a_misspelt_parameter_is_named_with_the_nearest_one(make: Made):
    _, parameters = make()
    lines = parameters.unknown(['recogniser.candidates', 'use_sim_time', 'map', 'zzz'])
    assert len(lines) == 2 and "'recognizer.candidates'" in lines[0] and 'zzz' in lines[1]
    (line,) = parameters.unknown(['slam.exclude_m'])
    assert "'slam.exclude_m'" in line and "section 'slam' of the file" in line
    (line,) = parameters.unknown(['clock_jump_s'])
    assert "section 'node'" in line and 'advanced_config' in line


def test_an_empty_list_is_no_mounting_of_the_camera_and_the_identity_is_one(make: Made):
    node, parameters = make(base_camera=[])
    parameters.on_change(lambda names: None)
    assert parameters.node.base_camera is None and not parameters.problems
    identity = [0.0] * 6 + [1.0]
    assert node.set_parameters([Parameter('base_camera', value=identity)])[0].successful
    assert parameters.node.base_camera == tuple(identity)
    assert node.set_parameters([Parameter('base_camera', value=[])])[0].successful
    assert parameters.node.base_camera is None


def test_the_advanced_file_sets_the_rest_and_is_read_again_when_it_is_set(
    make: Made, tmp_path: Path
):
    file = tmp_path / 'advanced.yaml'
    file.write_text('slam: {exclude_m: 3.0}\nnode: {clock_jump_s: 2}\n')
    node, parameters = make(advanced_config=str(file), slam__session='one')
    assert (parameters.slam.exclude_m, parameters.slam.session) == (3.0, 'one')
    assert parameters.node.clock_jump_s == 2 and parameters.recognizer == RecognizerConfig()
    changes: list[frozenset[str]] = []
    parameters.on_change(changes.append)
    file.write_text('recognizer: {ties: official, min_matches: 7}\n')
    again = [Parameter('advanced_config', value=str(file))]
    assert node.set_parameters(again)[0].successful
    assert parameters.recognizer.ties == 'official' and parameters.recognizer.min_matches == 7
    assert parameters.slam == SlamConfig(session='one')  # out of the file, back to the default
    assert changes == [
        {'advanced_config', 'recognizer.ties', 'recognizer.min_matches', 'slam.exclude_m',
         'clock_jump_s'},
    ]  # fmt: skip
    file.write_text('recognizer: {tie: official}\n')
    refused = node.set_parameters(again)[0]
    assert not refused.successful and "did you mean 'ties'" in refused.reason
    assert parameters.recognizer.ties == 'official'


def test_a_bad_advanced_file_at_start_is_a_problem_until_it_is_set_right(
    make: Made, tmp_path: Path
):
    file = tmp_path / 'advanced.yaml'
    file.write_text('slam: {exclude_m: -3.0}\n')
    node, parameters = make(advanced_config=str(file))
    assert list(parameters.problems) == ['advanced_config']
    assert 'SlamConfig.exclude_m: expected 0.0 to inf m; got -3.0' in str(parameters.problems)
    parameters.on_change(lambda names: None)
    file.write_text('slam: {exclude_m: 3.0}\n')
    assert node.set_parameters([Parameter('advanced_config', value=str(file))])[0].successful
    assert not parameters.problems and parameters.slam.exclude_m == 3.0


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=9),
    st.lists(st.floats(), max_size=9), st.lists(st.text(max_size=3), max_size=9),
)  # fmt: skip


@given(field=st.sampled_from(FIELDS), value=VALUES)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_set_the_configs_stay_valid(listening: Any, field: Any, value: Any):
    node, parameters = listening
    name = parameter_name(field[0], field[1].name)
    result = node.set_parameters([Parameter(name, value=value)])[0]
    config = parameters.node if field[0] == '' else getattr(parameters, field[0])
    assert type(config).from_dict(config.to_dict()) == config
    if result.successful:
        kept = getattr(config, field[1].name)
        if isinstance(kept, float):  # an int beyond 2^53 is rounded
            value = float(value)
        if isinstance(value, list):
            value = tuple(value) or None  # an empty list is none
        assert kept == value
