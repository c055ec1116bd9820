# SPDX-License-Identifier: MIT
"""mcap files, by their index or, where that is missing or damaged, record by record.

The format: https://mcap.dev/spec. A damaged chunk costs its messages, never the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from selavpr_ros.bags.storage.chunked import Channel, Chunk, ChunkedFile, Cut, Message
from selavpr_ros.bags.storage.compression import DamagedError, decompress, MAX_BYTES

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, STATISTICS, DATA_END = (
    2, 3, 4, 5, 6, 8, 11, 15,
)  # fmt: skip
KNOWN = range(1, 16)
RECORD = 9  # bytes before a record's content: what it is, and its length
CURE = 'try `mcap recover FILE -o NEW`'


class McapFile(ChunkedFile):
    """An mcap file of any profile; without an index its messages are counted by a scan."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.schemas: dict[int, str] = {}
        try:
            self._read_index()
        except DamagedError as error:
            self.schemas, self.channels, self.chunks = {}, {}, []
            self._scan()
            self.notes.append(f'{path.name} is read without its index ({error}); {CURE}')

    def _read_index(self) -> None:
        """Channels, chunks and counts as the summary says; DamagedError unless it is whole."""
        tail = RECORD + 20 + len(MAGIC)
        footer_at = self.size - tail
        footer = self.read_at(footer_at, tail)
        kind, _, start, _, checksum = footer.numbers('BQQQI')
        if kind != FOOTER or bytes(footer.take(len(MAGIC))) != MAGIC or not start:
            raise DamagedError('the file was not closed')
        summary = self.read_at(start, footer_at + RECORD + 16 - start)
        if checksum and crc32(summary.data) != checksum:
            raise DamagedError('checksum of the index')
        counts: dict[int, int] = {}
        records = Cut(summary.data[: footer_at - start])
        for _ in self.each(records):
            kind = records.numbers('B')[0]
            record = Cut(records.sized('Q'))
            if kind == STATISTICS:
                record.take(42)
                counts = _pairs(record)
            elif kind == CHUNK_INDEX:
                self.chunks.append(self._indexed_chunk(record))
            else:
                self._define(kind, record)
        offsets = [chunk.offset for chunk in self.chunks]
        if len(offsets) != len(set(offsets)):
            raise DamagedError('the index names a chunk more than once')
        if not self.chunks or not counts.keys() <= self.channels.keys():
            raise DamagedError('the index is incomplete')
        for number, channel in self.channels.items():
            channel.count = counts.get(number, 0)

    def _indexed_chunk(self, record: Cut) -> Chunk:
        start, _, offset, length = record.numbers('QQQQ')
        offsets = sorted((at, channel) for channel, at in _pairs(record).items())
        ends = [*(at for at, _ in offsets[1:]), offset + length + record.numbers('Q')[0]]
        if offset + length > self.size:
            raise DamagedError('the index names bytes behind the end')
        counts = {
            channel: max((end - at - 15) // 16, 0)
            for (at, channel), end in zip(offsets, ends, strict=False)
        }
        return Chunk(start, offset, length, counts)

    def _define(self, kind: int, record: Cut) -> None:
        """A schema or a channel; the text of a schema is never parsed."""
        if kind == SCHEMA:
            number = record.numbers('H')[0]
            self.schemas[number] = record.text()
        elif kind == CHANNEL:
            number, schema = record.numbers('HH')
            channel = Channel(record.text(), self.schemas.get(schema, ''), record.text())
            self.channels.setdefault(number, channel)
        elif kind not in KNOWN:
            self.strange()

    def _scan(self) -> None:
        """Every record from the front, as far as the file goes."""
        at = len(MAGIC)
        try:
            while at < self.size - len(MAGIC):
                kind, length = self.read_at(at, RECORD).numbers('BQ')
                if kind in (DATA_END, FOOTER):
                    return
                if at + RECORD + length > self.size:
                    raise DamagedError(f'the file ends at byte {self.size} within a record')
                self._scan_record(kind, at, length)
                at += RECORD + length
        except DamagedError as error:
            self.damage[f'{error}, at byte {at}'] += 1

    def _scan_record(self, kind: int, at: int, length: int) -> None:
        if kind in (SCHEMA, CHANNEL):
            self._define(kind, self.read_at(at + RECORD, length))
        elif kind == MESSAGE:
            number, _, time = self.read_at(at + RECORD, 14).numbers('HIQ')
            self._count(Chunk(time, at, RECORD + length, {number: 1}))
        elif kind == CHUNK:
            start = self.read_at(at + RECORD, 8).numbers('Q')[0]
            chunk = Chunk(start, at, RECORD + length)
            counts: dict[int, int] = {}
            try:
                for message in self.unpacked(chunk):
                    counts[message.channel] = counts.get(message.channel, 0) + 1
            except DamagedError:
                counts = {}  # reading says it, and how many are lost is not known
            self._count(Chunk(start, at, RECORD + length, counts))

    def _count(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        for number, count in chunk.counts.items():
            if number in self.channels:
                self.channels[number].count += count

    def unpacked(self, chunk: Chunk) -> Iterator[Message]:
        record = self.read_at(chunk.offset, chunk.length)
        kind = record.numbers('B')[0]
        content = Cut(record.sized('Q'))
        if kind == MESSAGE:
            yield _message(content)
            return
        if kind != CHUNK:
            raise DamagedError('no chunk is where one should be')
        _, _, size, checksum = content.numbers('QQQI')
        compression = content.text()
        packed = content.sized('Q')
        data = decompress(packed, compression, min(size, MAX_BYTES))
        if len(data) != size or (checksum and crc32(data) != checksum):
            raise DamagedError(f'a chunk of {len(data)} of {size} bytes, or of another checksum')
        self.spend(len(data))
        records = Cut(data)
        for _ in self.each(records):
            kind = records.numbers('B')[0]
            inner = Cut(records.sized('Q'))
            if kind == MESSAGE:
                yield _message(inner)
            else:
                self._define(kind, inner)


def _message(record: Cut) -> Message:
    number, _, time, _ = record.numbers('HIQQ')
    return Message(number, time, record.data[record.at :])


def _pairs(record: Cut) -> dict[int, int]:
    """A map of channel -> number."""
    entries = Cut(record.sized())
    found: dict[int, int] = {}
    while entries:
        channel, number = entries.numbers('HQ')
        found[channel] = number
    return found
