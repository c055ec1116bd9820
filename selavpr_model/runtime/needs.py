# SPDX-License-Identifier: MIT
"""Optional packages: what is not installed is named with the line that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import importlib

from selavpr_model.errors import MissingPackageError


@contextmanager
def needs(module: str, extra: str) -> Iterator[None]:
    """Around imports of an optional package; MissingPackageError names the extra it is in."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:  # it is there, what it needs itself is not
            raise
        raise MissingPackageError(
            f"{module} is not installed and is needed here: pip install 'selavpr[{extra}]'"
        ) from error
    yield
