# SPDX-License-Identifier: MIT
"""What the code imports: no ROS in the model, and all declared where it is installed from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import re
import subprocess
import sys

from package_helpers import INTERFACES, MODEL, PACKAGE, requirements, ROS
import pytest

from where import ROOT

ROS_MODULES = re.compile(
    r'rclpy|rcl_interfaces|ament_\w+|launch\w*|cv_bridge|builtin_interfaces|\w+_msgs|\w+_srvs'
    r'|selavpr|tf2\w*|rosidl\w*|bond'
)


# Import name -> name on PyPI, where they differ.
DISTRIBUTIONS = {
    'PIL': 'pillow',
    'backports': 'backports.zstd',
    'cv2': 'opencv-python-headless',
    'faiss': 'faiss-cpu',
    'jinja2': 'Jinja2',
    'rerun': 'rerun-sdk',
    'tensorrt': 'torch-tensorrt',
    'torch_tensorrt': 'torch-tensorrt',
    'yaml': 'PyYAML',
}


def imports(path: Path) -> Iterator[str]:
    """Every absolute import of a file, also those inside functions, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            yield node.module or ''


def tops(paths: list[Path]) -> set[str]:
    """Top-level names of everything the files import from outside themselves."""
    found = {name.partition('.')[0] for path in paths for name in imports(path)}
    return found - {'selavpr_model', 'selavpr_ros'} - set(sys.stdlib_module_names)


class TestLayers:
    """selavpr_model runs without ROS; only selavpr_ros knows messages."""

    @pytest.mark.parametrize('path', MODEL, ids=lambda path: str(path.relative_to(ROOT)))
    def test_the_model_imports_no_ros(self, path: Path) -> None:
        wrong = [n for n in imports(path) if ROS_MODULES.fullmatch(n.partition('.')[0])]
        wrong += [n for n in imports(path) if n.partition('.')[0] == 'selavpr_ros']
        assert not wrong, f'{path.name} imports {wrong}: that belongs into selavpr_ros'

    def test_importing_all_of_the_model_loads_no_ros(self) -> None:
        names = [
            '.'.join(p.relative_to(ROOT).with_suffix('').parts)
            for p in MODEL
            if p.stem not in ('__init__', '__main__')
        ]
        code = (
            'import importlib, sys\n'
            f'for name in {names}: importlib.import_module(name)\n'
            'print([m for m in sys.modules if m.split(".")[0] in '
            '("rclpy", "rcl_interfaces", "sensor_msgs", "selavpr", "selavpr_ros")])'
        )
        made = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        assert (made.stdout, made.returncode) == ('[]\n', 0), made.stderr

    def test_the_worker_imports_no_ros(self) -> None:
        assert not [
            n
            for n in imports(ROOT / 'selavpr_ros' / 'node' / 'pipeline' / 'worker.py')
            if 'ros' in n or 'rcl' in n
        ]


