# SPDX-License-Identifier: MIT
"""What holds the package together: version, executables, layers, declared needs, messages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import configparser
import importlib
from pathlib import Path
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from packaging.requirements import Requirement
import pytest

from where import ROOT

MODEL = sorted((ROOT / 'selavpr_model').rglob('*.py'))
ROS = sorted((ROOT / 'selavpr_ros').rglob('*.py'))
INTERFACES = sorted([*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')])
PACKAGE = ElementTree.parse(ROOT / 'package.xml').getroot()
VERSION = PACKAGE.findtext('version') or ''

ROS_MODULES = re.compile(
    r'rclpy|rcl_interfaces|ament_\w+|launch\w*|cv_bridge|builtin_interfaces|\w+_msgs|\w+_srvs'
    r'|selavpr|tf2\w*|rosidl\w*'
)
# Import name -> name on PyPI, where they differ.
DISTRIBUTIONS = {
    'PIL': 'pillow',
    'cv2': 'opencv-python-headless',
    'faiss': 'faiss-cpu',
    'jinja2': 'Jinja2',
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


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository that git knows."""
    words = ['git', '-C', str(ROOT), 'ls-files', '--', *patterns]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


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


class TestVersion:
    """package.xml states it, nobody repeats it."""

    def test_setup_py_takes_it_from_package_xml(self, tmp_path: Path) -> None:
        words = [sys.executable, str(ROOT / 'setup.py'), '--version']
        made = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
        assert made.stdout.splitlines()[-1] == VERSION

    def test_no_code_or_configuration_repeats_it(self) -> None:
        assert re.fullmatch(r'\d+\.\d+\.\d+', VERSION)
        pattern = re.compile(rf'version[^\n]{{0,12}}[\'"]{re.escape(VERSION)}[\'"]')
        files = [*MODEL, *ROS, ROOT / 'setup.py', ROOT / 'setup.cfg', ROOT / 'pyproject.toml']
        assert not [path.name for path in files if pattern.search(path.read_text())]


class TestEntryPoints:
    """setup.cfg declares the executables, once."""

    def test_each_names_a_function_that_exists(self) -> None:
        config = configparser.ConfigParser()
        config.read(ROOT / 'setup.cfg')
        lines = config['options.entry_points']['console_scripts'].split('\n')
        targets = dict(line.split(' = ') for line in lines if line)
        assert set(targets) == {'selavpr', 'localizer'}
        for target in targets.values():
            module, function = target.split(':')
            assert callable(getattr(importlib.import_module(module), function))

    def test_nobody_else_declares_any(self) -> None:
        others = [ROOT / name for name in ('setup.py', 'pyproject.toml', 'CMakeLists.txt')]
        assert not [path.name for path in others if 'console_scripts' in path.read_text()]


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
        listed = [line for line in lines if re.match(r" {8,12}'[\w-]+>=", line)]
        assert len(listed) == len(requirements())
        assert not [line for line in listed if not re.search(r',  # \S+ \S+', line)]
        runtime = {r.name for r in requirements()} - {r.name for r in requirements('dev')}
        by_importlib = {'faiss-gpu-cu12', 'torch-tensorrt'}
        assert runtime - needed_by([*MODEL, *ROS]) == by_importlib

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
        by_pip = set(re.findall(r'by pip: ([\w ]+)\.', text)[0].split())
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


def requirements(part: str = '') -> list[Requirement]:
    """install_requires or an extra of setup.py, by default all of them."""
    parts: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse((ROOT / 'setup.py').read_text())):
        if isinstance(node, ast.keyword) and node.arg == 'install_requires':
            parts['install_requires'] = ast.literal_eval(node.value)
        elif isinstance(node, ast.keyword) and node.arg == 'extras_require':
            parts |= ast.literal_eval(node.value)
    texts = parts[part] if part else [text for texts in parts.values() for text in texts]
    return [Requirement(text) for text in texts]


