# SPDX-License-Identifier: MIT
"""A process that can be killed: it saves or builds a map of map_helpers.

Run as a script it is a zygote: it imports everything once and forks for each job it reads, so
that a test can start, kill -9 and repeat many times within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import itertools
import json
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import time
from typing import Any

from map_helpers import build_drive, some_map

from selavpr_model.maps.storage.store import save_map


def job_save(path: str, seed: int) -> None:
    """Replace the map at `path`."""
    save_map(some_map(places=20, seed=seed), path, overwrite=True)


def job_saves(path: str, seed: int) -> None:
    """Replace the map at `path` by that of `seed`, by that of `seed` + 1, and so on for ever."""
    maps = some_map(places=20, seed=seed), some_map(places=20, seed=seed + 1)
    for place_map in itertools.cycle(maps):
        save_map(place_map, path, overwrite=True)


def job_build(path: str, seconds: float, overwrite: bool = True) -> None:
    build_drive(Path(path), seconds, overwrite=overwrite)


JOBS: dict[str, Callable[..., None]] = {
    'save': job_save,
    'saves': job_saves,
    'build': job_build,
}


def kill_before_operation(number: int, folder: str) -> None:
    """End this process as by kill -9 just before its `number`-th change below `folder`."""
    left = [number]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        writes = event == 'open' and isinstance(args[2], int) and args[2] & os.O_CREAT
        changes = event in ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir') or writes
        if changes and (folder in str(args[0]) or not str(args[0]).startswith('/')):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def zygote() -> None:
    """Fork for each JSON line; answer with the child's id, then with how it ended."""
    # what a job imports while it runs, once
    import faiss  # noqa: F401

    import selavpr_model.maps.building.calibrate  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BrokenPipeError):
                if job['operation']:
                    kill_before_operation(job['operation'], job['path'])
                JOBS[job['job']](job['path'], **job['options'])
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


def version_of(file: Path | None) -> tuple[int, int]:
    """Differs after the file was replaced."""
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file else (0, 0)


class Killer:
    """Starts jobs in the zygote and ends them with SIGKILL."""

    def __init__(self, script: str = __file__) -> None:
        """script: one that ends in zygote(), perhaps with more jobs."""
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                'OMP_NUM_THREADS': '1',
                'PYTHONPATH': os.pathsep.join(filter(None, sys.path)),
            },
        )

    def run(
        self,
        job: str,
        path: Path,
        after_s: float | None = None,
        operation: int = 0,
        changed: Path | None = None,
        **options: Any,
    ) -> bool:
        """Whether the job was killed, before a file operation or after some seconds.

        The seconds count from the start or, if given, from when the file `changed` is replaced.
        """
        before = version_of(changed)
        assert self.process.stdin and self.process.stdout
        order = {'job': job, 'path': str(path), 'operation': operation, 'options': options}
        self.process.stdin.write(json.dumps(order) + '\n')
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        while changed and version_of(changed) == before:
            time.sleep(0.001)
        if after_s is not None:
            time.sleep(after_s)
            # the child stays a zombie until the zygote waits, so the id is still its own, except
            # when it ended long ago: then there is no such process
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = int(self.process.stdout.readline())
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f'the job failed: {status}'
        return os.WIFSIGNALED(status)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)


@contextlib.contextmanager
def running_killer(script: str = __file__) -> Iterator[Killer]:
    it = Killer(script)
    try:
        yield it
    finally:
        it.close()


def moments(count: int, low: float, high: float, seed: int) -> list[float]:
    """Random moments in seconds, the same every time."""
    rng = random.Random(seed)
    return [rng.uniform(low, high) for _ in range(count)]


if __name__ == '__main__':
    zygote()
