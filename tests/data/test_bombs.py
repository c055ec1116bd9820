# SPDX-License-Identifier: MIT
"""Small files of folders and layouts that are huge, or never end, once they are looked into."""

from __future__ import annotations

import ast
from pathlib import Path
import sqlite3
import struct
import zlib

import cv2
from damage_helpers import MAKERS
from folder_helpers import folder
from hostile.images import deflated
from map_helpers import build
import numpy as np
import pytest

from selavpr_model.data.decode import to_8_bit
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.data.layouts.sequences.robotcar import demosaiced
from selavpr_model.data.video import VideoFrames
from selavpr_model.errors import InputError, SourceError
from selavpr_model.evaluation.slam_score import same_by_picture

from where import ROOT

DECODERS = {'imdecode', 'imread', 'imdecodemulti', 'imreadmulti'}
CHECKED = {
    'selavpr_model/data/decode.py', 'selavpr_model/maps/thumbnails.py',
    'selavpr_ros/convert/encodings.py', 'selavpr_model/training/augment.py',  # what it encoded
}  # fmt: skip


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """A gigabyte of one-bit pixels, three where they are decoded, in 130 kB."""
    return png(tmp_path / 'bomb.png', 32767, deflated(4097 * 32767))


def png(path: Path, side: int, data: bytes) -> Path:
    """A square of one-bit pixels."""
    head = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    chunks = [(b'IHDR', head), (b'IDAT', data), (b'IEND', b'')]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        for kind, body in chunks
    ))  # fmt: skip
    return path


def test_files_are_decoded_where_their_size_is_looked_at_first() -> None:
    found = set()
    for path in (
        p for top in ('selavpr_model', 'selavpr_ros') for p in (ROOT / top).rglob('*.py')
    ):
        tree = ast.parse(path.read_text())
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if names & DECODERS:
            found.add(path.relative_to(ROOT).as_posix())
    assert found == CHECKED


def test_a_bomb_as_the_first_image_of_a_folder_is_left_out(bomb: Path) -> None:
    """How many bits it has was looked up by decoding it."""
    folder(bomb.parent, 'good.png')
    frames = ImageFolder(bomb.parent)
    with pytest.raises(InputError, match='32767x32767'):
        frames[0]
    assert frames[1].image.shape == (24, 32, 3)


def test_a_bad_header_does_not_end_a_build(tmp_path: Path) -> None:
    """A few bytes: OpenCV raises for more than 2^30 pixels, and the build ended."""
    file = png(tmp_path / 'a.png', 1 << 17, b'')
    assert file.stat().st_size == 57
    folder(tmp_path, 'b.png')
    drive = ImageFolder(tmp_path)
    built = build(tmp_path / 'map', frames=drive, source={'path': str(tmp_path)})
    assert len(built) == 1 and built.source['skipped'] == 1


def test_a_bomb_of_robotcar_and_as_the_truth_of_a_drive_is_refused(bomb: Path) -> None:
    with pytest.raises(InputError, match='32767x32767'):
        demosaiced(bomb, stereo=True)
    with pytest.raises(InputError, match='32767x32767'):
        same_by_picture(bomb)


@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.float32, np.float64])
def test_deep_images_are_stretched_as_one_formula_says(dtype: type) -> None:
    """A table and bands give what the whole image at once would."""
    rng = np.random.default_rng(4)
    values = rng.integers(200, 30_000, (300, 400, 3)).astype(dtype)
    low, high = np.percentile(values, (1.0, 99.0))
    wanted = np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255)
    assert np.array_equal(to_8_bit(values), wanted.astype(np.uint8))


def test_numbers_that_are_none_do_not_blind_the_others() -> None:
    values = np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)
    values[0, :3] = np.nan, np.inf, -np.inf
    made = to_8_bit(values)
    assert made[0, 0] == 0 and made[0, 1] == 255 and 120 < made[15, 20] < 135
    assert not to_8_bit(np.full((4, 5), np.nan, np.float32)).any()
    assert not to_8_bit(np.full((4, 5), 700, np.uint16)).any()


VIEW = (
    'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) '
    'SELECT x AS id, 1.0 AS stamp, NULL AS pose FROM c'
)


@pytest.mark.parametrize('change', [
    f'DROP TABLE Node; CREATE VIEW Node AS {VIEW}',
    'DROP TABLE Node; CREATE TABLE Node (id INTEGER, pose BLOB, stamp FLOAT AS '
    '(length(hex(zeroblob(400000000)))))',
])  # fmt: skip
def test_a_database_that_never_ends_is_refused(tmp_path: Path, change: str) -> None:
    file, _, _ = MAKERS['rtabmap'](tmp_path / 'x')
    with sqlite3.connect(file) as database:
        database.executescript(change)
    with pytest.raises(SourceError, match='Node is no plain table'):
        ImageFolder(file)


def test_optimised_poses_that_unpack_to_gigabytes_are_refused(tmp_path: Path) -> None:
    file, _, _ = MAKERS['rtabmap'](tmp_path / 'x')
    packed = deflated(300 << 20) + bytes(12)
    with sqlite3.connect(file) as database:
        database.execute('UPDATE Admin SET opt_ids = ?, opt_poses = ?', (packed, packed))
    with pytest.raises(SourceError, match='cannot be unpacked'):
        ImageFolder(file)


def test_an_image_that_lies_on_its_side_is_turned_as_before() -> None:
    from selavpr_model.data.decode import turned

    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for orientation in range(1, 9):
        assert turned(image, orientation).shape == ((4, 2, 3) if orientation > 4 else (2, 4, 3))
    assert np.array_equal(turned(image, 2), image[:, ::-1])
    assert np.array_equal(turned(image, 3), image[::-1, ::-1])
    assert np.array_equal(turned(image, 4), image[::-1])
    assert np.array_equal(turned(image, 5), image.transpose(1, 0, 2))
    assert np.array_equal(turned(image, 7), image.transpose(1, 0, 2)[::-1, ::-1])
    assert np.array_equal(turned(image, 6), np.rot90(image, -1))
    assert np.array_equal(turned(image, 8), np.rot90(image, 1))


@pytest.mark.parametrize(
    'text', ['ffconcat version 1.0\nfile other.avi\n', '#EXTM3U\nother.avi\n']
)
def test_a_video_that_names_other_files_is_none(tmp_path: Path, text: str) -> None:
    size = (64, 48)
    writer = cv2.VideoWriter(
        str(tmp_path / 'other.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, size
    )
    for number in range(5):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    assert len(list(VideoFrames(tmp_path / 'other.avi'))) == 5
    (tmp_path / 'list.mp4').write_text(text)
    with pytest.raises(SourceError, match='cannot be opened as a video'):
        VideoFrames(tmp_path / 'list.mp4')
