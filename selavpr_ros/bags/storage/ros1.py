# SPDX-License-Identifier: MIT
"""ROS 1 bags (format 2.0), by their index or, where there is none, chunk by chunk.

The format: https://wiki.ros.org/Bags/Format/2.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from selavpr_ros.bags.storage.chunked import Channel, Chunk, ChunkedFile, Cut, Message
from selavpr_ros.bags.storage.compression import DamagedError, decompress, MAX_BYTES

MAGIC = b'#ROSBAG V2.0\n'
MESSAGE, BAG, INDEX, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 4, 5, 6, 7
MOST_FIELDS = 100
CURE = 'try `rosbag reindex FILE`'


class Ros1File(ChunkedFile):
    """A ROS 1 bag; message types get their ROS 2 names, encoding 'ros1'."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        _, fields, _, end = self._record(len(MAGIC))
        index = int.from_bytes(fields.get('index_pos', b''), 'little')
        try:
            if not index:
                raise DamagedError('the bag was not closed')
            self._read(index)
        except DamagedError as error:
            self.channels, self.chunks = {}, []
            self._read(end, scan=True)
            self.notes.append(f'{path.name} is read without its index ({error}); {CURE}')
        for chunk in self.chunks:
            for number, count in chunk.counts.items():
                if number in self.channels:
                    self.channels[number].count += count

    def _record(self, at: int) -> tuple[int, dict[str, bytes], tuple[int, int], int]:
        """(kind, fields, (offset, length) of its data, offset of the next) of the record there."""
        length = self.read_at(at, 4).numbers('I')[0]
        fields = header_fields(self.read_at(at + 4, length))
        at += 4 + length
        size = self.read_at(at, 4).numbers('I')[0]
        if at + 4 + size > self.size:
            raise DamagedError(f'the file ends at byte {self.size} within a record')
        return op(fields), fields, (at + 4, size), at + 4 + size

    def _read(self, at: int, scan: bool = False) -> None:
        """Records from `at` on; a scan unpacks the chunks, and ends where the file does."""
        while at < self.size:
            start = at
            try:
                kind, fields, data, at = self._record(at)
                if kind == CONNECTION:
                    self._connect(fields, self.read_at(*data))
                elif kind == CHUNK_INFO and not scan:
                    self.chunks.append(self._indexed(fields, self.read_at(*data)))
                elif kind == CHUNK and scan:
                    self.chunks.append(self._scanned(start, at - start))
            except DamagedError as error:
                if not scan:
                    raise
                self.damage[f'{error}, at byte {start}'] += 1
                return

    def _connect(self, fields: dict[str, bytes], data: Cut) -> None:
        about = header_fields(data)
        kind = about.get('type', b'').decode(errors='replace').replace('/', '/msg/')
        topic = fields.get('topic', b'').decode(errors='replace')
        number = int.from_bytes(fields.get('conn', b''), 'little')
        kind = 'tf2_msgs/msg/TFMessage' if kind == 'tf/msg/tfMessage' else kind
        self.channels.setdefault(number, Channel(topic, kind, 'ros1'))

    def _indexed(self, fields: dict[str, bytes], data: Cut) -> Chunk:
        offset = int.from_bytes(fields.get('chunk_pos', b''), 'little')
        counts: dict[int, int] = {}
        while data:
            number, count = data.numbers('II')
            counts[number] = count
        kind, _, _, end = self._record(offset)
        if kind != CHUNK:
            raise DamagedError('the index names a chunk that is none')
        return Chunk(time_ns(fields.get('start_time', b'')), offset, end - offset, counts)

    def _scanned(self, offset: int, length: int) -> Chunk:
        counts: dict[int, int] = {}
        times = []
        try:
            for message in self.unpacked(Chunk(0, offset, length)):
                counts[message.channel] = counts.get(message.channel, 0) + 1
                times.append(message.time_ns)
        except DamagedError:
            counts = {}  # reading says it
        return Chunk(min(times, default=0), offset, length, counts)

    def unpacked(self, chunk: Chunk) -> Iterator[Message]:
        _, fields, data, _ = self._record(chunk.offset)
        size = int.from_bytes(fields.get('size', b''), 'little')
        compression = fields.get('compression', b'none').decode(errors='replace')
        content = decompress(self.read_at(*data).data, compression, min(size, MAX_BYTES))
        if len(content) != size:
            raise DamagedError(f'a chunk of {len(content)} of {size} bytes')
        self.spend(len(content))
        records = Cut(content)
        for _ in self.each(records):
            fields = header_fields(Cut(records.sized()))
            inner = Cut(records.sized())
            if op(fields) == MESSAGE:
                number = int.from_bytes(fields.get('conn', b''), 'little')
                yield Message(number, time_ns(fields.get('time', b'')), inner.data)
            elif op(fields) == CONNECTION:
                self._connect(fields, inner)
            else:
                self.strange()


def header_fields(header: Cut) -> dict[str, bytes]:
    """`name=value` fields behind their lengths."""
    found: dict[str, bytes] = {}
    for _ in range(MOST_FIELDS):
        if not header:
            return found
        name, _, value = bytes(header.sized()).partition(b'=')
        found[name.decode(errors='replace')] = value
    raise DamagedError(f'a header of more than {MOST_FIELDS} fields')


def op(fields: dict[str, bytes]) -> int:
    return int.from_bytes(fields.get('op', b'')[:1], 'little')


def time_ns(value: bytes) -> int:
    """8 bytes of seconds and nanoseconds."""
    seconds, nanoseconds = Cut(value).numbers('II')
    return seconds * 10**9 + nanoseconds
