# SPDX-License-Identifier: MIT
"""Small recordings that are large, or endless, once somebody unpacks or lists them."""

from __future__ import annotations

import bz2
from collections.abc import Callable
from pathlib import Path
import random
import sqlite3
import struct
from zlib import crc32

from backports import zstd
from bag_helpers import drive, IMAGE, record, START, text, write
import lz4.frame

MAGIC = b'\x89MCAP0\r\n'
PACKERS = {'zstd': zstd.compress, 'lz4': lz4.frame.compress, '': bytes}
LARGE = 200 << 20  # just below what a chunk may have


def mcap(out: Path, rng: random.Random) -> Path:
    """Chunks of nothing: large ones, ones of a million records, one listed again and again."""
    topic = struct.pack('<HH', 1, 1) + text(IMAGE) + text('cdr') + struct.pack('<I', 0)
    schema = struct.pack('<H', 1) + text('sensor_msgs/msg/CompressedImage') + text('ros2msg')
    head = MAGIC + record(1, text('ros2') + text('x'))
    head += record(3, schema + struct.pack('<I', 0)) + record(4, topic)
    content, size = _content(rng), rng.choice(list(PACKERS) if rng.random() < 0.5 else ['zstd'])
    packed = PACKERS[size](content)[: 4 << 20]
    chunk = struct.pack('<QQQI', START, START, len(content), 0) + text(size)
    chunk = record(6, chunk + struct.pack('<Q', len(packed)) + packed)
    copies = rng.choice([1, 8])
    body = head + chunk * copies
    if rng.random() < 0.7:
        body += _index(len(head), len(chunk), copies, rng.choice([1, 5, 2000]))
    (out / 'x.mcap').write_bytes(body + MAGIC)
    return out / 'x.mcap'


