# SPDX-License-Identifier: MIT
"""How the node is put together: parts know their collaborators and not the node."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from selavpr.msg import LocalizerStatus
from selavpr.srv import SetMode

from selavpr_ros.config import Mode
from selavpr_ros.convert.node_messages import mode_of, MODES

from where import ROOT

NODE = ROOT / 'selavpr_ros' / 'node'
PARTS = [p for p in sorted(NODE.rglob('*.py')) if p.name not in ('localizer.py', '__init__.py')]
ROS = {'rclpy', 'selavpr', 'lifecycle_msgs', 'sensor_msgs', 'geometry_msgs', 'nav_msgs'}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ''
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', PARTS, ids=lambda path: path.stem)
def test_no_part_knows_the_node(path: Path) -> None:
    assert not [n for n in imports(path) if n.endswith(('.localizer', '.LocalizerNode'))]
    assert 'TYPE_CHECKING' not in path.read_text()


@pytest.mark.parametrize('path', sorted((NODE / 'pipeline').glob('*.py')), ids=lambda p: p.stem)
def test_the_pipeline_knows_no_ros(path: Path) -> None:
    assert not {name.partition('.')[0] for name in imports(path)} & ROS
    assert not [name for name in imports(path) if name.startswith('selavpr_ros.convert')]


def test_modes_have_the_numbers_of_service_and_status_and_no_others() -> None:
    assert set(MODES) == set(Mode)
    for mode, number in MODES.items():
        assert mode_of(number) is mode
        assert getattr(SetMode.Request, mode.name) == getattr(LocalizerStatus, mode.name) == number
    assert mode_of(77) is None
