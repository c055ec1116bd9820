# SPDX-License-Identifier: MIT
"""Launch files around the node: replay, map building, and files of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Any

from launch_helpers import Kept, values_of
import pytest
import yaml

from selavpr_ros.config import GROUPS, parameter_name, ROS_PARAMETERS
from selavpr_ros.convert.camera_info import is_rectified

from where import ROOT

OTHERS = ('train_', 'ablations', 'compare_', 'advanced')  # no parameters of the node


class TestReplay:
    """replay.launch.py"""

    @pytest.mark.parametrize('sim_time', ['true', 'false'])
    def test_the_bag_brings_the_clock_where_it_is_wanted(
        self, launch_file: Any, sim_time: str
    ) -> None:
        module = launch_file('replay')
        context = Kept()
        context.launch_configurations = values_of(  # type: ignore[attr-defined]
            module, bag='/b', use_sim_time=sim_time, bag_arguments='--loop'
        )
        words = module.play(context)[1].kwargs['cmd']
        assert words[:4] == ['ros2', 'bag', 'play', '/b']
        assert ('--clock' in words, words[-1]) == (sim_time == 'true', '--loop')

    @pytest.mark.parametrize(('answer', 'count'), [('true', 1), ('false', 0)])
    def test_everything_ends_with_the_bag_if_wanted(
        self, launch_file: Any, answer: str, count: int
    ) -> None:
        module = launch_file('replay')
        context = Kept()
        context.launch_configurations = values_of(  # type: ignore[attr-defined]
            module, bag='/b', exit_with_bag=answer
        )
        assert len(module.play(context)[1].kwargs['on_exit']) == count


class TestCamera:
    """camera.launch.py"""

    @staticmethod
    def topics(module: Any, **given: str) -> dict[str, str]:
        context = Kept()
        context.launch_configurations = values_of(module, **given)  # type: ignore[attr-defined]
        (include,) = module.localize(context)
        return dict(include.kwargs['launch_arguments'])

    def test_each_camera_brings_the_topics_of_its_driver(self, launch_file: Any) -> None:
        module = launch_file('camera')
        for camera, topics in module.CAMERAS.items():
            assert self.topics(module, camera=camera, map='/m') == {'map': '/m', **topics}
            assert all(topic.startswith('/') for topic in topics.values())
        assert {'realsense', 'zed', 'oak', 'usb_cam'} <= set(module.CAMERAS)

    def test_the_documentation_names_them(self, launch_file: Any) -> None:
        text = (ROOT / 'docs' / 'robot.md').read_text(encoding='utf-8')
        rows = dict(re.findall(r'^\| `(\w+)` \| `(/[\w/]+)`', text, re.MULTILINE))
        assert rows == {
            camera: topics['image_topic']
            for camera, topics in launch_file('camera').CAMERAS.items()
        }

    def test_rectified_images_are_told_from_raw_ones_by_their_topic(
        self, launch_file: Any
    ) -> None:
        found = {
            camera: is_rectified('auto', topics['image_topic'])
            for camera, topics in launch_file('camera').CAMERAS.items()
        }
        assert found == {camera: camera.startswith('zed') for camera in found}

    def test_topics_that_are_given_win_and_the_calibration_is_beside_them(
        self, launch_file: Any
    ) -> None:
        module = launch_file('camera')
        given = self.topics(module, camera='oak', map='/m', image_topic='/left/image')
        assert given == {'map': '/m', 'image_topic': '/left/image', 'camera_info_topic': ''}


class TestBuildMap:
    """build_map.launch.py"""

    def test_its_options_are_those_of_the_command(self, launch_file: Any) -> None:
        import typer.main

        from selavpr_ros.cli import app

        command = typer.main.get_command(app).commands['map'].commands['build']  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        module = launch_file('build_map')
        assert {*module.OPTIONS.values(), '--out', '--overwrite'} <= known
        context = Kept()
        context.launch_configurations = values_of(  # type: ignore[attr-defined]
            module, source='/bag', map='/m', distance_m='2.5', overwrite='true'
        )
        (process,) = module.build(context)
        assert process.kwargs['cmd'][1:] == [
            'map', 'build', '/bag', '--out', '/m', '--distance-m', '2.5', '--overwrite',
        ]  # fmt: skip


class TestOverrides:
    """config/*.yaml"""

    @pytest.fixture(
        params=[
            p for p in sorted((ROOT / 'config').glob('*.yaml')) if not p.name.startswith(OTHERS)
        ],
        ids=lambda path: path.name,
    )
    def path(self, request: pytest.FixtureRequest) -> Path:
        return request.param

    def test_it_says_that_it_is_not_used(self, path: Path) -> None:
        assert 'THIS FILE IS NOT USED AUTOMATICALLY' in path.read_text()

    def test_each_key_is_a_parameter_with_a_valid_value_other_than_the_default(
        self, path: Path
    ) -> None:
        for prefix, values in groups_of(path):
            assert {parameter_name(prefix, key) for key in values} <= set(ROS_PARAMETERS)
            made = GROUPS[prefix].from_dict(values).to_dict()  # raises on names, types and ranges
            same = [name for name in values if made[name] == GROUPS[prefix]().to_dict()[name]]
            assert not same, f'{path.name} repeats the default of {same}'


def groups_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Prefix and values of each group of parameters in a file."""
    (parameters,) = (node['ros__parameters'] for node in yaml.safe_load(path.read_text()).values())
    nested = {name: value for name, value in parameters.items() if isinstance(value, dict)}
    yield '', {name: value for name, value in parameters.items() if name not in nested}
    yield from nested.items()
