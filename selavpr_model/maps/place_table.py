# SPDX-License-Identifier: MIT
"""The places of a map as columns: a million of them open within seconds, records on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
import itertools
import json
import mmap
from operator import itemgetter
import sys
from typing import Any, overload

import numpy as np

from selavpr_model.errors import InputError
from selavpr_model.records import Place

NO_POSE = np.full((4, 4), np.nan)
COLUMNS = (
    'id',
    'stamp_ns',
    'name',
    'session',
    'camera_frame',
    'label',
)  # of a line of places.jsonl
MOST_TEXT = 8192  # characters of a name
MOST_LINE = 1 << 17  # bytes of a line
LINES_AT_ONCE = 4096  # parsed rows are ten times as large as the columns made of them


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Places that were read: ids (N,) uint64, stamps (N,) int64, poses (N, 4, 4), four texts."""

    ids: np.ndarray
    stamps: np.ndarray
    poses: np.ndarray
    names: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    camera_frames: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def place(self, row: int) -> Place:
        pose = self.poses[row]
        return Place(
            int(self.ids[row]),
            int(self.stamps[row]),
            self.names[row],
            self.sessions[row],
            self.camera_frames[row],
            None if np.isnan(pose[0, 0]) else pose,
            self.labels[row],
        )


EMPTY = Columns(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty((0, 4, 4)))


class PlaceTable(Sequence[Place]):
    """Rows never change, but their poses may be corrected; those read from disk are columns, those
    added since are records."""

    def __init__(self, columns: Columns = EMPTY) -> None:
        self._read = columns
        self._added: list[Place] = []
        self._moved: np.ndarray = EMPTY.poses  # corrected poses of the first rows
        self._ids: set[int] | None = None  # made when something is added: most maps only answer

    def __len__(self) -> int:
        return len(self._read.ids) + len(self._added)

    @overload
    def __getitem__(self, row: int) -> Place: ...

    @overload
    def __getitem__(self, row: slice) -> list[Place]: ...

    def __getitem__(self, row: int | slice) -> Place | list[Place]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        index = range(len(self))[row]  # also what is negative or not there
        first, moved = len(self._read.ids), self._moved
        place = self._added[index - first] if index >= first else self._read.place(index)
        if index >= len(moved):
            return place
        pose = moved[index]
        return replace(place, pose=None if np.isnan(pose[0, 0]) else pose)

    def move(self, poses: np.ndarray) -> None:
        """Other poses of the first rows, (n, 4, 4) float64; all NaN where there is none."""
        if len(poses) > len(self):
            raise InputError(f'poses: expected at most {len(self)}, got {len(poses)}')
        self._moved = np.array(poses, '<f8')

    def append(self, place: Place) -> None:
        self.require_new([place.id])
        self._taken_ids().add(place.id)
        self._added.append(place)

    def extend(self, others: PlaceTable) -> None:
        self.require_new(others.ids(), 'in both maps; ids must differ')
        self._taken_ids().update(others.ids())
        self._added += others

    def ids(self) -> Iterator[int]:
        return itertools.chain(self._read.ids.tolist(), (p.id for p in self._added))

    def require_new(
        self, ids: Iterable[int], what: str = 'already in the map; use next_id'
    ) -> None:
        """Raise InputError if one of `ids` is that of a place here."""
        taken = self._taken_ids()
        twice = next((i for i in ids if i in taken), None)
        if twice is not None:
            raise InputError(f'place id {twice}: {what}')

    def _taken_ids(self) -> set[int]:
        if self._ids is None:
            self._ids = set(self.ids())
        return self._ids

    @property
    def next_id(self) -> int:
        """An id that no place here has."""
        read = self._read.ids
        highest = int(read.max()) if len(read) else -1
        return max([highest, *(p.id for p in self._added)]) + 1

    def poses(self) -> np.ndarray:
        """(N, 4, 4) float64 T_map_camera, all NaN where there is no pose."""
        added = [NO_POSE if p.pose is None else p.pose for p in self._added]
        rest, moved = np.array(added, '<f8').reshape(-1, 4, 4), self._moved
        every = np.concatenate([self._read.poses, rest]) if len(rest) else self._read.poses
        return np.concatenate([moved, every[len(moved) :]]) if len(moved) else every

    def session_of_rows(self) -> list[str]:
        """(N,) the session of each row."""
        return [*self._read.sessions, *(p.session for p in self._added)]

    def sessions(self) -> set[str]:
        return set(self.session_of_rows())

    def lines(self, rows: int) -> Iterator[dict[str, Any]]:
        """What places.jsonl holds of the first `rows` places; poses lie in poses.npy."""
        for place in itertools.islice(self, rows):
            yield {
                'id': int(place.id),
                'stamp_ns': int(place.stamp_ns),
                'name': place.name,
                'session': place.session,
                'camera_frame': place.camera_frame,
                'label': place.label,
            }


