# SPDX-License-Identifier: MIT
"""Recordings as people hold them: every storage and compression, split, torn, of ROS 1."""

from __future__ import annotations

from pathlib import Path
import shutil
import sqlite3

from backports import zstd
from bag_helpers import (
    drive,
    header,
    IMAGE,
    image,
    make,
    pose_stamped,
    ROS1,
    ROS2,
    START,
    STEP,
    write,
    write_mcap,
    write_ros1,
)
import numpy as np
import pytest

from selavpr_model.errors import SourceError
from selavpr_ros.bags.bag import open_bag
from selavpr_ros.bags.files import is_bag
from selavpr_ros.bags.reader import BagFrames


def xs(bag: BagFrames) -> list[float | None]:
    """Where the camera was at each image."""
    return [None if f.pose is None else float(f.pose[0, 3]) for f in bag]


WHOLE = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(('storage', 'compression'), [
    ('mcap', 'none'), ('mcap', 'message'), ('mcap', 'file'), ('mcap', 'storage'),
    ('sqlite3', 'none'), ('sqlite3', 'message'), ('sqlite3', 'file'),
])  # fmt: skip
def test_every_compression_of_rosbag2_reads(tmp_path, storage, compression):
    path = write(tmp_path / 'bag', drive(), storage, compression)
    assert is_bag(path) and xs(BagFrames(path)) == WHOLE


@pytest.mark.parametrize('compression', ['', 'zstd', 'lz4'])
def test_an_mcap_file_of_any_chunks_without_an_index_reads_and_says_so(
    tmp_path, compression, caplog
):
    path = write_mcap(tmp_path / 'x.mcap', drive(), compression)
    assert xs(BagFrames(path)) == WHOLE
    assert 'without its index' in caplog.text and 'mcap recover' in caplog.text


@pytest.mark.parametrize('compression', ['none', 'bz2', 'lz4'])
def test_ros1_bags_read_as_cdr(tmp_path, compression):
    path = write_ros1(tmp_path / 'x.bag', drive(store=ROS1), compression)
    bag = BagFrames(path)
    assert xs(bag) == WHOLE and bag.image_type == 'sensor_msgs/msg/CompressedImage'
    assert bag.camera_frame == 'cam' and next(iter(bag)).stamp_ns == START
    with open_bag(path) as opened:  # what `--live` publishes
        _, _, data = next(opened.messages(['/pose']))
        assert opened.decode('/pose', data).pose.position.x == 0.0


def test_a_ros1_bag_converted_to_mcap_reads(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', drive(store=ROS1), 'lz4', store=ROS1)
    assert xs(BagFrames(path)) == WHOLE


def test_images_none_of_which_can_be_decoded_are_an_error(tmp_path):
    entries = drive(3)
    for _, _, message in entries[::2]:
        message.data[:8] = 0
    with pytest.raises(SourceError, match=r'not one of the 3 images on /cam/.* can be decoded'):
        list(BagFrames(write(tmp_path / 'bag', entries)))


def test_a_ros1_bag_whose_recorder_was_killed_reads_without_an_index(tmp_path, caplog):
    path = write_ros1(tmp_path / 'x.bag', drive(store=ROS1))
    data = path.read_bytes()
    at = data.index(b'index_pos=') + len(b'index_pos=')
    whole = path.with_name('torn.bag.active')
    whole.write_bytes(data[:at] + bytes(8) + data[at + 8 :])
    assert xs(BagFrames(whole)) == WHOLE and 'rosbag reindex' in caplog.text


def test_splits_are_one_bag_with_or_without_metadata(tmp_path, caplog):
    one = write(tmp_path / 'one', drive()[:6])
    two = write(tmp_path / 'two', drive()[6:])
    folder = tmp_path / 'both'
    folder.mkdir()
    shutil.copy(one / 'one.mcap', folder / 'x_2.mcap')
    shutil.copy(two / 'two.mcap', folder / 'x_10.mcap')
    assert xs(BagFrames(folder)) == WHOLE
    assert 'no metadata.yaml; `ros2 bag reindex' in caplog.text


@pytest.mark.parametrize('change', [
    ('storage_identifier: mcap', "storage_identifier: ''"),
    ('version: 9', 'version: 77'),
    ('relative_file_paths', 'other_paths'),
    ('rosbag2_bagfile_information:', ''),
    ('rosbag2_bagfile_information:', '{[' * 4000),
    ('compression_mode', 'compression_nothing'),
])  # fmt: skip
def test_a_strange_metadata_file_never_matters(tmp_path, change):
    path = write(tmp_path / 'bag', drive())
    file = path / 'metadata.yaml'
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change))
    assert xs(BagFrames(path)) == WHOLE


