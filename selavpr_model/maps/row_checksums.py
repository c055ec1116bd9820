# SPDX-License-Identifier: MIT
"""Checksums of single rows: large files are verified where they are read, not when opened.

A map of 100,000 places holds gigabytes of local features, of which a query reads a few MB. Their
SHA-256 takes minutes of a robot's start; the CRC-32 of the rows that are read takes milliseconds,
once a row, and finds what storage and copying do to a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
import zlib

import numpy as np

from selavpr_model.errors import MapDataError


def checksum(row: np.ndarray) -> int:
    """CRC-32 over the bytes of a row."""
    return zlib.crc32(np.ascontiguousarray(row).data)


@dataclass(frozen=True, slots=True, eq=False)
class Guarded:
    """Rows of a file that were not verified when it was opened, and their checksums (N,)."""

    file: Path
    rows: np.ndarray | list[np.ndarray]
    checksums: np.ndarray

    def verify(self, row: int) -> None:
        if checksum(self.rows[row]) != self.checksums[row]:
            raise damaged_row(self.file, row)


class RowGuard:
    """Verifies rows when they are first read; MapDataError names what is damaged."""

    def __init__(self, local: Guarded, thumbnails: Guarded) -> None:
        self._local, self._thumbnails = local, thumbnails
        self._unseen = np.ones(len(local.checksums), bool)

    def local(self, rows: Iterable[int]) -> None:
        """Verify the local features of these rows; rows added since the map was opened pass."""
        for row in rows:
            if 0 <= row < len(self._unseen) and self._unseen[row]:
                self._local.verify(int(row))
                self._require_finite(int(row))
                self._unseen[row] = False

    def _require_finite(self, row: int) -> None:
        if not is_finite(self._local.rows[row]):
            raise damaged_row(self._local.file, row, 'not finite')

    def thumbnail(self, row: int) -> None:
        """Verify the thumbnail of a row, if it was there when the map was opened."""
        if row < len(self._unseen):
            self._thumbnails.verify(row)

    def everything(self) -> None:
        """Verify all that has not been read yet; takes as long as reading it."""
        self.local(np.flatnonzero(self._unseen))
        for row in range(len(self._unseen)):
            self.thumbnail(row)


def is_finite(rows: np.ndarray) -> bool:
    """Whole numbers are; of coded tokens the scales are looked at."""
    numbers = rows['scale'] if rows.dtype.names else rows
    return numbers.dtype.kind != 'f' or bool(np.isfinite(numbers).all())


def damaged_row(file: Path, row: int, what: str = 'not the bytes that were saved') -> MapDataError:
    cure = 'copy the map again, or build it again; selavpr map check shows more'
    return MapDataError(f'{file}: damaged: row {row} is {what}; {cure}')
