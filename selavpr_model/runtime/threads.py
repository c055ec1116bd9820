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


def limit_threads(count: int) -> None:
    """Let torch, OpenMP, BLAS and OpenCV compute on `count` threads, the calling one included.

    OpenMP keeps this for each calling thread: call it on the one that does the work.
    """
    import cv2
    import faiss  # noqa: F401, its libraries must be there to be limited
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits
    import torch

    threadpool_limits(count)
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
