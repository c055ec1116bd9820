# SPDX-License-Identifier: MIT
"""The Python packages of setup_env.py: pins, which build of torch pip finds, repairs of wheels."""

from __future__ import annotations

import os
from pathlib import Path
import re
import subprocess
import sys
import sysconfig

from setup_progress import clean_environment, Progress, ROOT, run, SetupError

DISTROS = ('kilted', 'jazzy')  # that there are wheels of; the first is the default
STAMPS = '.selavpr'  # in the venv: a file a stage, with the hash of what it was made from
PROBE_S = 10.0  # that an index may take to answer which builds of torch it has
CPU_BUILD = 'the CPU build (a few 100 MB): make distclean, then make TORCH_INDEX=ADDRESS setup, '
CPU_BUILD += 'where ADDRESS is the index that pytorch.org names under Get Started, Pip, CPU'


def pins(ros: str) -> tuple[Path, ...]:
    """The files of pins for one ROS; no two of them name the same package."""
    names = ('runtime', 'ros', f'ros_{ros}', 'dev')
    return tuple(ROOT / 'requirements' / f'{name}.txt' for name in names)


def chosen_ros(venv: Path) -> str:
    """The ROS that `make ROS=...` names, else the one that the venv has."""
    ros = os.environ.get('ROS') or installed_ros(venv)
    if ros not in DISTROS:
        raise SetupError(f'ROS={ros}: expected {" or ".join(DISTROS)}')
    return ros


def installed_ros(venv: Path) -> str:
    """The ROS of an existing venv, the default for a new one."""
    try:
        return ros_record(venv).read_text(encoding='utf-8').strip()
    except OSError:
        return DISTROS[0]


def ros_record(venv: Path) -> Path:
    """Where it is kept which ROS the venv has."""
    return venv / STAMPS / 'ros'


def install_packages(venv: Path, progress: Progress) -> None:
    """Install all pins; shows how far pip is, which is otherwise silent when it is not asked."""
    files = pins(chosen_ros(venv))
    total = sum(len(read_pins(path)) for path in files)
    site = site_packages(venv)
    seen = 0

    def watch(line: str) -> None:
        nonlocal seen
        if line.startswith(('Collecting ', 'Requirement already satisfied')):
            seen += 1
            progress.fraction = min(seen / total, 1.0)
            progress.detail = line.removeprefix('Collecting ').split(' (from')[0][:50]
        elif line.lstrip().startswith('Downloading '):
            progress.detail = ' '.join(line.split()[:3])[-60:]
        elif line.startswith('Installing collected'):
            progress.detail = 'unpacking'
            progress.measure = lambda: min(len(list(site.glob('*.dist-info'))) / total, 1.0)

    choose_torch(venv)
    command: list[str | Path] = [venv / 'bin' / 'python', '-m', 'pip', 'install', '--no-input']
    # Not compiled here: that takes as long as the rest. check_imports compiles what is used.
    command += ['--no-compile', '--progress-bar', 'off', '--disable-pip-version-check']
    for path in files:
        command += ['-r', path]
    run([*command, *torch_index()], progress, watch)


def read_pins(path: Path) -> dict[str, str]:
    """Name and version of each line of a requirements file."""
    lines = (line.partition('#')[0].strip() for line in path.read_text('utf-8').splitlines())
    return dict(line.split('==') for line in lines if line)


def choose_torch(venv: Path) -> None:
    """Say before gigabytes of CUDA are downloaded; SetupError where TORCH_INDEX has no torch."""
    version = read_pins(pins(DISTROS[0])[0])['torch']
    if list(site_packages(venv).glob(f'torch-{version}*.dist-info')):
        return
    build = torch_build(version, listed_versions(venv))
    if torch_index() and build in ('', None):
        raise SetupError(
            f'TORCH_INDEX={os.environ["TORCH_INDEX"]}: expected an index with a build of torch '
            f'{version} of its own, found none in {PROBE_S:.0f} s; leave it out. For {CPU_BUILD}'
        )
    if build is not None and not build.startswith('cpu'):
        cuda = f'the build with CUDA ({build})' if build else 'the build with CUDA'
        print(
            f'\n  torch {version}: pip finds {cuda}, several GB, and takes it. Nothing here needs '
            f'a GPU. For {CPU_BUILD}.',
            flush=True,
        )


def torch_index() -> list[str]:
    """Options of pip: the index named by TORCH_INDEX is looked at, too."""
    index = os.environ.get('TORCH_INDEX')
    return ['--extra-index-url', index] if index else []


def listed_versions(venv: Path) -> str:
    """What `pip index versions torch` says; empty where no index answers in time."""
    python = venv / 'bin' / 'python'
    words = [str(python), '-m', 'pip', 'index', 'versions', 'torch', '--no-input']
    words += ['--timeout', '3', '--retries', '0', *torch_index()]
    try:
        made = subprocess.run(
            words, capture_output=True, text=True, timeout=PROBE_S, stdin=subprocess.DEVNULL,
            env=clean_environment(python.parent),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ''
    return made.stdout


def torch_build(version: str, listed: str) -> str | None:
    """The label of the build that pip takes: 'cpu', 'cu130', '' for one without, None for none.

    A build without a label is the one with CUDA on Linux. Pip prefers one with a label.
    """
    found = re.findall(rf'(?<![\d.]){re.escape(version)}(?:\+([\w.]+))?(?![\w.+])', listed)
    return max(found, default=None)


def repair_wheels(venv: Path, progress: Progress) -> None:
    """Point the wheels' CMake files to this venv instead of the machine that built them.

    They hold /opt/python/cpXY-cpXY/... as include folders of Python and of NumPy.
    """
    include = sysconfig.get_path('include')
    numpy = site_packages(venv) / 'numpy' / '_core' / 'include'
    for path in venv.glob('share/*/cmake/*.cmake'):
        text = path.read_text(encoding='utf-8')
        if '/opt/python/' in text:
            text = re.sub(r'/opt/python/[^";]*/numpy/_core/include', str(numpy), text)
            text = re.sub(r'/opt/python/[^";]*/include/python[\d.]+', include, text)
            path.write_text(text, encoding='utf-8')
            progress.detail = path.name


def site_packages(venv: Path) -> Path:
    """Where the venv keeps its Python packages."""
    return venv / 'lib' / f'python{sys.version_info[0]}.{sys.version_info[1]}' / 'site-packages'
