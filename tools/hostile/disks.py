# SPDX-License-Identifier: MIT
"""Disks that are full, of bytes or of names, at any moment of everything that writes maps.

A small tmpfs in mounts of our own: run it by `unshare --map-root-user --mount`.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import random
import shutil
import subprocess
import tempfile
import time
from typing import Any

from hostile.works import Work, WORKS

OWN_MOUNTS = ('unshare', '--map-root-user', '--mount')
ROOMY = 'size=64m,nr_inodes=20000'
PAGE = 4096
Case = dict[str, Any]


def possible() -> bool:
    """Whether this system lets us mount."""
    try:
        return subprocess.run([*OWN_MOUNTS, 'true'], capture_output=True).returncode == 0
    except OSError:
        return False


def disks(seed: int, count: int) -> Iterator[Case]:
    """A result a disk: whether the old map or the new one was there."""
    with tempfile.TemporaryDirectory(prefix='disks') as folder:
        disk = Path(folder)
        need = {name: _need(disk, work) for name, work in WORKS.items()}
        for number in range(seed, seed + count):
            name = list(WORKS)[number % len(WORKS)]
            _mount('-t', 'tmpfs', '-o', ROOMY, 'none', str(disk))
            try:
                yield _fill(disk, name, number, need[name])
            finally:
                subprocess.run(['umount', '-l', str(disk)], check=True)


def _mount(*options: str) -> None:
    subprocess.run(['mount', *options], check=True)


def _need(disk: Path, work: Work) -> tuple[int, int]:
    """(bytes, names) that a work leaves behind; it needs some more in between."""
    _mount('-t', 'tmpfs', '-o', ROOMY, 'none', str(disk))
    try:
        work.prepare(disk, 1)
        before = _used(disk)
        work.run(disk, 1)
        after = _used(disk)
    finally:
        subprocess.run(['umount', '-l', str(disk)], check=True)
    return after[0] - before[0], after[1] - before[1]


def _used(disk: Path) -> tuple[int, int]:
    state = os.statvfs(disk)
    used = (state.f_blocks - state.f_bfree) * state.f_frsize
    return used, state.f_files - state.f_ffree


def _fill(disk: Path, name: str, seed: int, need: tuple[int, int]) -> Case:
    from selavpr_model.errors import SelaVPRError

    rng, work, started = random.Random(seed), WORKS[name], time.monotonic()
    work.prepare(disk, seed)
    used = _used(disk)
    size = used[0] + PAGE * rng.randrange(1 + max(need[0], 20 * PAGE) * 2 // PAGE)
    names = used[1] + rng.randrange(4 + 2 * max(need[1], 4)) if rng.random() < 0.3 else 20_000
    _mount('-o', f'remount,size={size},nr_inodes={names}', str(disk))
    outcome = told = ''
    try:
        work.run(disk, seed)
    except (SelaVPRError, OSError) as error:  # the commands print both as one line
        told = ' '.join(str(error).split())
    except Exception as error:
        outcome, told = 'traceback', f'{type(error).__name__}: {error}'[:500]
    try:
        state = work.check(disk, seed)
        _mount('-o', f'remount,{ROOMY}', str(disk))
        shutil.rmtree(disk / 'home', ignore_errors=True)
        work.run(disk, seed)
        again = work.check(disk, seed)
        outcome = outcome or (f'{state} map' if again == 'new' else 'lost')
    except Exception as error:
        outcome, told = 'lost', f'{told}; {type(error).__name__}: {error}'[:500]
    seconds = time.monotonic() - started
    return {'seed': seed, 'kind': name, 'outcome': outcome, 'told': told, 'seconds': seconds}
