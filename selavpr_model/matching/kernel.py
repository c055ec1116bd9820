# SPDX-License-Identifier: MIT
"""The compiled kernel of native/mutual.cpp, called through ctypes."""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
import functools
import logging

import numpy as np

from selavpr_model.runtime.native import load, SETS, sets_of

log = logging.getLogger(__name__)

_CURE = 'install a C++ compiler and run make setup, or install selavpr again'


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The matching kernel, or None where it was not built: said once, as matching is slower."""
    kernel, why = load('mutual')
    if kernel is None:
        log.warning('no matching kernel, as %s: re-ranking is slower; %s', why, _CURE)
    return kernel


def instruction_sets() -> list[str]:
    """Those that it has code for, SELAVPR_ISA allows and this CPU has, the best last; none without
    a kernel."""
    lib = library()
    return [] if lib is None else sets_of(lib, 'mutual')


def nearest(
    query: np.ndarray,
    references: Sequence[np.ndarray],
    threads: int,
    instructions: str = '',
    rounded: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Best reference cell of each query cell (K, Nq), best query cell of each other (K, Nr).

    query (Nq, C) and K references (Nr, C), all int8 or all float32; the results are int32.
    Memory-mapped references are read where they lie. instructions: '' is the best there is.
    rounded: floats may be compared by codes of 16 bits first, quicker and with the same results.
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
    sizes = (ctypes.c_int64(n) for n in (nq, nr, channels, count))
    given = (_pointer(cells), pointers, *sizes, threads)
    how, found = SETS[instructions or instruction_sets()[-1]], (to_reference, to_query)
    if query.dtype == np.int8:
        failed = lib.selavpr_mutual_int8(*given, how, *map(_pointer, found))
    else:
        failed = lib.selavpr_mutual_float(*given, how, int(rounded), *map(_pointer, found))
    if failed:
        raise MemoryError('mutual matching: out of memory')
    return to_reference, to_query


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
