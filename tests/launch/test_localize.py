# SPDX-License-Identifier: MIT
"""Launch files and the example overrides, against the configuration and the node.

`launch` is not on PyPI. Its classes are replaced by ones that only keep what they were given;
where the real ones are there, the files are loaded with those, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
import dataclasses
import importlib.util
from pathlib import Path
import re
from typing import Any

from launch_helpers import Kept, load, values_of
import pytest

from selavpr_ros.config import GROUPS

from where import ROOT

FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
REQUIRED = {
    'localize': {'map', 'image_topic'},
    'slam': {'map', 'image_topic'},
    'build_map': {'source', 'map'},
    'replay': {'bag'},
    'camera': {'camera', 'map'},
}


def has_real_launch() -> bool:
    """Our folder launch/ looks like a package to Python; the real one has an __init__.py."""
    spec = importlib.util.find_spec('launch')
    return spec is not None and spec.origin is not None


def field_of(parameter: str) -> dataclasses.Field[Any]:
    """The config field behind a parameter of the node."""
    prefix, _, name = parameter.rpartition('.')
    return next(f for f in dataclasses.fields(GROUPS[prefix]) if f.name == name)


class TestArguments:
    """Every file."""

    @pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
    def test_each_is_described_and_only_what_must_be_given_is_required(
        self, launch_file: Any, path: Path
    ) -> None:
        name = path.name.removesuffix('.launch.py')
        declared = launch_file(name).arguments()
        assert len(declared) > 3
        assert all(len(argument.kwargs['description']) > 10 for argument in declared)
        required = {a.args[0] for a in declared if 'default_value' not in a.kwargs}
        assert required == REQUIRED[name]
        for argument in declared:
            if 'choices' in argument.kwargs and argument.args[0] not in required:
                assert argument.kwargs['default_value'] in argument.kwargs['choices']

    @pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
    def test_each_is_used(self, path: Path) -> None:
        strings = [
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        for name in declared_names(path):
            assert strings.count(name) > 1, f'{path.name}: {name} is declared and never read'

    @pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
    def test_the_first_lines_show_a_command_to_copy(self, path: Path) -> None:
        text = ast.get_docstring(ast.parse(path.read_text())) or ''
        command = re.search(rf'ros2 launch selavpr {re.escape(path.name)} (.*(?:\\\n.*)*)', text)
        assert command is not None
        given = set(re.findall(r'(\w+):=', command[1]))
        known = set(declared_names(path)) | set(declared_names(ROOT / 'launch/localize.launch.py'))
        assert REQUIRED[path.name.removesuffix('.launch.py')] <= given <= known

    @pytest.mark.skipif(
        not has_real_launch(), reason='the real launch is not installed (it is not on PyPI)'
    )
    @pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
    def test_the_real_launch_takes_the_file(self, path: Path) -> None:
        description = load(path.name.removesuffix('.launch.py')).generate_launch_description()
        shown = {argument.name for argument in description.get_launch_arguments()}
        assert set(declared_names(path)) <= shown


def declared_names(path: Path) -> Iterator[str]:
    """Names of the arguments a launch file declares."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            first = node.args[0] if node.args else None
            if node.func.id in ('declare', 'DeclareLaunchArgument'):
                assert isinstance(first, ast.Constant) and isinstance(first.value, str)
                yield first.value


