# SPDX-License-Identifier: MIT
"""Small recordings that are huge, or never end, once they are listed or unpacked."""

from __future__ import annotations

from pathlib import Path
import sqlite3
import struct
import tracemalloc
from zlib import crc32

from bag_helpers import drive, record, START, text, write, write_mcap
from hostile.bag_bombs import MAGIC, PACKERS
import pytest

from selavpr_model.errors import SourceError
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.storage import chunked
from selavpr_ros.bags.storage.mcap import McapFile

ENDLESS = 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) '
TOPICS = "SELECT x AS id, '/a' AS name, 'b' AS type, 'cdr' AS serialization_format FROM c"
MESSAGES = "SELECT x AS id, 1 AS topic_id, x AS timestamp, x'00' AS data FROM c"


@pytest.mark.parametrize('change', [
    f'DROP TABLE topics; CREATE VIEW topics AS {ENDLESS}{TOPICS}',
    f'DROP TABLE messages; CREATE VIEW messages AS {ENDLESS}{MESSAGES}',
    f'DROP TABLE messages; CREATE VIEW Messages AS {ENDLESS}{MESSAGES}',
    'DROP TABLE messages; CREATE TABLE messages (id INTEGER PRIMARY KEY, topic_id INTEGER, '
    'timestamp INTEGER, data BLOB AS (zeroblob(900000000))); INSERT INTO messages (id, '
    'topic_id, timestamp) VALUES (1, 1, 1), (2, 1, 2)',
])  # fmt: skip
def test_views_and_computed_columns_are_no_tables_of_messages(tmp_path: Path, change: str) -> None:
    bag = write(tmp_path / 'bag', drive(), 'sqlite3')
    with sqlite3.connect(next(bag.glob('*.db3'))) as database:
        database.executescript(change)
    with pytest.raises(SourceError, match=r'(?i)(topics|messages) is no plain table'):
        BagFrames(bag)


def test_a_write_ahead_log_does_not_have_views_listed(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', drive(), 'sqlite3')
    file = next(bag.glob('*.db3'))
    with sqlite3.connect(file) as database:
        database.executescript(f'DROP TABLE topics; CREATE VIEW topics AS {ENDLESS}{TOPICS}')
    Path(f'{file}-wal').write_bytes(b'x')
    with pytest.raises(SourceError, match='topics is no plain table'):
        BagFrames(bag)


def indexed(path: Path, content: bytes, copies: int, times: int) -> Path:
    """An mcap file of chunks at one time, each listed some times."""
    packed = PACKERS['zstd'](content)
    chunk = struct.pack('<QQQI', START, START, len(content), 0) + text('zstd')
    chunk = record(6, chunk + struct.pack('<Q', len(packed)) + packed)
    head = MAGIC + record(1, text('ros2') + text('x'))
    schema = struct.pack('<H', 1) + text('sensor_msgs/msg/CompressedImage') + text('ros2msg')
    topic = struct.pack('<HH', 1, 1) + text('/image/compressed') + text('cdr')
    about = record(3, schema + bytes(4)) + record(4, topic + bytes(4))
    for number in range(copies):
        at = struct.pack('<QQQQ', START, START, len(head) + number * len(chunk), len(chunk))
        about += record(8, at + bytes(12) + text('zstd') + bytes(16)) * times
    start = len(head) + copies * len(chunk)
    footer = struct.pack('<BQQQ', 2, 20, start, 0)
    end = struct.pack('<I', crc32(about + footer)) + MAGIC
    path.write_bytes(head + chunk * copies + about + footer + end)
    return path


def message(length: int) -> bytes:
    return record(5, struct.pack('<HIQQ', 1, 0, START, START) + bytes(length))


def listed(file: Path) -> tuple[int, dict[str, int], float]:
    """(messages, what was lost and why, most MB at a time)."""
    tracemalloc.start()
    try:
        opened = McapFile(file)
        count = sum(1 for _ in opened.messages([1]))
        return count, dict(opened.damage), tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        opened.close()
        tracemalloc.stop()


def test_a_chunk_that_is_listed_again_and_again_is_read_once(tmp_path: Path) -> None:
    file = indexed(tmp_path / 'x.mcap', message(1000), copies=1, times=500)
    count, damage, _ = listed(file)
    assert count == 1 and not damage
    assert 'more than once' in McapFile(file).notes[0]


def test_chunks_that_overlap_are_not_all_unpacked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked, 'MOST_OPEN', 20_000_000)
    file = indexed(tmp_path / 'x.mcap', message(9_000_000), copies=20, times=1)
    assert file.stat().st_size < 40_000
    _, damage, mb = listed(file)
    assert mb < 80 and any('overlap in time' in reason for reason in damage)


def test_a_file_that_unpacks_to_far_more_than_recordings_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked, 'MAX_BYTES', 1_000_000)
    file = indexed(tmp_path / 'x.mcap', message(900_000), copies=40, times=1)
    size = file.stat().st_size
    monkeypatch.setattr(chunked, 'MAX_RATIO', 5_000_000 // size)
    count, damage, _ = listed(file)
    assert 4 <= count <= 7 and any('the file unpacks to more than' in reason for reason in damage)


@pytest.mark.parametrize('part', [record(5, b''), message(0)])
def test_records_of_nothing_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    monkeypatch.setattr(chunked, 'MOST_RECORDS', 1000)
    _, damage, _ = listed(indexed(tmp_path / 'x.mcap', part * 30_000, copies=1, times=1))
    assert any('records' in reason or 'claimed' in reason for reason in damage)


def test_a_sound_recording_stays_within_all_of_it(tmp_path: Path) -> None:
    frames = BagFrames(write_mcap(tmp_path / 'x.mcap', drive(40), 'zstd'))
    assert len(list(frames)) == 40 and not frames.dropped
