# SPDX-License-Identifier: MIT
"""What mcap and ROS 1 bags share: messages in compressed chunks that overlap in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
import heapq
from pathlib import Path
import struct
from typing import NamedTuple

from selavpr_ros.bags.storage.compression import (
    DamagedError,
    MAX_BYTES,
    MAX_RATIO,
    printable,
)

MOST_OPEN = 2 * MAX_BYTES
"""Bytes of chunks that overlap in time, unpacked at once."""
MOST_RECORDS = 100_000
"""Of a file, and one for each of its bytes: they may be empty, and packed to nothing."""
MOST_STRANGE = 10_000
"""Records of no known kind."""


class Message(NamedTuple):
    """One message as it was recorded: its channel's number, the time, the bytes."""

    channel: int
    time_ns: int
    data: bytes | memoryview


@dataclass(slots=True)
class Channel:
    """A topic of one file. encoding: of its messages, 'cdr' or 'ros1' where we can read them."""

    topic: str
    msgtype: str
    encoding: str
    count: int = 0

    def __post_init__(self) -> None:
        self.topic, self.msgtype = printable(self.topic), printable(self.msgtype)
        self.encoding = printable(self.encoding)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where messages lie. counts: channel -> how many, empty where the file does not say."""

    start_ns: int
    offset: int
    length: int
    counts: dict[int, int] = field(default_factory=dict)


class Cut:
    """Bytes read from front to back; DamagedError instead of a read past the end."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> memoryview:
        if count > len(self.data) - self.at:
            raise DamagedError(
                f'{count} bytes are claimed where {len(self.data) - self.at} are left'
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, form: str) -> tuple[int, ...]:
        """Little-endian numbers in the letters of `struct`."""
        return struct.unpack('<' + form, self.take(struct.calcsize('<' + form)))

    def sized(self, form: str = 'I') -> memoryview:
        """Bytes behind their length."""
        return self.take(self.numbers(form)[0])

    def text(self) -> str:
        return bytes(self.sized()).decode(errors='replace')


class ChunkedFile:
    """Channels and chunks of an open file.

    damage: lost messages by reason; notes: what else people should know.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.size = path.stat().st_size
        self.file = path.open('rb')
        self.channels: dict[int, Channel] = {}
        self.chunks: list[Chunk] = []
        self.damage: Counter[str] = Counter()
        self._begin()

    def close(self) -> None:
        self.file.close()

    def messages(self, channels: Collection[int]) -> Iterator[Message]:
        """Those of the channels in order of time; what cannot be read is counted and left out."""
        self._begin()
        wanted = set(channels)
        streams = [
            self._stream(chunk, wanted)
            for chunk in self.chunks
            if not chunk.counts or wanted & chunk.counts.keys()
        ]
        for _, _, message in heapq.merge(*streams, key=lambda entry: entry[:2]):
            if message is not None:
                yield message

    def _stream(self, chunk: Chunk, wanted: set[int]) -> Iterator[tuple[int, int, Message | None]]:
        yield chunk.start_ns, 0, None  # nothing is unpacked before its time has come
        before = self._unpacked
        try:
            if self._open > MOST_OPEN:
                raise DamagedError(f'chunks of more than {MOST_OPEN} bytes overlap in time')
            found = [m for m in self.unpacked(chunk) if m.channel in wanted]
        except DamagedError as error:
            lost = sum(chunk.counts.get(channel, 0) for channel in wanted) or 1
            self.damage[f'{error}, at byte {chunk.offset}'] += lost
            return
        opened = self._unpacked - before
        self._open += opened
        for message in sorted(found, key=lambda m: m.time_ns):
            yield message.time_ns, chunk.offset, message
        self._open -= opened

    def _begin(self) -> None:
        """A pass over the file."""
        self._unpacked = self._open = self._records = self._strange = 0

    def strange(self) -> None:
        """A record is of no known kind; DamagedError for more of them than recorders write."""
        self._strange += 1
        if self._strange > MOST_STRANGE:
            raise DamagedError(f'more than {MOST_STRANGE} records of no known kind')

    def spend(self, count: int) -> None:
        """Bytes were unpacked; DamagedError where it is more than recordings hold."""
        self._unpacked += count
        if self._unpacked > (most := MAX_BYTES + MAX_RATIO * self.size):
            raise DamagedError(f'the file unpacks to more than {most} bytes')

    def each(self, records: Cut) -> Iterator[None]:
        """As long as there are bytes; DamagedError for more records than recordings have."""
        while records:
            self._records += 1
            if self._records > MOST_RECORDS + self.size:
                raise DamagedError(f'more than {MOST_RECORDS + self.size} records')
            yield

    def unpacked(self, chunk: Chunk) -> Iterator[Message]:
        """Every message of a chunk; DamagedError."""
        raise NotImplementedError

    def read_at(self, offset: int, count: int) -> Cut:
        """Bytes of the file; DamagedError where it has none there, or too many are claimed."""
        if not 0 <= offset <= offset + count <= self.size:
            raise DamagedError(f'the file ends at byte {self.size}, {offset + count} is claimed')
        if count > MAX_BYTES:
            raise DamagedError(f'{count} bytes are claimed, {MAX_BYTES} are allowed')
        self.file.seek(offset)
        return Cut(self.file.read(count))
