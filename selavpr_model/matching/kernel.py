# SPDX-License-Identifier: MIT
"""The compiled kernel of native/mutual.cpp, called through ctypes."""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
import functools
import logging

import numpy as np

from selavpr_model.runtime.native import load

log = logging.getLogger(__name__)

SETS = {'plain': 0, 'avx2': 1, 'avx512': 2, 'neon': 3, 'neon_dot': 4}  # the best last
_CURE = 'install a C++ compiler and run make setup, or install selavpr again'


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The matching kernel, or None where it was not built: said once, as matching is slower."""
    kernel, why = load('mutual')
    if kernel is None:
        log.warning('no matching kernel, as %s: re-ranking is slower; %s', why, _CURE)
    return kernel


def instruction_sets() -> list[str]:
    """Those of this machine that the kernel has code for, the best last; none without a kernel."""
    lib = library()
    return [] if lib is None else [n for n, i in SETS.items() if lib.selavpr_mutual_has(i)]


def nearest(
    query: np.ndarray, references: Sequence[np.ndarray], threads: int, instructions: str = ''
) -> tuple[np.ndarray, np.ndarray]:
    """Best reference cell of each query cell (K, Nq), best query cell of each other (K, Nr).

    query (Nq, C) and K references (Nr, C), all int8 or all float32; the results are int32.
    Memory-mapped references are read where they lie. instructions: '' is the best there is.
    """
    lib = library()
    assert lib is not None and query.dtype in (np.int8, np.float32)
    rows = [np.ascontiguousarray(row, query.dtype) for row in references]
    cells = np.ascontiguousarray(query)
    (nq, channels), count = cells.shape, len(rows)
    nr = len(rows[0]) if rows else 0
    assert all(row.shape == (nr, channels) for row in rows), 'cells of different shapes'
    to_reference, to_query = np.zeros((count, nq), np.int32), np.zeros((count, nr), np.int32)
    if min(nq, nr, channels, count) == 0:
        return to_reference, to_query
    pointers = (ctypes.c_void_p * count)(*(row.ctypes.data for row in rows))
    run = lib.selavpr_mutual_int8 if query.dtype == np.int8 else lib.selavpr_mutual_float
    sizes = (ctypes.c_int64(n) for n in (nq, nr, channels, count))
    chosen = SETS[instructions or instruction_sets()[-1]]
    failed = run(
        _pointer(cells), pointers, *sizes, threads, chosen, _pointer(to_reference),
        _pointer(to_query),
    )  # fmt: skip
    if failed:
        raise MemoryError('mutual matching: out of memory')
    return to_reference, to_query


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
