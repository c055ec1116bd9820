# SPDX-License-Identifier: MIT
"""How inference shares the processor with the robot's other work."""

from __future__ import annotations

import os


def share_cores() -> None:
    """Let idle OpenMP threads sleep instead of spin; to be called before torch is imported.

    Spinning threads steal the cores from whoever they wait for: with both of two cores busy,
    re-ranking took several times as long. A value set by the user stays.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