class TestInterfaces:
    """Messages and services explain themselves."""

    FIELD = re.compile(r'^[\w/]+(\[\])? +\w+')

    @pytest.mark.parametrize('path', INTERFACES, ids=lambda path: path.name)
    def test_every_field_is_explained(self, path: Path) -> None:
        before = ''
        for line in path.read_text().splitlines():
            constant = '=' in line.partition('#')[0]
            if self.FIELD.match(line) and not constant:
                assert '#' in line or before.startswith('#'), f'{path.name}: {line}'
            before = line

    def test_both_map_services_number_their_results_alike(self) -> None:
        from selavpr.srv import LoadMap, SaveMap

        def codes(kind: type) -> dict[str, int]:
            names = [n for n in dir(type(kind)) if n.isupper() and not n.startswith('_')]
            return {name: getattr(kind, name) for name in names}

        assert codes(LoadMap.Response) == codes(SaveMap.Response)
        assert len(codes(LoadMap.Response)) >= 10

    def test_both_messages_use_the_same_reject_bits(self) -> None:
        from selavpr.msg import LoopClosure, PlaceHypothesis

        names = ('LOW_GLOBAL', 'LOW_LOCAL', 'AMBIGUOUS', 'GEOMETRY', 'TEMPORAL', 'PRIOR')
        for bit, name in enumerate(names):
            assert getattr(LoopClosure, name) == getattr(PlaceHypothesis, name) == 1 << bit


class TestInstall:
    """What pip puts into an environment."""

    def test_setup_py_installs_every_folder_with_code(self) -> None:
        code = (
            'import setuptools\n'
            'from distutils.core import run_setup\n'
            f'print(*run_setup({str(ROOT / "setup.py")!r}, stop_after="init").packages)'
        )
        words = [sys.executable, '-c', code]
        made = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
        folders = {'.'.join(p.relative_to(ROOT).parent.parts) for p in (*MODEL, *ROS)}
        assert set(made.stdout.split()) == folders >= {'selavpr_model.config'}

    def test_setup_py_installs_every_file_that_is_not_code(self) -> None:
        code = (
            'from distutils.core import run_setup\n'
            f'made = run_setup({str(ROOT / "setup.py")!r}, stop_after="init")\n'
            'print(*made.package_data["selavpr_model"])'
        )
        words = [sys.executable, '-c', 'import setuptools\n' + code]
        made = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
        folder = ROOT / 'selavpr_model'
        installed = {p for pattern in made.stdout.split() for p in folder.glob(pattern)}
        wanted = {p for p in tracked('selavpr_model') if p.suffix != '.py'}
        assert wanted <= installed and folder / 'evaluation/report/report.html' in wanted

    def test_colcon_finds_one_package_in_the_repository(self) -> None:
        """tools/tf_message would stand in the way of a robot's own tf2_msgs."""
        for folder in (ROOT, ROOT / 'tools'):
            words = [f'{sys.prefix}/bin/colcon', 'list', '--names-only', '--base-paths', folder]
            made = subprocess.run(words, capture_output=True, text=True, cwd='/', check=True)
            assert made.stdout.split() == (['selavpr'] if folder == ROOT else [])


class TestFiles:
    """Small things a reader meets everywhere."""

    def test_every_source_file_names_its_licence(self) -> None:
        patterns = ('*.py', '*.msg', '*.srv', 'Makefile', 'CMakeLists.txt', '*.toml', '*.cfg')
        files = tracked(*patterns, 'requirements/*.txt', 'config/*.yaml', '.ci/run')
        head = [''.join(path.read_text().splitlines(True)[:3]) for path in files]
        assert len(files) > 20
        assert not [
            p for p, text in zip(files, head, strict=True) if 'License-Identifier' not in text
        ]

    def test_ci_runs_exactly_the_test_command(self) -> None:
        lines = (ROOT / '.ci' / 'run').read_text().splitlines()
        commands = [line for line in lines if line and not line.startswith(('#', 'set ', 'cd '))]
        assert commands == ['make test']

    def test_no_large_file_slipped_in(self) -> None:
        large = [path for path in tracked() if path.stat().st_size > 12e6]
        assert not large
