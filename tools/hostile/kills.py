# SPDX-License-Identifier: MIT
"""SIGKILL at a random moment, or before some file operation, of everything that writes maps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import random
import tempfile
import time
from typing import Any

from killer import Killer, running_killer

from hostile import works
from hostile.works import WORKS

AGAIN_EVERY = 3  # kills after which the work is done to its end
Case = dict[str, Any]


def kills(seed: int, count: int) -> Iterator[Case]:
    """A result a kill: whether the old map or the new one was there."""
    with running_killer(works.__file__) as zygote:
        usual = {name: _seconds(zygote, name) for name in WORKS}
        for number in range(seed, seed + count):
            name = list(WORKS)[number % len(WORKS)]
            with tempfile.TemporaryDirectory(prefix='kills') as folder:
                yield _kill(zygote, name, Path(folder), number, usual[name])


def _seconds(zygote: Killer, name: str) -> float:
    """That a work takes which is not killed."""
    with tempfile.TemporaryDirectory(prefix='kills') as folder:
        WORKS[name].prepare(Path(folder), 1)
        started = time.monotonic()
        zygote.run('work', Path(folder), work=name, seed=1)
        return time.monotonic() - started


def _kill(zygote: Killer, name: str, folder: Path, seed: int, usual_s: float) -> Case:
    rng, work, started = random.Random(seed), WORKS[name], time.monotonic()
    work.prepare(folder, seed)
    how: dict[str, Any] = {'after_s': rng.uniform(0.0, usual_s)}
    if seed // len(WORKS) % 2:
        how = {'operation': rng.randrange(1, work.operations + 3)}
    outcome, told = 'lost', ''
    try:
        killed = zygote.run('work', folder, work=name, seed=seed, **how)
        state = work.check(folder, seed)
        outcome = f'{state} map' if killed else 'not killed'
        if seed % AGAIN_EVERY == 0:
            zygote.run('work', folder, work=name, seed=seed)
            left = [*folder.rglob('*.building'), *folder.rglob('*.updating')]
            if work.check(folder, seed) != 'new' or left:
                outcome, told = 'lost', f'not done when run again, {left}'
    except Exception as error:
        told = f'{type(error).__name__}: {error}'[:500]
    seconds = time.monotonic() - started
    return {
        'seed': seed,
        'kind': name,
        'outcome': outcome,
        'told': told,
        'seconds': seconds,
        **how,
    }
