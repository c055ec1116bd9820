# SPDX-License-Identifier: MIT
"""The files for Docker and pixi name what package.xml and setup.py name; they are not run here."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import subprocess

from docs_commands import COMMANDS
from package_helpers import PACKAGE, requirements
from packaging.specifiers import SpecifierSet
import pytest
import yaml

from where import ROOT

DOCKERFILE = ROOT / 'docker' / 'Dockerfile'
PIXI = (ROOT / 'pixi.toml').read_text(encoding='utf-8')
CONDA = {'matplotlib-base': 'matplotlib', 'py-opencv': 'opencv-python-headless',
         'pytorch-cpu': 'torch'}  # fmt: skip
"""Name on conda-forge -> on PyPI, where they differ."""


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each, lines that go on joined, comments left out."""
    text = re.sub(r'^#.*\n', '', DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r'\\\n\s*', '', text).splitlines()
    return [(line.split()[0], line.partition(' ')[2]) for line in lines if line.strip()]


def runs() -> list[str]:
    return [rest for word, rest in instructions() if word == 'RUN']


def pixi(section: str) -> dict[str, str]:
    """name -> range of a section."""
    body = PIXI.partition(f'\n[{section}]\n')[2].partition('\n[')[0]
    return dict(re.findall(r'^([\w.-]+) = "([^"]+)"$', body, re.MULTILINE))


def depended() -> set[str]:
    """ROS packages that are needed to build and run."""
    tags = ('buildtool_depend', 'depend', 'exec_depend')
    names = {str(e.text) for tag in tags for e in PACKAGE.findall(tag)}
    return {name for name in names if not name.startswith('python3-')}


def test_the_dockerfile_builds_every_distribution_of_the_workflow() -> None:
    workflow = yaml.safe_load((ROOT / '.github' / 'workflows' / 'ros.yml').read_text())
    matrix = workflow['jobs']['colcon']['strategy']['matrix']['distro']
    named = re.search(r'^# ROS_DISTRO: (.+)\.$', DOCKERFILE.read_text(), re.MULTILINE)
    assert named and re.findall(r'\w+', named[1].replace(' or ', ' ')) == matrix
    steps = instructions()
    assert steps[:2] == [('ARG', 'ROS_DISTRO=jazzy'), ('FROM', 'ros:${ROS_DISTRO}-ros-base')]


def test_what_it_copies_is_there() -> None:
    copied = [rest.split()[0] for word, rest in instructions() if word == 'COPY']
    assert copied and all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / '.dockerignore').read_text().split()
    assert {'.venv', 'build', '.git'} <= set(ignored) and 'docker' not in ignored


def test_pip_brings_what_has_no_rosdep_key() -> None:
    (by_pip,) = re.findall(r'by pip: ([\w. ]+)\.\s', (ROOT / 'package.xml').read_text())
    (line,) = re.findall(r'pip install (safetensors .+?)&&', runs()[0])
    assert set(line.split()) == {*by_pip.split(), "'typer>=0.12'", '"${numpy}"'}


@pytest.mark.parametrize('shell', [*runs(), None])
def test_its_commands_are_a_shell_s(shell: str | None) -> None:
    text = (ROOT / 'docker' / 'entrypoint.sh').read_text() if shell is None else shell
    done = subprocess.run(['bash', '-n'], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_hadolint_is_content() -> None:
    tool = shutil.which('hadolint')
    if tool is None:
        pytest.skip('hadolint is not installed')
    done = subprocess.run([tool, str(DOCKERFILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_entrypoint_runs_the_command_with_both_paths(tmp_path: Path) -> None:
    text = (ROOT / 'docker' / 'entrypoint.sh').read_text()
    for name in ('/opt/ros/jazzy/setup.bash', '/ws/install/setup.bash'):
        file = tmp_path / name.strip('/')
        file.parent.mkdir(parents=True)
        file.write_text(f'SEEN="$SEEN {name}"\nexport SEEN\n')
    script = tmp_path / 'entrypoint.sh'
    script.write_text(text.replace('"/opt', f'"{tmp_path}/opt').replace(' /ws', f' {tmp_path}/ws'))
    words = ['bash', str(script), 'sh', '-c', 'echo $SEEN; exit 3']
    done = subprocess.run(words, env={'ROS_DISTRO': 'jazzy'}, capture_output=True, text=True)
    assert done.stdout.split() == ['/opt/ros/jazzy/setup.bash', '/ws/install/setup.bash']
    assert done.returncode == 3


def test_pixi_names_every_ros_package() -> None:
    named = {name for name in pixi('dependencies') if name.startswith('ros-')}
    wanted = {f'ros-jazzy-{name.replace("_", "-")}' for name in depended()}
    assert named - wanted == {'ros-jazzy-ros2run'}  # its tasks use it
    assert not wanted - named
    assert '"robostack-jazzy"' in PIXI


def test_pixi_names_every_python_package_with_the_range_of_setup_py() -> None:
    parts = ('install_requires', 'bags', 'report', 'weights')
    wanted = {r.name.lower(): r.specifier for part in parts for r in requirements(part)}
    conda = {
        name: spec
        for name, spec in pixi('dependencies').items()
        if not name.startswith('ros-') and spec != '*'
    } | pixi('pypi-dependencies')
    ranges = {CONDA.get(n, n).lower(): SpecifierSet(spec) for n, spec in conda.items()}
    assert ranges == wanted


def test_every_task_of_pixi_is_a_command_of_ours() -> None:
    tasks = pixi('tasks')
    assert set(tasks) == {'build', 'selavpr', 'localize'}
    launched = tasks['localize'].split()[-1]
    assert (ROOT / 'launch' / launched).is_file()


def test_the_commands_of_the_docs_use_what_is_there() -> None:
    shown = {name: [w for _, w in COMMANDS if w[0] == name] for name in ('docker', 'pixi', 'uv')}
    build, run = shown['docker']
    assert (ROOT / build[build.index('-f') + 1]).samefile(DOCKERFILE) and build[-1] == '.'
    assert build[build.index('--build-arg') + 1].partition('=')[0] == 'ROS_DISTRO'
    assert build[build.index('--tag') + 1] in run
    assert [words[:2] for words in shown['pixi']] == [['pixi', 'run']] * len(shown['pixi'])
    assert {words[2] for words in shown['pixi']} <= set(pixi('tasks'))
    (installed,) = [words[-1] for words in shown['uv'] if words[1:3] == ['pip', 'install']]
    for extra in installed.removeprefix('.[').removesuffix(']').split(','):
        assert requirements(extra)
