# SPDX-License-Identifier: MIT
"""The house: imports run downwards only, nothing hides a circle, and every room is small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
import re

import pytest

from where import ROOT

FLOORS = (
    ('selavpr_model.errors', 'selavpr_model.poses'),
    ('selavpr_model.config', 'selavpr_model.records', 'selavpr_model.runtime'),
    ('selavpr_model.features', 'selavpr_model.data'),
    ('selavpr_model.matching',),
    ('selavpr_model.decision',),
    ('selavpr_model.maps',),
    ('selavpr_model.geometry',),
    ('selavpr_model.graph',),
    ('selavpr_model.recognizer', 'selavpr_model.slam'),
    ('selavpr_model.update',),
    ('selavpr_model.evaluation',),
    ('selavpr_model.training', 'selavpr_model.benchmark'),
    ('selavpr_model.cli',),
    ('selavpr_ros.config',),
    ('selavpr_ros.convert',),
    ('selavpr_ros.bags',),
    ('selavpr_ros.node',),
    ('selavpr_ros.replay', 'selavpr_ros.doctor'),
    ('selavpr_ros.cli', 'selavpr_ros.process'),
    ('selavpr_ros.main',),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
PUBLIC = ('selavpr_model', 'selavpr_ros')  # their __init__ offers what is inside
NEEDS_ROS = 'selavpr_ros.replay.live'
ROS = re.compile(
    r'rclpy|rcl_interfaces|ament_\w+|launch\w*|builtin_interfaces|\w+_msgs|\w+_srvs|selavpr'
    r'|tf2\w*|rosidl\w*|bond'
)
MOST_MODULES, MOST_LINES, MOST_LINES_OF_A_FUNCTION = 16, 300, 40


@lru_cache(maxsize=1)
def modules() -> dict[str, ast.Module]:
    """Dotted name -> syntax tree, of both packages."""
    trees = {}
    for path in sorted(p for name in PUBLIC for p in (ROOT / name).rglob('*.py')):
        name = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        trees[name.removesuffix('.__init__')] = ast.parse(path.read_text(encoding='utf-8'))
    return trees


def imported(name: str) -> Iterator[str]:
    """What a module imports, also inside functions; of `from a import b` a.b where b is one."""
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for inside in (f'{node.module}.{alias.name}' for alias in node.names):
                yield inside if inside in modules() else node.module


@lru_cache(maxsize=1)
def graph() -> dict[str, set[str]]:
    """Module -> modules of the packages that it imports."""
    return {
        name: {m for m in imported(name) if m in modules()} - {name, *PUBLIC}
        for name in modules()
        if name not in PUBLIC
    }


def room(name: str) -> str:
    return '.'.join(name.split('.')[:2])


def test_every_room_has_its_floor():
    assert {room(name) for name in modules() if name not in PUBLIC} == set(LEVEL)


def test_imports_run_downwards_only():
    arrows = [(a, b) for a, used in graph().items() for b in used if room(a) != room(b)]
    wrong = [f'{a} -> {b}' for a, b in arrows if LEVEL[room(b)] >= LEVEL[room(a)]]
    assert len(arrows) > 200 and not wrong


def test_no_modules_import_each_other_in_a_circle():
    try:
        assert len(list(TopologicalSorter(graph()).static_order())) > 100
    except CycleError as error:
        pytest.fail(' -> '.join(error.args[1]))


def test_nothing_is_imported_for_type_checking_alone():
    names = {
        name
        for name, tree in modules().items()
        if name not in PUBLIC  # they give a type checker the lazy names
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
        and (node.id if isinstance(node, ast.Name) else node.attr) == 'TYPE_CHECKING'
    }
    assert not names


def reached(name: str) -> set[str]:
    """Everything of the packages that is loaded when a module, and all it needs, is used."""
    seen, left = {name}, [name]
    while left:
        more = graph()[left.pop()] - seen
        seen |= more
        left += more
    return seen


WITHOUT_ROS = [
    name
    for name in modules()
    if room(name) in ('selavpr_ros.bags', 'selavpr_ros.replay') and name != NEEDS_ROS
]


@pytest.mark.parametrize('name', WITHOUT_ROS)
def test_bags_and_replay_need_no_ros(name):
    foreign = {(m, top) for m in reached(name) for used in imported(m)
               if ROS.fullmatch(top := used.partition('.')[0])}  # fmt: skip
    assert not foreign


def test_the_live_player_is_seen_to_need_ros():
    assert 'rclpy' in {used.partition('.')[0] for used in imported(NEEDS_ROS)}
    assert len(WITHOUT_ROS) >= 8


def test_the_model_names_nothing_of_the_ros_package():
    """Not even as a string, such as a module to start."""
    for name, tree in modules().items():
        if name.partition('.')[0] == 'selavpr_model':
            said = {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and 'selavpr_ros' in str(node.value)
            }
            assert said <= docstrings(tree), f'{name}: {said - docstrings(tree)}'


def docstrings(tree: ast.Module) -> set[object]:
    """The texts that stand alone in the file."""
    alone = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return {value.value for value in alone if isinstance(value, ast.Constant)}


def test_a_folder_has_few_modules():
    folders = {p.parent for name in PUBLIC for p in (ROOT / name).rglob('*.py')}
    counts = {f: sum(p.name != '__init__.py' for p in f.glob('*.py')) for f in folders}
    assert len(folders) > 15 and not {f: n for f, n in counts.items() if n > MOST_MODULES}


def test_a_file_is_short():
    files = [p for name in (*PUBLIC, 'tests') for p in (ROOT / name).rglob('*.py')]
    files += [*(ROOT / 'tools').glob('*.py'), *(ROOT / 'launch').glob('*.py')]
    lines = {p.relative_to(ROOT): len(p.read_text().splitlines()) for p in files}
    assert len(lines) > 200 and not {p: n for p, n in lines.items() if n > MOST_LINES}


def test_a_function_is_short():
    long = [
        f'{name}.{node.name}: {lines}'
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    ]
    assert not long
