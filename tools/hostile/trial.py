# SPDX-License-Identifier: MIT
"""Cases tried in a process that may die, hang or eat; what became of each."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import select
import signal
import subprocess
import tempfile
import time
from typing import Any

SLOW_S = 30.0  # of CPU time: others may use the machine, too
HANGS_S = 600.0
START_S = 60.0  # imports, and the good files
MOST_KB = 1_000_000  # above the process before the case
MOST_TOLD = 3000  # characters of an error
Case = dict[str, Any]


def tried(command: list[str], seed: int, count: int) -> Iterator[Case]:
    """A result a case. command: a program that prints them; `--seed` and `--count` are added.

    A new process goes on behind the case that ended one.
    """
    done = 0
    while done < count:
        for result in _tried(command, seed + done, count - done):
            done += 1
            yield result


def _tried(command: list[str], seed: int, count: int) -> Iterator[Case]:
    """Results until the process ends; the case that ended it is one, too."""
    more = [f'--seed={seed}', f'--count={count}']
    with (
        tempfile.TemporaryDirectory(prefix='campaign') as folder,
        tempfile.TemporaryFile() as errors,  # libjpeg writes a line a damaged image
        subprocess.Popen(
            [*command, *more], stdout=subprocess.PIPE, stderr=errors,
            env={**os.environ, 'TMPDIR': folder, 'OMP_NUM_THREADS': '1'}, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        for done in range(count):
            ready = _in_time(process, SLOW_S + (START_S if done == 0 else 0.0))
            line = process.stdout.readline() if ready else b''
            if not line.endswith(b'\n'):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                errors.seek(0)
                told = errors.read().decode(errors='replace')[-2000:]
                outcome = 'crash' if ready else 'slow'
                yield {'seed': seed + done, 'outcome': outcome, 'told': told}
                return
            yield json.loads(line)
        process.stdout.read()


def _in_time(process: subprocess.Popen[bytes], cpu_s: float) -> bool:
    """Whether it says something, or ends, before it has worked for so long."""
    assert process.stdout is not None
    before, end = _cpu_s(process.pid), time.monotonic() + HANGS_S
    while time.monotonic() < end and _cpu_s(process.pid) - before < cpu_s:
        if select.select([process.stdout], [], [], 1.0)[0]:
            return True
    return False


def _cpu_s(pid: int) -> float:
    """Of a process and those of its children that ended."""
    ticks = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK')


def run(what: str, seed: int, count: int) -> None:
    """In the process that may die: a line a case."""
    from hostile.attempts import KINDS

    with tempfile.TemporaryDirectory(prefix='cases') as folder:
        os.chdir(folder)
        attempt = KINDS[what](Path(folder))
        for number in range(seed, seed + count):
            print(json.dumps(measured(attempt, number)), flush=True)


def measured(attempt: Any, seed: int) -> Case:
    """What became of a case, the seconds and the memory it took."""
    from selavpr_model.errors import SelaVPRError

    told, kind = '', attempt.make(seed)
    before, started = peak_kb(reset=True), time.process_time()
    try:
        told = attempt.use()
        outcome = 'wrong' if told else 'used'
    except SelaVPRError as error:
        told = ' '.join(str(error).split())  # as the commands print it
        outcome = 'refused' if told.isprintable() and len(told) < MOST_TOLD else 'traceback'
    except Exception as error:
        outcome, told = 'traceback', f'{type(error).__name__}: {error}'[:500]
    seconds, kb = time.process_time() - started, peak_kb() - before
    if outcome in ('used', 'refused'):
        outcome = 'memory' if kb > MOST_KB else 'slow' if seconds > SLOW_S else outcome
    bad = {} if outcome in ('used', 'refused') else {'told': told[:2000]}
    return {'seed': seed, 'kind': kind, 'outcome': outcome, 'seconds': seconds, 'kb': kb, **bad}


def peak_kb(reset: bool = False) -> int:
    """Most memory of this process, kB; with `reset`, what it has now, from which it counts."""
    if reset:
        Path('/proc/self/clear_refs').write_text('5')
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM'))
