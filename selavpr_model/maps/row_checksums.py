# SPDX-License-Identifier: MIT
"""Checksums of single rows: large files are verified where they are read, not when opened.

A map of 100,000 places holds gigabytes of local features, of which a query reads a few MB. Their
SHA-256 takes minutes of a robot's start; the CRC-32 of the rows that are read takes milliseconds,
once a row, and finds what storage and copying do to a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TYPE_CHECKING
import zlib

import numpy as np

from selavpr_model.errors import MapDataError

if TYPE_CHECKING:
    from selavpr_model.maps.storage.writer import DataWriter

CHECKSUMS = 'checksums.npy'  # (N, 2) uint32: of a place's local features, of its thumbnail
THUMBNAILS = 'thumbnails.npy'
LOCAL = 'local'  # files whose names start so hold one row a place


def is_local(name: str) -> bool:
    return name.startswith(LOCAL)


def is_late(name: str) -> bool:
    """Whether the file may be verified row by row."""
    return is_local(name) or name == THUMBNAILS


def checksum(parts: Iterable[np.ndarray], start: int = 0) -> int:
    """CRC-32 over the bytes of all parts, going on from `start`."""
    for part in parts:
        start = zlib.crc32(np.ascontiguousarray(part).data, start)
    return start


def write(writer: DataWriter, thumbnails: Sequence[np.ndarray]) -> None:
    """checksums.npy, after the files of local features; thumbnails: (n,) uint8 a row."""
    sums = np.array([writer.row_checksums, [checksum([t]) for t in thumbnails]], '<u4').T
    writer.array(CHECKSUMS, [np.ascontiguousarray(sums)], len(sums))


class RowGuard:
    """Verifies rows when they are first read; MapDataError names what is damaged."""

    def __init__(
        self, folder: Path, data: Mapping[str, Any], thumbnails: list[np.ndarray]
    ) -> None:
        """data: file name -> array, in the order of the manifest; thumbnails: one JPEG a row."""
        self._file = folder / 'local.npy'
        self._local = [array for name, array in data.items() if is_local(name)]
        self._thumbnail_file, self._thumbnails = folder / THUMBNAILS, thumbnails
        self._expected = np.array(data[CHECKSUMS])
        self._unseen = np.ones(len(self._expected), bool)

    def local(self, rows: Iterable[int]) -> None:
        """Verify the local features of these rows; rows added since the map was opened pass."""
        for row in rows:
            if 0 <= row < len(self._unseen) and self._unseen[row]:
                self._verify(int(row))
                self._unseen[row] = False

    def _verify(self, row: int) -> None:
        parts = [array[row] for array in self._local]
        if checksum(parts) != self._expected[row, 0]:
            raise damaged_row(self._file, row)
        numbers = [part['scale'] if part.dtype.names else part for part in parts]
        if not all(np.isfinite(part).all() for part in numbers if part.dtype.kind == 'f'):
            raise damaged_row(self._file, row, 'not finite')

    def thumbnail(self, row: int) -> None:
        if row >= len(self._unseen):
            return
        if checksum([self._thumbnails[row]]) != self._expected[row, 1]:
            raise damaged_row(self._thumbnail_file, row)

    def everything(self) -> None:
        """Verify all that has not been read yet; takes as long as reading it."""
        self.local(np.flatnonzero(self._unseen))
        for row in range(len(self._unseen)):
            self.thumbnail(row)


def damaged_row(file: Path, row: int, what: str = 'not the bytes that were saved') -> MapDataError:
    cure = 'copy the map again, or build it again; selavpr map check shows more'
    return MapDataError(f'{file}: damaged: row {row} is {what}; {cure}')
