# SPDX-License-Identifier: MIT
"""The compiled kernels of native/, loaded with ctypes from where setup.py or CMake put them, and
the instruction sets that they may use."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import sys

from selavpr_model.errors import ConfigError
from selavpr_model.runtime.paths import PACKAGE

log = logging.getLogger(__name__)

ABI = {'mutual': 2, 'trunk': 2}  # of native/*.cpp; a build of other sources is not called
SETS = {
    'scalar': 0, 'avx2': 1, 'avxvnni': 2, 'avx512vnni': 3, 'avx512bf16': 4,
    'neon': 5, 'neon_dot': 6, 'neon_i8mm': 7,
}  # fmt: skip
"""Of native/sets.h, on each kind of computer the best last."""
LIMIT = 'SELAVPR_ISA'


ELSEWHERE = {
    'scalar': ('default', 'SSE41', 'generic'),
    'avx2': ('avx2', 'AVX2', 'avx2'),
    'avxvnni': ('avx2', 'AVX2_VNNI', 'avx2'),
    'avx512vnni': ('avx512', 'AVX512_CORE_VNNI', 'avx512'),
    'avx512bf16': ('avx512', 'AVX512_CORE_BF16', 'avx512'),
}
"""What torch, oneDNN and faiss call the same limits."""
OTHERS = 'ATEN_CPU_CAPABILITY', 'ONEDNN_MAX_CPU_ISA', 'FAISS_OPT_LEVEL'


def load(name: str) -> tuple[ctypes.CDLL | None, str]:
    """native/NAME.cpp as setup.py or CMakeLists.txt built it, or None and why not."""
    files = sorted(PACKAGE.glob(f'_{name}*.so'))
    for file in files:
        try:
            library = ctypes.CDLL(str(file))
            if getattr(library, f'selavpr_{name}_abi')() == ABI[name]:
                return library, ''
        except (OSError, AttributeError) as error:
            log.debug('%s: %s', file, error)
    return (
        None,
        f'{files[0]} does not fit this version or machine' if files else 'it was not built',
    )


def allowed_sets() -> list[str]:
    """Those of this kind of computer up to the one that SELAVPR_ISA names, the best last.

    ConfigError where it names none of them. This CPU need not have them all.
    """
    arm = platform.machine().lower() in ('aarch64', 'arm64')
    names = [name for name in SETS if name == 'scalar' or arm == name.startswith('neon')]
    most = os.environ.get(LIMIT) or names[-1]
    if most not in names:
        raise ConfigError(
            f'{LIMIT}: expected one of {", ".join(names)}, got {most!r}; unset it to use all that '
            'this CPU has'
        )
    return names[: names.index(most) + 1]


def limit_sets(most: str) -> None:
    """Let our kernels, torch, oneDNN and faiss use the sets up to `most`, here and in processes
    that are started; ConfigError where there is no such set, or these libraries are loaded.
    """
    if 'torch' in sys.modules or 'faiss' in sys.modules:
        raise ConfigError(
            f'{LIMIT}: expected a process that has not loaded torch or faiss yet, got one that '
            f'has; set {LIMIT}, {", ".join(OTHERS)} before it starts'
        )
    os.environ[LIMIT] = most
    allowed_sets()
    os.environ.update(zip(OTHERS, ELSEWHERE.get(most, ()), strict=False))


def sets_of(library: ctypes.CDLL, name: str) -> list[str]:
    """Allowed sets that kernel NAME has code for and this CPU has, the best last."""
    has = getattr(library, f'selavpr_{name}_has')
    return [one for one in allowed_sets() if has(SETS[one])]