class TestNeeds:
    """What the code imports is declared where it gets installed from."""

    def test_package_xml_is_valid(self) -> None:
        from catkin_pkg.package import parse_package

        warnings: list[str] = []
        package = parse_package(str(ROOT / 'package.xml'), warnings=warnings)
        package.validate(warnings=warnings)
        assert not warnings

    def test_package_xml_names_every_ros_package_in_use(self) -> None:
        launch_files = sorted((ROOT / 'launch').glob('*.py'))
        used = {n for n in tops([*ROS, *launch_files]) if ROS_MODULES.fullmatch(n)} - {'selavpr'}
        used |= {'rclpy' if name == 'rcl_interfaces' else name for name in used}
        used -= {'rcl_interfaces'}  # rclpy brings it
        used = {'tf2_ros_py' if name == 'tf2_ros' else name for name in used}  # its package
        named = {e.text for tag in ('depend', 'exec_depend') for e in PACKAGE.findall(tag)}
        assert not used - named

    def test_cmake_names_every_package_the_messages_use(self) -> None:
        lines = ''.join(path.read_text() for path in INTERFACES)
        used = set(re.findall(r'^(\w+)/', lines, re.MULTILINE))
        cmake = (ROOT / 'CMakeLists.txt').read_text()
        named = re.search(r'DEPENDENCIES ([^)]*)', cmake)
        assert named is not None and set(named[1].split()) == used
        assert all(f'find_package({name} REQUIRED)' in cmake for name in used)

    def test_setup_py_names_every_import(self) -> None:
        declared = {r.name for r in requirements()}
        missing = needed_by([*MODEL, *ROS]) - declared
        assert not missing, f'add to setup.py: {missing}'

    def test_nothing_of_an_extra_is_imported_unasked(self) -> None:
        """Each import of an optional package lies in `with needs(MODULE, extra=EXTRA):`."""
        always = {r.name for r in requirements('install_requires')}
        wrong = [
            f'{path.relative_to(ROOT)}: {name}'
            for path in (*MODEL, *ROS)
            for name in sorted(needed_by([path]) - always)
            if not (extras_asked(path, name) or path.name in ASK_BY_THEMSELVES)
        ]
        assert not wrong, f'put it into `with needs(...)` or into install_requires: {wrong}'

    def test_every_requirement_is_imported_and_says_why_it_is_there(self) -> None:
        lines = (ROOT / 'setup.py').read_text().splitlines()
        listed = [line for line in lines if re.match(r" {8,12}'[\w.-]+>=", line)]
        assert len(listed) == len(requirements())
        assert not [line for line in listed if not re.search(r',  # \S+ \S+', line)]
        runtime = {r.name for r in requirements()} - {r.name for r in requirements('dev')}
        by_others = {'faiss-gpu-cu12', 'onnxscript', 'torch-tensorrt'}  # whose names others import
        assert runtime - needed_by([*MODEL, *ROS]) == by_others

    def test_the_pins_lie_in_the_ranges_of_setup_py(self) -> None:
        pins = {
            name.lower(): version
            for path in (ROOT / 'requirements').glob('*.txt')
            for name, _, version in (line.partition('==') for line in path.read_text().split())
        }
        gpu = {r.name for r in requirements('gpu')}
        for requirement in requirements():
            if requirement.name not in gpu:
                assert pins[requirement.name.lower()] in requirement.specifier, requirement

    def test_package_xml_or_its_comment_names_what_a_robot_needs(self) -> None:
        text = (ROOT / 'package.xml').read_text()
        keys = {'opencv-python-headless': 'opencv', 'faiss-cpu': 'faiss', 'PyYAML': 'yaml',
                'torch': 'pytorch', 'Jinja2': 'jinja2'}  # fmt: skip
        parts = ('install_requires', 'bags', 'report', 'train', 'weights')
        names = {r.name for part in parts for r in requirements(part)}
        by_pip = set(re.findall(r'by pip: ([\w. ]+)\.\s', text)[0].split())
        by_key = {n for n in names if f'<exec_depend>python3-{keys.get(n, n)}' in text}
        assert by_key | by_pip == names and not by_key & by_pip


ASK_BY_THEMSELVES = {'tensorrt.py', 'run_folder.py'}  # the first explains, the second goes on


def extras_asked(path: Path, distribution: str) -> list[str]:
    """The extras that the file's `needs(MODULE, extra=EXTRA)` name and that bring this."""
    asked = re.findall(r"needs\('(\w+)', extra='(\w+)'\)", path.read_text())
    return [
        extra
        for module, extra in asked
        if DISTRIBUTIONS.get(module, module) == distribution
        and distribution in {r.name for r in requirements(extra)}
    ]


def needed_by(paths: list[Path]) -> set[str]:
    """The distributions on PyPI that files import, ROS aside."""
    used = {n for n in tops(paths) if not ROS_MODULES.fullmatch(n)}
    return {DISTRIBUTIONS.get(name, name) for name in used}
