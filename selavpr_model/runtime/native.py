# SPDX-License-Identifier: MIT
"""The compiled kernels of native/, loaded with ctypes from where setup.py or CMake put them."""

from __future__ import annotations

import ctypes
import logging

from selavpr_model.runtime.paths import PACKAGE

log = logging.getLogger(__name__)

ABI = {'mutual': 1, 'trunk': 1}  # of native/*.cpp; a build of other sources is not called


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