class TestLocalize:
    """localize.launch.py"""

    def test_two_arguments_are_enough(self, launch_file: Any) -> None:
        module = launch_file('localize')
        values = values_of(module, map='/m', image_topic='/cam/image_raw')
        node = module.localizer(values).kwargs
        assert (node['package'], node['executable'], node['name']) == (
            'selavpr', 'localizer', 'localizer',
        )  # fmt: skip
        assert dict(node['remappings']) == {
            'image': '/cam/image_raw', 'camera_info': '/cam/camera_info', 'odom': 'odom',
            '/tf': 'tf', '/tf_static': 'tf_static',  # relative: the tree of the namespace
        }  # fmt: skip
        (given,) = node['parameters']
        assert {name: value.args[0] for name, value in given.items()} == {'map': '/m'}

    @pytest.mark.parametrize(
        ('topic', 'info'),
        [
            ('/a/b/image', '/a/b/camera_info'),
            ('image', 'camera_info'),
            ('/image', '/camera_info'),
            ('/a/image/compressed', '/a/camera_info'),
        ],
    )
    def test_the_calibration_is_looked_for_beside_the_image(
        self, launch_file: Any, topic: str, info: str
    ) -> None:
        module = launch_file('localize')
        node = module.localizer(values_of(module, map='m', image_topic=topic))
        assert dict(node.kwargs['remappings'])['camera_info'] == info

    def test_arguments_come_after_the_file_and_empty_ones_not_at_all(
        self, launch_file: Any, tmp_path: Path
    ) -> None:
        file = tmp_path / 'robot.yaml'
        file.touch()
        module = launch_file('localize')
        values = values_of(
            module, map='m', image_topic='i', params_file=str(file), device='cpu',
            autostart='false',
        )  # fmt: skip
        first, last = module.localizer(values).kwargs['parameters']
        assert first == str(file)
        assert set(last) == {'map', 'extractor.device', 'autostart'}
        assert last['autostart'] is False
        assert last['extractor.device'].kwargs == {'value_type': str}

    @pytest.mark.parametrize('text', ['[0.2,0,1,0,0,0,1]', '0.2, 0, 1, 0, 0, 0, 1'])
    def test_the_mounting_of_the_camera_is_passed_on_as_floats(
        self, launch_file: Any, text: str
    ) -> None:
        module = launch_file('localize')
        values = values_of(module, map='m', image_topic='i', base_camera=text)
        (given,) = module.localizer(values).kwargs['parameters']
        assert given['base_camera'] == [0.2, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        assert all(isinstance(number, float) for number in given['base_camera'])

    @pytest.mark.parametrize('text', ['[0.2,0,1]', 'camera', '1 2 3 4 5 6 7'])
    def test_a_mounting_that_cannot_be_read_is_named(self, launch_file: Any, text: str) -> None:
        module = launch_file('localize')
        with pytest.raises(ValueError, match='base_camera: expected x,y,z,qx'):
            module.localizer(values_of(module, map='m', image_topic='i', base_camera=text))

    @pytest.mark.parametrize('argument', ['params_file', 'advanced_config'])
    def test_a_missing_file_is_named(self, launch_file: Any, argument: str) -> None:
        module = launch_file('localize')
        values = values_of(module, map='m', image_topic='i', **{argument: '/nowhere.yaml'})
        with pytest.raises(FileNotFoundError, match=f'{argument}: there is no file /nowhere'):
            module.localizer(values)

    def test_the_advanced_file_is_passed_on_by_its_whole_path(
        self, launch_file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / 'advanced.yaml').touch()
        monkeypatch.chdir(tmp_path)
        module = launch_file('localize')
        values = values_of(module, map='m', image_topic='i', advanced_config='advanced.yaml')
        (given,) = module.localizer(values).kwargs['parameters']
        assert given['advanced_config'].args[0] == str(tmp_path / 'advanced.yaml')

    @pytest.mark.parametrize(
        ('namespace', 'logger'),
        [('', 'localizer'), ('/a/b', 'a.b.localizer'), ('a', 'a.localizer')],
    )
    def test_the_log_level_is_for_the_node_in_its_namespace(
        self, launch_file: Any, namespace: str, logger: str
    ) -> None:
        module = launch_file('localize')
        values = values_of(module, map='m', image_topic='i', namespace=namespace)
        words = module.localizer(values).kwargs['ros_arguments']
        assert words == ['--log-level', f'{logger}:=info']

    def test_the_arguments_are_parameters_of_the_node_of_the_right_kind(
        self, launch_file: Any
    ) -> None:
        module = launch_file('localize')
        assert all(isinstance(field_of(p).default, str) for p in module.TEXTS.values())
        switches = [p for p in module.SWITCHES.values() if p != 'use_sim_time']  # rclpy's own
        assert all(isinstance(field_of(p).default, bool) for p in switches)

    def test_no_default_is_repeated_and_the_choices_are_those_of_the_node(
        self, launch_file: Any
    ) -> None:
        module = launch_file('localize')
        declared = {a.args[0]: a.kwargs for a in module.arguments()}
        for name, parameter in (module.TEXTS | module.SWITCHES).items():
            assert declared[name].get('default_value', '') == ''
            if name in module.TEXTS:
                choices = tuple(declared[name].get('choices', ('',)))
                assert choices == ('', *field_of(parameter).metadata['choices'])

    def test_rviz_comes_only_when_asked_for(self, launch_file: Any) -> None:
        module = launch_file('localize')
        for answer, count in (('false', 1), ('true', 2)):
            context = Kept()
            context.launch_configurations = values_of(  # type: ignore[attr-defined]
                module, map='m', image_topic='i', rviz=answer
            )
            assert len(module.start(context)) == count
