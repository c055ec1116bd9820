# SPDX-License-Identifier: MIT
"""What the set-up installs: pins, torch, tools, wheels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import re
import sys
import sysconfig
from types import ModuleType

import pytest
from setup_helpers import NoProgress

from where import ROOT


@pytest.fixture
def setup_check(setup_env: ModuleType) -> ModuleType:
    """tools/setup_check.py as a module."""
    import setup_check

    return setup_check


@pytest.fixture
def setup_packages(setup_env: ModuleType) -> ModuleType:
    """tools/setup_packages.py as a module."""
    import setup_packages

    return setup_packages


class TestPins:
    """requirements/*.txt"""

    def test_every_line_is_a_full_pin(self) -> None:
        for path in sorted((ROOT / 'requirements').glob('*.txt')):
            for line in path.read_text().splitlines():
                assert not line or line.startswith('#') or re.fullmatch(r'[\w.-]+==[\w.]+', line)

    @pytest.mark.parametrize('ros', ['kilted', 'jazzy'])
    def test_no_package_is_pinned_twice(self, setup_packages: ModuleType, ros: str) -> None:
        pins = map(setup_packages.read_pins, setup_packages.pins(ros))
        names = [name.lower().replace('_', '-') for names in pins for name in names]
        assert len(names) == len(set(names)) > 100

    def test_the_files_say_what_is_installed(self, setup_packages: ModuleType) -> None:
        from importlib.metadata import version

        ros = setup_packages.installed_ros(Path(sys.prefix))
        files = map(setup_packages.read_pins, setup_packages.pins(ros))
        pins = [pin for names in files for pin in names.items()]
        installed = {name: version(name).split('+')[0] for name, _ in pins}
        assert installed == dict(pins), 'run make setup'


PLAIN = 'torch (2.13.1)\nAvailable versions: 2.13.1, 2.13.0, 2.12.0\n'
LABELLED = 'torch (2.13.1)\nAvailable versions: 2.13.1, 2.13.0+cpu, 2.13.0, 2.12.0+cu130\n'


class TestTorch:
    """Which build pip will take, and that gigabytes are announced."""

    @pytest.mark.parametrize(
        ('version', 'listed', 'build'),
        [
            ('2.13.0', LABELLED, 'cpu'),
            ('2.13.0', PLAIN, ''),
            ('2.12.0', LABELLED, 'cu130'),
            ('2.13', LABELLED, None),
            ('2.11.0', PLAIN, None),
            ('2.13.0', '', None),
        ],
    )
    def test_the_build_is_told_by_its_label(
        self, setup_packages: ModuleType, version: str, listed: str, build: str | None
    ) -> None:
        assert setup_packages.torch_build(version, listed) == build

    @pytest.fixture
    def told(
        self, setup_packages: ModuleType, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], tmp_path: Path,
    ) -> Callable[[str], str]:  # fmt: skip
        """told(what the index lists) -> what choose_torch prints, the pin being 2.13.0."""
        monkeypatch.setattr(setup_packages, 'read_pins', lambda path: {'torch': '2.13.0'})
        monkeypatch.delenv('TORCH_INDEX', raising=False)

        def choose(listed: str) -> str:
            monkeypatch.setattr(setup_packages, 'listed_versions', lambda venv: listed)
            setup_packages.choose_torch(tmp_path)
            return capsys.readouterr().out

        return choose

    def test_cuda_is_announced_with_the_way_around_it(self, told: Callable[[str], str]) -> None:
        assert re.search(r'with CUDA, several GB.*make TORCH_INDEX=ADDRESS', told(PLAIN))

    @pytest.mark.parametrize('listed', [LABELLED, ''])
    def test_nothing_is_said_of_a_cpu_build_or_without_an_answer(
        self, told: Callable[[str], str], listed: str
    ) -> None:
        assert told(listed) == ''

    @pytest.mark.parametrize('listed', [PLAIN, ''])
    def test_an_index_without_torch_is_an_error(
        self, told: Callable[[str], str], setup_packages: ModuleType,
        monkeypatch: pytest.MonkeyPatch, listed: str,
    ) -> None:  # fmt: skip
        monkeypatch.setenv('TORCH_INDEX', 'file:///nowhere')
        with pytest.raises(setup_packages.SetupError, match='file:///nowhere: expected an index'):
            told(listed)

    def test_nothing_is_asked_where_torch_is_installed(
        self, setup_packages: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(setup_packages, 'listed_versions', lambda venv: pytest.fail('asked'))
        setup_packages.choose_torch(Path(sys.prefix))

    def test_pip_is_asked_and_looks_where_torch_index_says(
        self, setup_packages: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Against a real index: a folder as pip reads them."""
        page = tmp_path / 'torch'
        page.mkdir()
        tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
        name = f'torch-2.13.0+other-{tag}-{tag}-linux_x86_64.whl'
        (page / 'index.html').write_text(f'<a href="{name}">{name}</a>')
        monkeypatch.setenv('TORCH_INDEX', tmp_path.as_uri())
        monkeypatch.setenv('PIP_INDEX_URL', tmp_path.as_uri())
        listed = setup_packages.listed_versions(Path(sys.prefix))
        assert '2.13.0+other' in listed


class TestTools:
    """check_tools names what is missing and the cure."""

    def test_a_complete_machine_passes(self, setup_check: ModuleType) -> None:
        setup_check.check_tools()

    def test_each_missing_tool_gets_its_apt_line(
        self, setup_check: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(setup_check.shutil, 'which', lambda tool: None)
        monkeypatch.setattr(setup_check, 'has_module', lambda name: name != 'ensurepip')
        monkeypatch.setattr(setup_check.sysconfig, 'get_path', lambda name: '/nowhere')
        with pytest.raises(setup_check.SetupError) as caught:
            setup_check.check_tools()
        for name in ('python3-venv', 'python3-dev', 'gcc', 'g++', 'make', 'git'):
            assert f'{name} is missing: sudo apt install {name}' in str(caught.value)
        assert 'sudo apt install python3-venv python3-dev gcc g++ make git' in str(caught.value)

    @pytest.mark.parametrize('version', [(3, 10, 9), (3, 14, 0)])
    def test_a_python_without_wheels_is_named(
        self, setup_check: ModuleType, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]
    ) -> None:
        monkeypatch.setattr(setup_check.sys, 'version_info', version)
        with pytest.raises(setup_check.SetupError, match=r'need 3\.11 to 3\.13: make PYTHON='):
            setup_check.check_tools()

    def test_another_machine_is_sent_to_apt(
        self, setup_check: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(setup_check.platform, 'machine', lambda: 'aarch64')
        with pytest.raises(setup_check.SetupError, match='aarch64: install ROS 2 with apt'):
            setup_check.check_tools()


class TestWheels:
    """repair_wheels rewrites the build machine's include folders."""

    TEXT = (
        'INTERFACE_INCLUDE_DIRECTORIES "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include"\n'
    )

    def test_paths_point_into_the_venv_and_twice_is_once(
        self, setup_env: ModuleType, tmp_path: Path
    ) -> None:
        path = tmp_path / 'share' / 'std_msgs' / 'cmake' / 'export.cmake'
        path.parent.mkdir(parents=True)
        path.write_text(self.TEXT)
        setup_env.repair_wheels(tmp_path, NoProgress())
        once = path.read_text()
        assert '/opt/python' not in once
        assert f'{setup_env.site_packages(tmp_path)}/numpy/_core/include' in once
        assert sysconfig.get_path('include') in once
        setup_env.repair_wheels(tmp_path, NoProgress())
        assert path.read_text() == once

    def test_nothing_of_the_build_machine_is_left_here(self) -> None:
        files = list(Path(sys.prefix).glob('share/*/cmake/*.cmake'))
        assert len(files) > 100
        assert not [path for path in files if '/opt/python/' in path.read_text()]
