# SPDX-License-Identifier: MIT
"""Where the package, what it ships and the repository around it lie."""

from __future__ import annotations

from pathlib import Path

from selavpr_model.errors import InputError
from selavpr_model.runtime.shown import shown

PACKAGE = Path(__file__).resolve().parents[1]  # selavpr_model/, with the compiled kernels
SHIPPED = PACKAGE / 'shipped'  # weights and coefficients that come with the package
REPOSITORY = PACKAGE.parent  # the checkout; site-packages where the package is installed
MOST_PATH = 4096  # bytes, as Linux


def expanded(path: str | Path) -> Path:
    """With ~ and ~user as their home; InputError for what can be no path."""
    if '\0' in str(path) or len(str(path).encode(errors='surrogatepass')) > MOST_PATH:
        raise InputError(
            f'path: expected at most {MOST_PATH} bytes without NUL, got {shown(path)}; shorten it'
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f'{shown(str(path))}: no such user; write the path from / on') from error
