# SPDX-License-Identifier: MIT
"""What holds the package together: version, executables, layers, declared needs, messages."""

from __future__ import annotations

import configparser
import importlib
from pathlib import Path
import re
import subprocess
import sys

from package_helpers import INTERFACES, MODEL, PACKAGE, ROS
import pytest

from where import ROOT

VERSION = PACKAGE.findtext('version') or ''


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository that git knows."""
    words = ['git', '-C', str(ROOT), 'ls-files', '--', *patterns]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


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
