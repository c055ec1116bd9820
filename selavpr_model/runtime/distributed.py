# SPDX-License-Identifier: MIT
"""The little that several processes need; with one process everything here is a no-op."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
import os

import numpy as np
import torch
from torch import distributed, Tensor

LONGEST_WAIT = timedelta(hours=12)  # of one process for another's share of a map or a validation


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes torchrun started, if it did: NCCL on GPUs, gloo on CPUs."""
    if int(os.environ.get('WORLD_SIZE', '1')) < 2 or distributed.is_initialized():
        yield
        return
    backend = 'nccl' if torch.cuda.is_available() else 'gloo'
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


class _Gather(torch.autograd.Function):
    """All processes' tensors in rank order; the gradient of each comes home, summed."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(world())]
        distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        distributed.all_reduce(grad)
        return grad.chunk(world())[rank()]


def gather(x: Tensor) -> Tensor:
    """(B, ...) of each process -> (world * B, ...) on all, with gradient.

    Every process then computes the same loss, and each hears every process's gradient: the mean
    over processes that DistributedDataParallel takes is that of one process with the whole batch.
    """
    return x if world() == 1 else _Gather.apply(x)


def gather_rows(part: np.ndarray, total: int) -> np.ndarray:
    """Rows `rank::world` of each process -> all `total` rows in order, on all processes."""
    if world() == 1:
        return part
    parts: list[np.ndarray | None] = [None] * world()
    distributed.all_gather_object(parts, part)
    whole = np.empty((total, *part.shape[1:]), part.dtype)
    for start, rows in enumerate(parts):
        whole[start :: world()] = rows
    return whole


def barrier() -> None:
    if world() > 1:
        distributed.barrier()


def mean(values: dict[str, float]) -> dict[str, float]:
    """The mean over processes of each value."""
    if world() == 1:
        return values
    parts: list[dict[str, float]] = [{}] * world()
    distributed.all_gather_object(parts, values)
    return {name: sum(part[name] for part in parts) / len(parts) for name in values}


def broadcast(values: tuple[float, int]) -> tuple[float, int]:
    """What the first process has, on all."""
    if world() == 1:
        return values
    box = [values]
    distributed.broadcast_object_list(box)
    return box[0]