def _content(rng: random.Random) -> bytes:
    """One large message, small ones by the million, or records of no length."""

    def message(length: int) -> bytes:
        return record(5, struct.pack('<HIQQ', 1, 0, START, START) + bytes(length))

    large = rng.choice([LARGE, LARGE // 16, LARGE // 16])
    return rng.choice([
        lambda: message(large),
        lambda: message(0) * (large // 31),
        lambda: bytes(large),
        lambda: record(5, b'') * (large // 9),
    ])()  # fmt: skip


def _index(offset: int, length: int, copies: int, times: int) -> bytes:
    """A summary that lists each chunk some times, and its end."""
    entries = b''
    for number in range(copies):
        about = struct.pack('<QQQQ', START, START, offset + number * length, length)
        entries += record(8, about + struct.pack('<IQ', 0, 0) + text('zstd') + bytes(16)) * times
    topic = struct.pack('<HH', 1, 1) + text(IMAGE) + text('cdr') + struct.pack('<I', 0)
    schema = struct.pack('<H', 1) + text('sensor_msgs/msg/CompressedImage') + text('ros2msg')
    summary = record(3, schema + struct.pack('<I', 0)) + record(4, topic) + entries
    start = offset + copies * length
    footer = struct.pack('<BQQQ', 2, 20, start, 0)
    return summary + footer + struct.pack('<I', crc32(summary + footer))


def ros1(out: Path, rng: random.Random) -> Path:
    """The same as a ROS 1 bag."""

    def header(**fields: bytes) -> bytes:
        parts = (name.encode() + b'=' + value for name, value in fields.items())
        made = b''.join(struct.pack('<I', len(part)) + part for part in parts)
        return struct.pack('<I', len(made)) + made

    def sized(data: bytes) -> bytes:
        return struct.pack('<I', len(data)) + data

    content = rng.choice([bytes(LARGE), bytes(LARGE // 16), bytes(12) * 10**6])
    kind = rng.choice(['bz2', 'lz4', 'none'])
    packed = {'bz2': lambda: bz2.compress(content, 1), 'lz4': lambda: PACKERS['lz4'](content),
              'none': lambda: content[: 4 << 20]}[kind]()  # fmt: skip
    told = len(content) if kind != 'none' else len(packed)
    chunk = header(op=b'\5', compression=kind.encode(), size=struct.pack('<I', told))
    first = header(op=b'\3', index_pos=bytes(8), conn_count=bytes(4), chunk_count=bytes(4))
    about = header(type=b'sensor_msgs/CompressedImage', md5sum=b'x', message_definition=b'')[4:]
    topic = header(op=b'\7', conn=bytes(4), topic=IMAGE.encode()) + sized(about)
    (out / 'x.bag').write_bytes(
        b'#ROSBAG V2.0\n' + first + sized(b' ' * 100) + topic
        + (chunk + sized(packed)) * rng.choice([1, 8])
    )  # fmt: skip
    return out / 'x.bag'


SQL = [
    # endless, where somebody lists it
    'DROP TABLE topics; CREATE VIEW topics AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT '
    "x + 1 FROM c) SELECT x AS id, '/a' AS name, 'b' AS type, 'cdr' AS serialization_format, '' "
    'AS offered_qos_profiles FROM c',
    'ALTER TABLE messages RENAME TO m; CREATE VIEW messages AS WITH RECURSIVE c(x) AS (SELECT 1 '
    'UNION ALL SELECT x + 1 FROM c) SELECT x AS id, 1 AS topic_id, x AS timestamp, '
    "x'00' AS data FROM c",
    # made only when they are looked at
    'DROP TABLE messages; CREATE TABLE messages (id INTEGER PRIMARY KEY, topic_id INTEGER, '
    'timestamp INTEGER, data BLOB AS (zeroblob(900000000))); INSERT INTO messages (id, '
    'topic_id, timestamp) VALUES (1, 1, 1), (2, 1, 2), (3, 1, 3)',
    'DROP TABLE messages; CREATE TABLE messages (id INTEGER PRIMARY KEY, topic_id INTEGER, '
    "timestamp INTEGER AS (length(hex(zeroblob(400000000)))), data BLOB); INSERT INTO messages "
    "(id, topic_id, data) VALUES (1, 1, x'00'), (2, 2, x'00')",
    # of another type, or too many, or strange
    "UPDATE messages SET data = 'text'", 'UPDATE messages SET timestamp = 1e300',
    "UPDATE messages SET timestamp = 'x' WHERE id = 2", 'UPDATE messages SET topic_id = 9',
    'UPDATE messages SET data = zeroblob(150000000) WHERE id = 3',
    "UPDATE topics SET name = char(27) || '[2J' || char(10), type = x'fffe'",
    'UPDATE topics SET id = NULL', 'DROP TABLE messages', 'DELETE FROM topics',
    'INSERT INTO topics SELECT value + 100, name || value, type, serialization_format, '
    "offered_qos_profiles, '' FROM topics, generate_series(1, 50000)",
    "UPDATE topics SET name = printf('%.*c', 5000000, 'x')",
]  # fmt: skip


def sqlite(out: Path, rng: random.Random) -> Path:
    """Views, computed columns and values of other types in place of tables of messages."""
    bag = write(out / 'bag', drive(4), 'sqlite3')
    file = next(bag.glob('*.db3'))
    database = sqlite3.connect(file)
    try:
        database.executescript(rng.choice(SQL))
    except sqlite3.Error:  # of a SQLite that does not know it
        database.executescript(SQL[0])
    database.commit()
    database.close()
    if rng.random() < 0.2:
        Path(f'{file}-wal').write_bytes(rng.randbytes(5000))
    return bag


def whole(out: Path, rng: random.Random) -> Path:
    """A file that is compressed as a whole, of nothing but zeros behind its beginning."""
    packer, block = zstd.ZstdCompressor(), bytes(1 << 20)
    parts = [packer.compress(MAGIC)]
    parts += [packer.compress(block) for _ in range(rng.choice([10, 900, 3000]))]
    (out / 'x.mcap.zstd').write_bytes(b''.join([*parts, packer.flush()]) * rng.choice([1, 3]))
    return out / 'x.mcap.zstd'


BOMBS: list[Callable[[Path, random.Random], Path]] = [mcap, ros1, sqlite, sqlite, whole]