def test_a_missing_split_is_said_and_the_others_are_read(tmp_path, caplog):
    path = write(tmp_path / 'bag', drive())
    file = path / 'metadata.yaml'
    file.write_text(file.read_text().replace('- bag.mcap', '- bag.mcap\n  - bag_1.mcap', 1))
    assert xs(BagFrames(path)) == WHOLE
    assert '1 of 2 files are missing' in caplog.text


def test_topics_of_other_types_and_encodings_never_matter(tmp_path):
    path = write_mcap(tmp_path / 'x.mcap', drive(), 'zstd', others=True)
    assert xs(BagFrames(path)) == WHOLE
    with pytest.raises(SourceError, match=r'foxglove\.Log as json'):
        BagFrames(write_mcap(tmp_path / 'y.mcap', drive()[1:2], others=True))


@pytest.mark.parametrize('share', [0.3, 0.6, 0.9])
@pytest.mark.parametrize('compression', ['', 'zstd', 'lz4'])
def test_a_truncated_mcap_gives_what_it_has(tmp_path, share, compression, caplog):
    path = write_mcap(tmp_path / 'x.mcap', drive(20), compression)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    found = xs(BagFrames(path))
    assert found[:-1] == [float(i) for i in range(len(found) - 1)]  # the last pose may be cut
    assert share - 0.2 < len(found) / 20 <= share
    assert 'mcap recover' in caplog.text and 'without its index' in caplog.text


@pytest.mark.parametrize('compression', ['', 'zstd', 'lz4'])
def test_a_damaged_chunk_costs_its_own_messages_alone(tmp_path, compression, caplog):
    path = write_mcap(tmp_path / 'x.mcap', drive(9), compression)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 40):
        data[at] ^= 0x5A
    path.write_bytes(data)
    found = xs(BagFrames(path))
    assert 6 <= len(found) < 9 and found == sorted(set(found))
    assert 'skipped' in caplog.text


def test_a_damaged_chunk_of_an_indexed_file_is_counted_by_messages(tmp_path):
    path = write(tmp_path / 'bag', drive(60), 'mcap', 'storage')
    file = path / 'bag.mcap'
    data = bytearray(file.read_bytes())
    at = data.index(b'\x28\xb5\x2f\xfd')
    data[at : at + 40] = bytes(40)
    file.write_bytes(data)
    with pytest.raises(SourceError, match=r'no image of .* can be read; 120 damaged messages'):
        BagFrames(path)


def test_damaged_messages_compressed_one_by_one_are_skipped_and_counted(tmp_path, caplog):
    path = write(tmp_path / 'bag', drive(), 'sqlite3', 'message')
    database = sqlite3.connect(path / 'bag.db3')
    asked = 'SELECT id, data FROM messages ORDER BY id'
    rows = database.execute(asked).fetchall()
    for number, data in (rows[0], rows[4]):
        database.execute('UPDATE messages SET data=? WHERE id=?', (data[:-9], number))
    database.commit()
    database.close()
    bag = BagFrames(path)
    assert xs(bag) == [1.0, 3.0, 4.0, 5.0]
    assert '2 damaged messages' in caplog.text and 'zstd' in caplog.text
    assert bag.dropped == {'damaged': 2}
    assert bag.report.images == 4 and bag.report.left_out == {'damaged': 2}
    assert '4 images, 2 left out (2 damaged), 4 with a pose' in bag.report.words()


def test_a_damaged_page_of_sqlite_costs_its_own_messages_alone(tmp_path, caplog):
    path = write(tmp_path / 'bag', drive(60), 'sqlite3')
    file = path / 'bag.db3'
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b'\xff' * 4096
    file.write_bytes(data)
    found = xs(BagFrames(path))
    assert 30 <= len(found) < 60
    assert '.recover' in caplog.text


