# SPDX-License-Identifier: MIT
"""sqlite3 files of ROS 2 bags, message by message, so that a damaged page costs its own alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
import sqlite3
from typing import Any
from urllib.parse import quote

from selavpr_model.data.formats.sqlite_tables import require_tables
from selavpr_ros.bags.storage.chunked import Channel, Message
from selavpr_ros.bags.storage.compression import DamagedError, MAX_BYTES

MAGIC = b'SQLite format 3\x00'
CURE = 'try `sqlite3 FILE .recover | sqlite3 NEW.db3`, then `ros2 bag reindex FOLDER`'


class SqliteFile:
    """Channels and messages of an open file; `damage` counts lost messages by reason."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.damage: Counter[str] = Counter()
        self.notes: list[str] = []
        try:
            self.database = _connect(path)
            require_tables(self.database, ('topics', 'messages'))
            self.channels = self._channels()
            self._count()
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise DamagedError(f'sqlite3: {error}') from error

    def close(self) -> None:
        self.database.close()

    def _channels(self) -> dict[int, Channel]:
        asked = 'SELECT id, name, type, serialization_format FROM topics'
        return {
            number: Channel(str(name), str(kind), str(encoding))
            for number, name, kind, encoding in self.database.execute(asked)
            if isinstance(number, int)
        }

    def _count(self) -> None:
        """Messages of each channel; where a page is damaged, those that can be listed."""
        try:
            asked = 'SELECT topic_id, count(*) FROM messages GROUP BY topic_id'
            counts = dict(self.database.execute(asked))
        except sqlite3.Error:
            rows = self._rows(self.channels)
            counts = dict.fromkeys(self.channels, 0)
            for row in rows:
                counts[row[2]] += 1
            self.damage.clear()  # reading says it
        for number, channel in self.channels.items():
            channel.count = int(counts.get(number, 0))

    def _rows(self, channels: Collection[int]) -> list[tuple[int, int, int, int]]:
        """(time, id, channel, bytes) of their sound rows in order of time, without the data."""
        rows, error = self._listed('ASC', -(2**63), channels)
        if error:  # a page is damaged: as far as possible from the other end, too
            last = max((row[0] for row in rows), default=-(2**63))
            behind, _ = self._listed('DESC', last, channels)
            rows += behind
            self.damage[f'sqlite3: {error}'] += 1
        sound = [
            (time, number, channel, length)
            for number, channel, time, length in rows
            if channel in self.channels and isinstance(time, int) and isinstance(length, int)
        ]
        if len(sound) < len(rows):
            self.damage['rows without a time or data'] += len(rows) - len(sound)
        return sorted(sound)

    def _listed(
        self, order: str, after: int, channels: Collection[int]
    ) -> tuple[list[tuple[Any, ...]], str]:
        rows: list[tuple[Any, ...]] = []
        asked = (
            'SELECT id, topic_id, timestamp, length(data) FROM messages '
            f'WHERE id > ? AND +topic_id IN ({",".join(map(str, channels))}) ORDER BY id {order}'
        )
        try:
            for row in self.database.execute(asked, (after,)):
                rows.append(row)
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            return rows, str(error)
        return rows, ''

    def messages(self, channels: Collection[int]) -> Iterator[Message]:
        """Those of the channels in order of time; what cannot be read is counted and left out."""
        for time, number, channel, length in self._rows(set(channels)):
            try:
                yield Message(channel, time, self._data(number, length))
            except (sqlite3.Error, DamagedError, OverflowError) as error:
                self.damage[f'sqlite3: {error}'] += 1

    def _data(self, number: int, length: int) -> bytes:
        if length > min(self.size, MAX_BYTES):
            raise DamagedError(f'a message claims {length} bytes')
        asked = 'SELECT data FROM messages WHERE id = ?'
        found = self.database.execute(asked, (number,)).fetchone()
        if found is None or not isinstance(found[0], bytes):
            raise DamagedError('a message without data')
        return found[0]


def _connect(path: Path) -> sqlite3.Connection:
    """Read-only; with the write-ahead log that a killed recorder left, where there is one."""
    address = f'file:{quote(str(path.absolute()))}?mode=ro'
    log = path.with_name(path.name + '-wal')
    if log.is_file() and log.stat().st_size:
        with suppress(sqlite3.Error):  # where the folder cannot be written, without the log
            database = sqlite3.connect(address, uri=True)
            database.execute('SELECT count(*) FROM sqlite_master').fetchone()
            return database
    return sqlite3.connect(f'{address}&immutable=1', uri=True)
