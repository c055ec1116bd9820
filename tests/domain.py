# SPDX-License-Identifier: MIT
"""A ROS domain that no other test run on this computer has."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
import tempfile

LAST = 100  # the ports of later ones may be taken by outgoing connections
_held: list[int] = []  # open files: their locks end with this process


def own_domain() -> int:
    """From 1 to LAST, kept until this process ends."""
    first = os.getpid() % LAST
    for domain in (1 + (first + k) % LAST for k in range(LAST)):
        path = Path(tempfile.gettempdir()) / f'selavpr_test_domain_{domain}'
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        _held.append(file)
        return domain
    raise RuntimeError(f'all {LAST} ROS domains for tests are taken; end other test runs')
