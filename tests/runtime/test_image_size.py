# SPDX-License-Identifier: MIT
"""Image headers are believed to be lies: small files that claim to be huge are never decoded."""

from __future__ import annotations

import struct
import zlib

import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.errors import InputError
from selavpr_model.runtime import image_size
from selavpr_model.runtime.image_size import is_decodable, require_size

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
ENCODED = {
    suffix: bytes(cv2.imencode(suffix, IMAGE)[1])
    for suffix in ('.jpg', '.png', '.webp', '.tiff', '.bmp', '.ppm', '.gif')
}


def bomb_png(width: int, height: int) -> bytes:
    """One bit a pixel, all black: a thousandth of its size as a file."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        )

    head = struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', b'') + chunk(b'IEND', b'')


def bomb_jpeg(width: int, height: int) -> bytes:
    raw = ENCODED['.jpg']
    at = raw.index(b'\xff\xc0') + 5
    return raw[:at] + struct.pack('>HH', height, width) + raw[at + 4 :]


def bomb_webp(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
    return b'RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0' + sides


def bomb_tiff(width: int, height: int) -> bytes:
    tags = struct.pack('<HHHIIHHII', 2, 256, 4, 1, width, 257, 4, 1, height)
    return b'II\x2a\0\x08\0\0\0' + tags + b'\0\0\0\0'


def bomb_bmp(width: int, height: int) -> bytes:
    return b'BM' + bytes(12) + struct.pack('<Iii', 40, width, -height) + bytes(40)


BOMBS = [bomb_png, bomb_jpeg, bomb_webp, bomb_tiff, bomb_bmp]


@pytest.mark.parametrize('suffix', ENCODED)
def test_the_size_in_a_header_is_that_of_the_image(suffix: str) -> None:
    assert (50, 30, 1) in image_size._sizes(ENCODED[suffix])
    assert is_decodable(ENCODED[suffix], 1500)
    with pytest.raises(InputError, match=r'at most 1499 pixels.*50x30.*max_image_px'):
        is_decodable(ENCODED[suffix], 1499)


@pytest.mark.parametrize('bomb', BOMBS)
def test_a_bomb_is_refused(bomb) -> None:
    with pytest.raises(InputError, match='32767x32767'):
        is_decodable(bomb(32767, 32767))


@pytest.mark.parametrize('tag', [322, 323])
def test_the_tiles_of_a_tiff_count(tag: int) -> None:
    entries = [(256, 8), (257, 8), (tag, 1 << 24)]
    tags = b''.join(struct.pack('<HHII', t, 4, 1, value) for t, value in entries)
    with pytest.raises(InputError, match='16777216'):
        is_decodable(b'II\x2a\0\x08\0\0\0' + struct.pack('<H', 3) + tags)


def test_an_image_of_one_long_row_is_refused() -> None:
    require_size(65_535, 1)
    with pytest.raises(InputError, match='65535 a side'):
        require_size(65_536, 1)


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.pgm', '.ppm'])
@pytest.mark.parametrize('channels', [1, 3])
def test_a_pixel_of_16_bits_counts_as_two(suffix: str, channels: int) -> None:
    if (suffix, channels) in (('.pgm', 3), ('.ppm', 1)):
        pytest.skip('of other channels')
    deep = IMAGE.astype(np.uint16)[..., 0] if channels == 1 else IMAGE.astype(np.uint16)
    raw = bytes(cv2.imencode(suffix, deep * 257)[1])
    assert is_decodable(raw, 3000)
    with pytest.raises(InputError, match='50x30, each counted as 2'):
        is_decodable(raw, 2999)


def test_each_ten_passes_over_a_jpeg_count(suffix: str = '.jpg') -> None:
    """A few bytes a scan, each of which is a pass over all pixels."""
    raw = bytes(cv2.imencode(suffix, IMAGE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
    scans = [at for at in range(len(raw)) if raw[at : at + 2] == b'\xff\xda']
    last = raw[scans[-1] : -2]
    for more, weight in ((0, 2), (100, 11), (5000, 501)):
        many = raw[: scans[-1]] + last * (more + 1) + raw[-2:]
        assert (50, 30, weight) in image_size._sizes(many)
    picture_behind = raw + raw  # as of telephones
    assert image_size._sizes(picture_behind) == [(50, 30, 2)]


@pytest.mark.parametrize('raw', [b'', b'GIF8', b'\xff\xd8\xff', b'P6\n', b'BM', b'#?RADIANCE\n'])
def test_what_is_no_image_is_refused(raw: bytes) -> None:
    assert not is_decodable(raw)


@given(
    st.sampled_from(sorted(ENCODED)),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=6),
    st.integers(0, 200),
)
def test_what_passes_decodes_to_no_more_than_the_limit(
    suffix: str, changes: list[tuple[int, int]], cut: int
) -> None:
    raw = bytearray(ENCODED[suffix])
    for at, value in changes:
        raw[at] = value
    raw = raw[: len(raw) - cut]
    try:
        if not is_decodable(bytes(raw), 4000):
            return
    except InputError:
        return
    image = cv2.imdecode(np.frombuffer(bytes(raw), np.uint8), cv2.IMREAD_COLOR)
    assert image is None or image.shape[0] * image.shape[1] <= 4000
