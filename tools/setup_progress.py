# SPDX-License-Identifier: MIT
"""Run the commands of setup_env.py: one set-up at a time, in a clean environment, showing life."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import re
import shlex
import subprocess
import sys
import threading
import time

ROOT = Path(__file__).resolve().parent.parent
# Left over from a sourced ROS or another venv, these make children load the wrong libraries.
FOREIGN = re.compile(
    r'(AMENT|CMAKE|COLCON|ROS|_ROS)_.*|PYTHON(PATH|HOME|DONTWRITEBYTECODE)|LD_LIBRARY_PATH'
    r'|MAKE(FLAGS|LEVEL)|MFLAGS|PIP_(USER|TARGET|PREFIX)|VIRTUAL_ENV'
)


class SetupError(Exception):
    """The set-up cannot go on; the message says what, why and the cure."""


class Progress:
    """A stage's line: a bar while its size is known, and always the time that has passed."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.detail = ''
        self.fraction: float | None = None
        self.measure: Callable[[], float] | None = None  # the fraction, asked for when showing
        self._start = time.monotonic()
        self._live = sys.stdout.isatty()
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Progress:
        if self._live:
            self._show()
        self._ticker.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._done.set()
        self._ticker.join()
        self.fraction = self.measure = None
        self.detail = 'failed' if kind else 'done'
        self._show(end='\n')

    def _tick(self) -> None:
        while not self._done.wait(0.2 if self._live else 10.0):
            self._show()

    def _show(self, end: str = '') -> None:
        bar = ''
        if self.measure is not None:
            self.fraction = self.measure()
        if self.fraction is not None:
            filled = round(20 * self.fraction)
            bar = f'[{"#" * filled}{"." * (20 - filled)}] {self.fraction:4.0%} '
        seconds = time.monotonic() - self._start
        line = f'  {self.label:<12}{seconds:6.1f} s  {bar}{self.detail}'
        if self._live:
            print(f'\r{line[:99]:<99}', end=end, flush=True)
        else:
            print(line, flush=True)


def run(command: list[str | Path], progress: Progress, watch: Callable[[str], None]) -> None:
    """Run a command in a clean environment; `watch` sees each line of what it prints.

    The full output is kept in build/setup/<stage>.log; on failure its end is part of the error.
    """
    log = ROOT / 'build' / 'setup' / f'{progress.label}.log'
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open('w', encoding='utf-8') as file,
        subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env=clean_environment(Path(command[0]).parent),
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            file.flush()
            watch(line.rstrip())
    if process.returncode != 0:
        tail = '\n'.join(log.read_text(encoding='utf-8').splitlines()[-30:])
        words = ' '.join(shlex.quote(str(part)) for part in command)
        raise SetupError(f'{tail}\n\n{words}\nended with {process.returncode}, see {log}')


def clean_environment(bin_dir: Path) -> dict[str, str]:
    """The caller's environment without what another ROS or venv left in it."""
    environment = {key: value for key, value in os.environ.items() if not FOREIGN.fullmatch(key)}
    prefix = str(bin_dir.parent)
    environment['PATH'] = f'{bin_dir}{os.pathsep}{os.environ.get("PATH", os.defpath)}'
    environment |= {'AMENT_PREFIX_PATH': prefix, 'CMAKE_PREFIX_PATH': prefix}
    environment['MAKEFLAGS'] = f'-j{os.cpu_count() or 1}'
    return environment


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a lock, so that two `make` at a time do not build into one venv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('another set-up is at work here, waiting for it ...', flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
