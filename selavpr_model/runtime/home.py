# SPDX-License-Identifier: MIT
"""The folder that is ours on this computer: weights, engines, maps that were rescued."""

from __future__ import annotations

import os
from pathlib import Path
import tempfile

from selavpr_model.errors import WeightsError

CURE = 'set SELAVPR_HOME to a folder that can be written, such as SELAVPR_HOME=/data/selavpr'


def home() -> Path:
    """$SELAVPR_HOME or ~/.cache/selavpr; WeightsError where this user has no home."""
    if given := os.environ.get('SELAVPR_HOME'):
        return Path(given).expanduser()
    try:
        return Path.home() / '.cache' / 'selavpr'
    except RuntimeError as error:
        raise WeightsError(f'HOME is not set and this user has none; {CURE}') from error


def require_writable(folder: Path, what: str) -> None:
    """WeightsError, before anything is downloaded, where a file could not be kept there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WeightsError(
            f'{what} cannot be kept in {folder} ({error.strerror or error}); {CURE}'
        ) from error