def test_a_write_ahead_log_of_a_killed_recorder_is_read(tmp_path):
    path = write(tmp_path / 'bag', drive(), 'sqlite3')
    copied = tmp_path / 'killed'
    database = sqlite3.connect(path / 'bag.db3')
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('DELETE FROM messages WHERE id > 6')
    database.commit()
    shutil.copytree(path, copied)  # as it lies there while the recorder is alive
    database.close()
    assert xs(BagFrames(copied)) == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(('name', 'data', 'said'), [
    ('x.mcap', b'', 'empty'),
    ('x.mcap', b'<!DOCTYPE html><html>', 'web page'),
    ('x.db3', b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
    ('x.bag', b'#ROSBAG V1.1\n', 'another version'),
    ('x.mcap', b'\x89MCAP0\r\n' + b'\xff' * 60, 'no image|no topic'),
    ('x.db3', b'SQLite format 3\x00' + b'\xff' * 90, 'sqlite3: '),
    ('x.bag', b'#ROSBAG V2.0\n' + b'\xff' * 90, 'rosbag reindex'),
    ('x.mcap.zstd', b'\x28\xb5\x2f\xfd' + b'\xff' * 50, 'zstd: '),
])  # fmt: skip
def test_what_is_no_recording_is_named(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=said) as error:
        BagFrames(tmp_path / name)
    assert '\n' not in str(error.value)


def test_a_file_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('selavpr_ros.bags.storage.compression.MAX_BYTES', 1 << 20)
    (tmp_path / 'x.mcap.zstd').write_bytes(zstd.compress(bytes(64 << 20)))
    with pytest.raises(SourceError, match='unpacks to more than'):
        BagFrames(tmp_path / 'x.mcap.zstd')


def test_messages_come_in_order_of_time_over_chunks_that_overlap(tmp_path):
    entries = drive(12)
    mixed = [entries[i] for i in np.random.default_rng(0).permutation(len(entries))]
    bag = BagFrames(write_mcap(tmp_path / 'x.mcap', mixed))
    assert [f.stamp_ns for f in bag] == [START + i * STEP for i in range(12)]


def test_one_topic_in_two_types_is_named_not_guessed(tmp_path):
    one = write(tmp_path / 'one', drive())
    write(tmp_path / 'two', [(IMAGE, START, pose_stamped(START, 0.0))])
    folder = tmp_path / 'both'
    folder.mkdir()
    for name in ('one', 'two'):
        shutil.copy(Path(one.parent / name) / f'{name}.mcap', folder)
    with pytest.raises(SourceError, match='mixed types'):
        BagFrames(folder)


@pytest.mark.parametrize(
    ('topics', 'taken'),
    [
        (('/cam/image', '/cam/image/compressed', '/cam/image/zstd'), '/cam/image'),
        (('/cam/image/zstd', '/cam/image/compressed'), '/cam/image/compressed'),
        (('/cam/image/zstd', '/depth/image/compressedDepth'), '/cam/image/zstd'),
        (('/front/image/compressed', '/rear/image'), None),
    ],
)
def test_of_an_image_in_several_forms_the_easiest_is_read(tmp_path, topics, taken):
    entries = [
        (topic, START + i * STEP, image(START + i * STEP, i)) for i in range(3) for topic in topics
    ]
    path = write(tmp_path / 'bag', entries)
    if taken is None:
        with pytest.raises(SourceError, match=r'expected 1 image topic, got 2.*--image-topic'):
            BagFrames(path)
    else:
        assert BagFrames(path).image_topic == taken


def test_a_bag_of_thermal_images_is_stretched(tmp_path: Path) -> None:
    """16UC1 without holes, of values that lie close together."""
    grey = np.arange(24 * 32).reshape(24, 32)
    frames = [
        make(ROS2, 'sensor_msgs/Image', header(ROS2, START + i, 'cam'), 24, 32, '16UC1', 0, 64,
             (7000 + i + grey).astype('<u2').view(np.uint8).ravel())
        for i in range(3)
    ]  # fmt: skip
    entries = [('/boson/image_raw', START + i, frame) for i, frame in enumerate(frames)]
    write(tmp_path / 'bag', entries)
    for frame in BagFrames(tmp_path / 'bag'):
        assert (frame.image.min(), frame.image.max()) == (0, 255)
