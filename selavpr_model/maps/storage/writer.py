# SPDX-License-Identifier: MIT
"""A map folder on disk: durable writing and atomic replacing.

Data files lie in a subfolder of their own per save and never change; manifest.json names the
subfolder. Replacing that one file by an atomic rename is what makes a save happen, so a kill at
any moment leaves the old map or the new one, on every file system, and a process that has the old
files mapped keeps them until it lets go. maps/README.md describes the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
from pathlib import Path
import shutil
import time
from typing import Any, BinaryIO

import numpy as np

from selavpr_model.errors import MapBusyError, MapExistsError, MapMemoryError, MapSpaceError
from selavpr_model.maps.row_checksums import checksum
from selavpr_model.maps.storage import manifest as map_manifest

logger = logging.getLogger(__name__)
MANIFEST = 'manifest.json'
LOCK = '.lock'
WRITE_BYTES = 1 << 22
RETRY_S = 0.02


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says while writing into MapSpaceError or MapMemoryError."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.ENOMEM:
            raise MapMemoryError(f'{path}: {reason}; close other programs') from error
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cure = 'free some space' if full else 'choose a folder that can be written'
        raise MapSpaceError(f'{path}: the map cannot be written: {reason}; {cure}') from error
    except MemoryError as error:
        raise MapMemoryError(f'{path}: out of memory while saving the map') from error


@contextlib.contextmanager
def lock(folder: Path, patience_s: float = 1.0) -> Iterator[None]:
    """Hold `folder` as its only writer; the system lets go when the process dies, however.

    Whoever opens a map holds the lock for a moment, too, to delete what killed saves left: hence
    the patience. filelock would do this in fewer lines; but where there is no flock it makes a
    lock file instead, which outlives a killed process.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            _take(handle, patience_s)
        except BlockingIOError as error:
            message = f'{folder}: another process is writing this map; wait for it to end'
            raise MapBusyError(message) from error
        except OSError as error:  # some network file systems have no locks
            logger.warning('%s: not locked (%s); let only one process write', folder, error)
        yield
    finally:
        os.close(handle)


def _take(handle: int, patience_s: float) -> None:
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise
        time.sleep(RETRY_S)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system does not sync folders
            raise
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)


class DataWriter:
    """Writes the files of one data folder; `entries` is what the manifest says about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, dict[str, Any]] = {}

    def array(
        self, name: str, parts: Iterable[np.ndarray], rows: int, row_checksums: bool = False
    ) -> list[int]:
        """Write `parts`, joined along the first axis to `rows`, as .npy; a few rows in RAM.

        Returns the checksums of the rows, where they are asked for.
        """
        sums: list[int] = []
        with self._file(name) as file:
            for i, part in enumerate(parts):
                if i == 0:
                    shape, dtype = (rows, *part.shape[1:]), part.dtype
                    np.lib.format.write_array_header_1_0(file, _header(dtype, shape))
                assert part.dtype == dtype and part.shape[1:] == shape[1:], name
                for start in range(0, len(part), self._step(part)):
                    chunk = np.ascontiguousarray(part[start : start + self._step(part)])
                    file.write(chunk.tobytes())
                    if row_checksums:
                        sums += map(checksum, chunk)
        self.entries[name] |= {'dtype': dtype.str, 'shape': list(shape)}
        return sums

    def blob(self, name: str, raw: np.ndarray, rows: int) -> None:
        """Write what another library made of `rows` rows: (n,) uint8."""
        with self._file(name) as file:
            file.write(raw.tobytes())
        self.entries[name] |= {'dtype': 'blob', 'shape': [rows]}

    @staticmethod
    def _step(part: np.ndarray) -> int:
        """Rows that make about WRITE_BYTES: a part may be a whole memory-mapped map."""
        return max(1, WRITE_BYTES * len(part) // max(1, part.nbytes))

    def lines(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Write one JSON object a line."""
        count = 0
        with self._file(name) as file:
            for row in rows:
                count += 1
                file.write(json.dumps(row).encode() + b'\n')
        self.entries[name] |= {'dtype': 'jsonl', 'shape': [count]}

    @contextlib.contextmanager
    def _file(self, name: str) -> Iterator[_Hashing]:
        with (self.folder / name).open('xb') as raw:
            file = _Hashing(raw)
            yield file
            raw.flush()
            os.fsync(raw.fileno())
        self.entries[name] = {'bytes': file.bytes, 'sha256': file.digest.hexdigest()}


class _Hashing:
    """The part of a file that numpy needs for writing, hashing on the way."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw = raw
        self.digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        self.raw.write(data)
        self.digest.update(data)
        self.bytes += len(data)


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> dict[str, Any]:
    return {'descr': np.lib.format.dtype_to_descr(dtype), 'fortran_order': False, 'shape': shape}


@contextlib.contextmanager
def new_data_folder(path: Path, revision: int, need_bytes: int) -> Iterator[Path]:
    """A fresh folder for the files of a save; removed again if writing them fails."""
    free = shutil.disk_usage(path).free
    if free < need_bytes:
        raise MapSpaceError(
            f'{path}: the map needs {need_bytes / 1e6:.1f} MB, {free / 1e6:.1f} MB are free; '
            'free some space'
        )
    folder = path / f'data-{revision:06d}-{os.urandom(4).hex()}'
    folder.mkdir()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(folder)


def commit(path: Path, manifest: dict[str, Any]) -> None:
    """Make `manifest`, whose data folder is complete and synced, the map at `path`: one rename."""
    sync_folder(path)
    fresh = path / f'{MANIFEST}.new'
    with fresh.open('wb') as file:
        file.write(map_manifest.encode(manifest))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path / MANIFEST)
    sync_folder(path)


def require_free(path: Path, overwrite: bool) -> None:
    """Raise MapExistsError if a save to `path` would replace a map unasked, or is no map's."""
    with writing(path):
        _require_free(path, overwrite)


def require_room(path: Path) -> None:
    """Raise what a save to `path` would raise before it writes data; makes the folder."""
    with writing(path):
        _require_free(path, overwrite=True)
        make_folder(path)
        with lock(path):
            pass


def _require_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not path.is_dir():
        raise MapExistsError(f'{path}: is a file; choose another name for the map')
    if (path / MANIFEST).exists():
        if not overwrite:
            raise MapExistsError(
                f'{path}: holds a map; choose another folder, or replace it: --overwrite, or '
                'overwrite: true of the service'
            )
        return
    strange = [p.name for p in path.iterdir() if not _ours(p.name)] if path.is_dir() else []
    if strange:
        raise MapExistsError(
            f'{path}: holds no map but other files ({strange[0]}); choose an empty or new folder'
        )


def _ours(name: str) -> bool:
    return name in (LOCK, f'{MANIFEST}.new') or bool(map_manifest.DATA_FOLDER.fullmatch(name))


def leftovers(path: Path, keep: str) -> list[Path]:
    """What killed or replaced saves left in the map at `path`, whose data folder is `keep`."""
    return [p for p in path.iterdir() if _ours(p.name) and p.name not in (LOCK, keep)]


def remove_leftovers(path: Path, keep: str) -> None:
    """Delete them; the caller holds the lock."""
    for entry in leftovers(path, keep):
        logger.debug('%s: removing %s', path, entry.name)
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
