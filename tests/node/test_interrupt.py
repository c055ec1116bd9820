# SPDX-License-Identifier: MIT
"""Ctrl-C ends both executables without a traceback, whatever they import or begin just then."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest

from selavpr_model.runtime.interrupt import INTERRUPTED

# A real SIGINT, sent at the moment at which a module is looked for, or a function is called.
AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {!r}:
            print('now', flush=True)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""
AT_CALL = """
import os, signal
import {module}
def interrupted(*args, original={module}.{name}, **options):
    print('now', flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    return original(*args, **options)
{module}.{name} = interrupted
"""
NODE = 'from selavpr_ros.main import main; main(["--ros-args", "-r", "__ns:=/interrupted"])'
COMMAND = (
    'from selavpr_ros.main import selavpr; selavpr(["map", "build", "demo/summer", "--out", {!r}])'
)


def run_code(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=120
    )


def ends_quietly(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stdout == 'now\n', 'the signal was never sent'
    assert (done.returncode, done.stderr.strip()) == (INTERRUPTED, '')


@pytest.mark.parametrize('module', ['typer', 'numpy', 'selavpr_model.cli.map', 'selavpr_ros.cli'])
def test_a_command_that_is_being_imported(module: str, tmp_path: Path) -> None:
    ends_quietly(run_code(AT_IMPORT.format(module) + COMMAND.format(str(tmp_path / 'map'))))


@pytest.mark.parametrize('module', ['torch', 'cv2', 'selavpr_model.maps.building.builder'])
def test_a_command_that_imports_what_it_needs(module: str, tmp_path: Path) -> None:
    out = tmp_path / 'map'
    ends_quietly(run_code(AT_IMPORT.format(module) + COMMAND.format(str(out))))
    assert not out.exists()


@pytest.mark.parametrize(
    'module', ['rclpy', 'numpy', 'scipy', 'torch', 'selavpr_ros.node.localizer']
)
def test_a_node_that_is_being_imported(module: str) -> None:
    pytest.importorskip('rclpy')
    ends_quietly(run_code(AT_IMPORT.format(module) + NODE))


def test_a_node_that_begins() -> None:
    pytest.importorskip('rclpy')
    ends_quietly(run_code(AT_CALL.format(module='rclpy', name='init') + NODE))


def test_who_ignores_the_signal_goes_on_ignoring_it() -> None:
    """`nohup` and `&` in a script start a process so."""
    code = (
        'import os, signal\n'
        'from selavpr_model.runtime.interrupt import quiet_interrupt\n'
        'with quiet_interrupt():\n'
        '    os.kill(os.getpid(), signal.SIGINT)\n'
        'print("still here")'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN), env=os.environ,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, 'still here\n')
