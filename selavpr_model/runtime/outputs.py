# SPDX-License-Identifier: MIT
"""Where commands write: looked at before the work, not after it."""

from __future__ import annotations

from collections.abc import Mapping
import json
import math
import os
from pathlib import Path
from typing import Any

from selavpr_model.errors import InputError


def require_outputs(
    out: Path | None = None, json_out: Path | None = None, plots: Path | None = None
) -> None:
    """InputError where a folder cannot be made or written, or --json is no file in a folder.

    out: folder of the results, or of the map; it may be the folder of the JSON, too.
    """
    _require_folder(out, 'out')
    _require_folder(plots, 'plots')
    if json_out is not None:
        _require_file(json_out, out)


def _require_folder(path: Path | None, option: str) -> None:
    if path is None:
        return
    there = _nearest(path)
    if not there.is_dir():
        raise InputError(
            f'--{option}: expected a folder, got {path} where {there} is a file; choose '
            'another name'
        )
    if not _writable(there):
        raise InputError(
            f'--{option}: expected a folder that can be written, got {path}; choose one outside '
            f'{there}, or change its permissions'
        )


def _require_file(path: Path, out: Path | None) -> None:
    folder = path.absolute().parent
    will_be = out is not None and folder == out.absolute() and not out.exists()
    if path.is_dir() or not (will_be or folder.is_dir()):
        raise InputError(
            f'--json: expected a file in an existing folder, got {path}; choose another name or '
            f'make {folder}'
        )
    if not will_be and not _writable(path if path.exists() else folder):
        raise InputError(
            f'--json: expected a file that can be written, got {path}; choose another name'
        )


def _nearest(path: Path) -> Path:
    """The path, or the lowest of the folders above it that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


def _writable(path: Path) -> bool:
    mode = os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def write_json(path: Path | None, value: object) -> None:
    """The result of a command; nothing without a path. What is not finite becomes null: NaN is
    no JSON, and no reason to lose the result of an hour.
    """
    if path is not None:
        path.write_text(json.dumps(_finite(value), indent=2, allow_nan=False) + '\n')


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