def read_columns(raw: bytes | mmap.mmap, poses: np.ndarray) -> Columns:
    """places.jsonl and its poses (N, 4, 4); ValueError says which line is no place.

    Poses stay where they are: memory-mapped, read-only.
    """
    columns: list[list[Any]] = [[] for _ in COLUMNS]
    lines = _lines(raw)
    while some := list(itertools.islice(lines, LINES_AT_ONCE)):
        _append_lines(columns, some)
    ids, stamps, *texts = columns
    if len(ids) != len(poses):
        raise ValueError(f'expected {len(poses)} places, got {len(ids)}')
    table = Columns(np.array(ids, np.uint64), np.array(stamps, np.int64), poses, *texts)
    if len(np.unique(table.ids)) != len(ids):
        raise ValueError('a place id occurs twice')
    return table


def _lines(raw: bytes | mmap.mmap) -> Iterator[bytes]:
    """One at a time: a file may be larger than memory, and all of it one line."""
    start = 0
    while start < len(raw):
        end = raw.find(b'\n', start, start + MOST_LINE)
        if end < 0:
            end = len(raw)
        if end - start >= MOST_LINE:
            raise ValueError(f'expected lines of at most {MOST_LINE} bytes')
        yield raw[start:end]
        start = end + 1


def _append_lines(columns: list[list[Any]], lines: list[bytes]) -> None:
    first = len(columns[0])
    rows = json.loads(b'[' + b','.join(lines) + b']')
    if (
        len(rows) != len(lines)
        or {*map(type, rows)} != {dict}
        or {*map(len, rows)} != {len(COLUMNS)}
    ):
        raise ValueError(f'lines {first + 1} to {first + len(lines)}: not one place a line')
    try:
        ids, stamps, names, *texts = zip(*map(itemgetter(*COLUMNS), rows), strict=True)
    except KeyError as error:
        raise ValueError(f'expected {", ".join(COLUMNS)}; a line lacks {error}') from error
    if {*map(type, (*ids, *stamps))} != {int} or {type(t) for c in (names, *texts) for t in c} != {
        str
    }:
        raise ValueError('a value has the wrong type')
    _check_texts([*names, *(text for column in texts for text in column)])
    if min(ids) < 0 or max(ids) >= 2**64 or min(stamps) < -(2**63) or max(stamps) >= 2**63:
        raise ValueError('expected uint64 ids and int64 stamps')
    # sessions and camera frames repeat: one string for all
    shared = (map(sys.intern, column) for column in texts)
    for column, values in zip(columns, (ids, stamps, names, *shared), strict=True):
        column += values


def _check_texts(texts: list[str]) -> None:
    """ValueError for what neither ROS nor a terminal can hold."""
    whole = ''.join(texts)
    # names of files may hold bytes that are no UTF-8; UnicodeEncodeError is a ValueError
    whole.encode(errors='surrogateescape')
    if '\0' in whole or max(map(len, texts)) > MOST_TEXT:
        raise ValueError(f'expected texts of at most {MOST_TEXT} characters without NUL')
