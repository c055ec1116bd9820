# SPDX-License-Identifier: MIT
"""Decompression that never gives more bytes than were allowed."""

from __future__ import annotations

import bz2
import importlib
from pathlib import Path
import sys
from typing import Any

from selavpr_model.errors import MissingPackageError
from selavpr_model.runtime.needs import needs

MAX_BYTES = 256 << 20
"""Of one chunk or message, unpacked; no camera or lidar comes near."""
MAX_RATIO = 1000
"""Of a compressed file; recordings stay below 100."""
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
BLOCK = 1 << 20
MAX_TEXT = 200


class DamagedError(ValueError):
    """Bytes that are not what they claim to be; the text says in one line what is wrong."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(' '.join(text.split())))


def printable(text: str) -> str:
    """What a file of a stranger says, fit for one line."""
    short = text if len(text) <= MAX_TEXT else f'{text[:MAX_TEXT]}...'
    if short.isprintable():
        return short
    return ''.join(c if c.isprintable() else '?' for c in short)


def decompress(data: bytes | memoryview, kind: str, limit: int = MAX_BYTES) -> bytes:
    """`data` of the kind '', 'none', 'zstd', 'lz4' or 'bz2', unpacked; DamagedError."""
    if kind in ('', 'none'):
        return bytes(data)
    try:
        return _unpacked(bytes(data), kind, limit)
    except (DamagedError, MissingPackageError):
        raise
    except Exception as error:  # each library has its own; all mean the same here
        raise DamagedError(f'{kind}: {_first_line(error)}') from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _unpacked(data: bytes, kind: str, limit: int) -> bytes:
    out, rest = bytearray(), data
    while rest:
        machine = _machine(kind)
        while not machine.eof:
            block = machine.decompress(rest, max_length=4 * BLOCK)  # some allocate all of it
            out += block
            if len(out) > limit:
                raise DamagedError(f'{kind}: unpacks to more than the {limit} bytes allowed')
            if not block and not machine.eof:
                raise DamagedError(f'{kind}: ends before its end mark')
            rest = b''
        rest = machine.unused_data
    return bytes(out)


def _machine(kind: str) -> Any:
    if kind == 'zstd':
        return _zstd().ZstdDecompressor()
    if kind == 'lz4':
        with needs('lz4', extra='bags'):
            from lz4.frame import LZ4FrameDecompressor
        return LZ4FrameDecompressor()
    if kind == 'bz2':
        return bz2.BZ2Decompressor()
    raise DamagedError(f'compression {kind[:40]!r} is not known')


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        return importlib.import_module('compression.zstd')
    with needs('backports', extra='bags'):
        from backports import zstd
    return zstd


def unpack_file(path: Path, out: Path) -> None:
    """A file compressed as a whole (zstd) into another; DamagedError; OSError where it is full."""
    limit = MAX_BYTES + MAX_RATIO * path.stat().st_size
    machine, written = _machine('zstd'), 0
    with path.open('rb') as packed, out.open('wb') as file:
        while not machine.eof:
            data = packed.read(BLOCK) if machine.needs_input else b''
            if not data and machine.needs_input:
                raise DamagedError(f'zstd: the file ends before its end mark, at {written} bytes')
            try:
                block = machine.decompress(data, max_length=16 * BLOCK)
            except Exception as error:
                raise DamagedError(f'zstd: {_first_line(error)}') from error
            written += file.write(block)
            if written > limit:
                raise DamagedError(f'zstd: unpacks to more than {limit} bytes')
