# SPDX-License-Identifier: MIT
"""A map folder on disk: verified reading. maps/README.md describes the format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass
import errno
import hashlib
import logging
import math
import os
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from selavpr_model.errors import (
    MapBusyError,
    MapDataError,
    MapError,
    MapMemoryError,
    MapNotFoundError,
)
from selavpr_model.maps.storage import manifest as map_manifest
from selavpr_model.maps.storage import writer
from selavpr_model.maps.storage.manifest import LOCAL, THUMBNAILS
from selavpr_model.maps.storage.writer import MANIFEST

logger = logging.getLogger(__name__)
HASH_CHUNK = 1 << 22
LOG_EVERY = 1 << 30  # bytes between two lines of progress
READ_AGAIN = 5
HASH_AT_OPEN = 1 << 27  # bytes of local features and thumbnails that are hashed, else by row


def read_manifest(path: Path) -> dict[str, Any]:
    """Only the manifest, checked by its own checksum; no data file is touched."""
    return map_manifest.decode(_manifest_bytes(path), path / MANIFEST)


def _manifest_bytes(path: Path) -> bytes:
    try:
        return (path / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MapNotFoundError(_why_no_map(path)) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise MapDataError(f'{path / MANIFEST}: cannot be read: {reason}') from error


def _why_no_map(path: Path) -> str:
    cure = 'build one with: selavpr map build SOURCE --out MAP'
    if not path.exists():
        return f'{path}: there is no such folder, expected a map; {cure}'
    if not path.is_dir():
        return f'{path}: is a file, expected the folder of a map; {cure}'
    return f'{path}: holds no {MANIFEST}, so it is no map or its first save did not end; {cure}'


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """What lies in the data folder, the bytes that were written.

    arrays: file name -> array, memory-mapped read-only, or the bytes of a table; late: the files
    whose rows are still to be verified when they are read.
    """

    manifest: dict[str, Any]
    folder: Path
    arrays: dict[str, Any]
    late: frozenset[str]


T = TypeVar('T')


def consistently(path: Path, read: Callable[[dict[str, Any]], T]) -> T:
    """`read` of the manifest at `path`, again with the new one where a save came between."""
    for _ in range(READ_AGAIN):
        raw = _manifest_bytes(path)
        try:
            return read(map_manifest.decode(raw, path / MANIFEST))
        except MemoryError as error:
            raise MapMemoryError(f'{path}: the map does not fit into memory') from error
        except MapDataError:
            if _manifest_bytes(path) == raw:
                raise
    raise MapBusyError(f'{path}: replaced {READ_AGAIN} times while being read; try again')


def read_files(path: Path, manifest: dict[str, Any], everything: bool) -> Files:
    """The files of a manifest; with `everything`, large ones are hashed, too.

    Raises MapDataError or MapMemoryError for every kind of damage to their bytes.
    """
    folder, files = path / manifest['data'], manifest['files']
    for name, entry in files.items():
        _check_size(folder / name, entry)
    late = frozenset() if everything else _late(files)
    _check_hashes(folder, {name: e for name, e in files.items() if name not in late})
    arrays = {name: _read(folder / name, entry) for name, entry in files.items()}
    return Files(manifest, folder, arrays, late)


def _late(files: dict[str, dict[str, Any]]) -> frozenset[str]:
    """Files of one row a place that are too large to be hashed now."""
    names = {name for name in (LOCAL, THUMBNAILS) if name in files}
    size = sum(files[name]['bytes'] for name in names)
    return frozenset(names if size > HASH_AT_OPEN else ())


def tidy(path: Path) -> None:
    """Delete what killed saves left, unless another process is writing or nothing may be."""
    with contextlib.suppress(OSError, MapError):
        if writer.leftovers(path, read_manifest(path)['data']):
            with writer.lock(path, patience_s=0.0):
                writer.remove_leftovers(path, read_manifest(path)['data'])


def _check_size(file: Path, entry: dict[str, Any]) -> None:
    try:
        size = file.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error
    if size != entry['bytes']:
        raise damaged(file, f'expected {entry["bytes"]} bytes, got {size}')


def _check_hashes(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    total = sum(entry['bytes'] for entry in files.values())
    done = 0
    for name, entry in files.items():
        digest = hashlib.sha256()
        for chunk in _chunks(folder / name):
            digest.update(chunk)
            done += len(chunk)
            if done // LOG_EVERY != (done - len(chunk)) // LOG_EVERY:
                logger.info('verifying %s: %.1f of %.1f GB', folder, done / 1e9, total / 1e9)
        if digest.hexdigest() != entry['sha256']:
            got = digest.hexdigest()[:12]
            raise damaged(folder / name, f'expected SHA-256 {entry["sha256"][:12]}, got {got}')


def _chunks(file: Path) -> Iterator[bytes]:
    try:
        with file.open('rb') as handle:
            while chunk := handle.read(HASH_CHUNK):
                yield chunk
    except OSError as error:
        raise _unreadable(file, error) from error


def _read(file: Path, entry: dict[str, Any]) -> Any:
    try:
        if file.suffix == '.jsonl':
            return file.read_bytes()  # now: a save may delete it before it is needed
        return np.fromfile(file, np.uint8) if file.suffix == '.faiss' else _read_array(file, entry)
    except (ValueError, EOFError) as error:
        raise damaged(file, f'{error}') from error
    except OSError as error:
        raise _unreadable(file, error) from error


def _read_array(file: Path, entry: dict[str, Any]) -> np.ndarray:
    if math.prod(entry['shape']):
        array: np.ndarray = np.lib.format.open_memmap(file, mode='r')  # refuses objects
    else:  # nothing cannot be memory-mapped
        with file.open('rb') as handle:
            array = np.lib.format.read_array(handle, allow_pickle=False)
    if list(array.shape) != entry['shape'] or array.dtype.str != entry['dtype']:
        expected = f'{entry["shape"]} {entry["dtype"]}'
        raise ValueError(f'expected {expected}, got {list(array.shape)} {array.dtype.str}')
    return array


def _unreadable(file: Path, error: OSError) -> MapDataError | MapMemoryError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.ENOMEM:
        return MapMemoryError(f'{file}: {reason}; close other programs')
    return MapDataError(f'{file}: cannot be read: {reason}; copy or build the map again')


def damaged(file: Path, detail: str) -> MapDataError:
    return MapDataError(f'{file}: damaged: {detail}; copy the map again, or build it again')
