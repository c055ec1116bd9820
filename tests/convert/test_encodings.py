# SPDX-License-Identifier: MIT
"""Images of every encoding become RGB, or an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path
import struct
from types import SimpleNamespace
from typing import Any
import zlib

from convert_helpers import encode, message, picture
import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage

from selavpr_model.data.decode import read_rgb
from selavpr_model.errors import InputError
from selavpr_ros.convert import encodings, from_ros


def expected(rgb: np.ndarray, encoding: str) -> np.ndarray:
    is_grey = encoding in ('mono8', 'mono16', '16UC1')
    return np.repeat(rgb[:, :, 1:2], 3, 2) if is_grey else rgb


@pytest.mark.parametrize('padding', [0, 10])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('encoding', sorted(encodings.LAYOUTS))
def test_every_encoding_gives_the_picture_back(encoding: str, big: bool, padding: int):
    rgb = picture()
    rows = encode(rgb, encoding, big)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    msg = message(encoding, *rgb.shape[:2], padded.tobytes(), padded.shape[1], int(big))
    got = from_ros.rgb_image(msg).astype(int)
    assert got.shape == rgb.shape
    inner = (slice(2, -2), slice(2, -2))  # demosaicing has no neighbours at the border
    exact = encoding in ('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8')
    tolerance = (
        0 if exact else 5 if encoding in ('mono16', '16UC1') else 20
    )  # 16 bits are stretched
    assert np.abs(got - expected(rgb, encoding))[inner].max() <= tolerance


@pytest.mark.parametrize(
    'encoding', [e for e, layout in encodings.LAYOUTS.items() if layout.bridged]
)
def test_cv_bridge_and_opencv_agree_where_both_are_used(encoding: str, monkeypatch: Any):
    rows = encode(picture(), encoding)
    msg = message(encoding, 24, 32, rows.tobytes(), rows.shape[1])
    bridged = from_ros.rgb_image(msg)
    monkeypatch.setattr(encodings, '_bridge_works', lambda: False)  # as on a machine without ROS
    np.testing.assert_array_equal(from_ros.rgb_image(msg), bridged)


@pytest.mark.parametrize('encoding', sorted(encodings.LAYOUTS))
def test_the_image_does_not_share_the_memory_of_the_message(encoding: str):
    rows = encode(picture(), encoding)
    msg = message(encoding, 24, 32, rows.tobytes(), rows.shape[1])
    image = from_ros.rgb_image(msg)
    before = image.copy()
    np.frombuffer(msg.data, np.uint8)[:] = 0
    np.testing.assert_array_equal(image, before)
    assert image.flags.writeable


@given(
    encoding=st.sampled_from(sorted(encodings.LAYOUTS)),
    height=st.integers(0, 40),
    width=st.integers(0, 40),
    step=st.integers(0, 400),
    data=st.binary(max_size=5000),
    big=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_sizes_give_an_image_or_an_error_that_names_them(
    encoding: str, height: int, width: int, step: int, data: bytes, big: bool
):
    msg = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=big, data=data
    )
    try:
        image = from_ros.rgb_image(msg)
    except InputError as error:
        assert encoding in str(error)
    else:
        assert image.shape == (height, width, 3) and image.dtype == np.uint8


@given(
    encoding=st.sampled_from(sorted(encodings.LAYOUTS)),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    padding=st.integers(0, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=300, deadline=None)
def test_well_formed_images_of_any_size_are_decoded_and_padding_never_matters(
    encoding: str, height: int, width: int, padding: int, seed: int
):
    layout = encodings.LAYOUTS[encoding]
    height += height % 2 if 'h' in layout.even else 0
    width += width % 2 if 'w' in layout.even else 0
    row = width * layout.channels * int(layout.dtype[1])
    rows = height * 3 // 2 if layout.semi_planar else height
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, (rows, row + padding), np.uint8)
    padded = message(encoding, height, width, data.tobytes(), row + padding)
    packed = message(encoding, height, width, data[:, :row].tobytes(), row)
    try:
        image = from_ros.rgb_image(packed)
    except InputError as error:  # OpenCV needs a few pixels to demosaic
        demosaiced = encoding.startswith('bayer') and min(height, width) < 3
        assert demosaiced or (encoding == '16UC1' and 'depth' in str(error)), error
    else:
        np.testing.assert_array_equal(from_ros.rgb_image(padded), image)


def test_the_last_row_may_come_without_its_padding():
    rows = np.pad(encode(picture(), 'rgb8'), ((0, 0), (0, 5)))
    data = rows.tobytes()[:-5]
    np.testing.assert_array_equal(
        from_ros.rgb_image(message('rgb8', 24, 32, data, 101)), picture()
    )


def test_short_data_names_encoding_expected_and_got():
    with pytest.raises(InputError, match=r'rgb8 4x3 .* 36 bytes, got 35'):
        from_ros.rgb_image(message('rgb8', 3, 4, bytes(35), 12))


@pytest.mark.parametrize(
    ('encoding', 'cure'),
    [
        ('16UC1', 'depth'),
        ('32FC1', 'depth'),
        ('8UC3', 'channel order'),
        ('jpeg', 'rgb8'),
        ('', 'rgb8'),
    ],
)
def test_what_is_no_picture_is_refused_with_the_cure(encoding: str, cure: str):
    with pytest.raises(InputError, match=cure):
        from_ros.rgb_image(message(encoding, 2, 2, bytes(100), 8))


@pytest.mark.parametrize('form', ['png', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8'])
def test_compressed_images_are_decoded(form: str):
    png = cv2.imencode('.png', picture()[:, :, ::-1])[1].tobytes()
    got = from_ros.rgb_image(CompressedImage(format=form, data=png))
    np.testing.assert_array_equal(got, picture())


def test_compressed_data_that_was_rgb_is_not_swapped():
    png = cv2.imencode('.png', picture())[1].tobytes()
    msg = CompressedImage(format='rgb8; png compressed rgb8', data=png)
    np.testing.assert_array_equal(from_ros.rgb_image(msg), picture())


def test_jpeg_and_sixteen_bit_and_grey_files_are_decoded():
    jpeg = cv2.imencode('.jpg', picture()[:, :, ::-1])[1].tobytes()
    got = from_ros.rgb_image(CompressedImage(format='jpeg', data=jpeg)).astype(int)
    assert np.abs(got - picture()).mean() < 6
    grey16 = cv2.imencode('.png', picture()[:, :, 1].astype(np.uint16) << 8)[1].tobytes()
    got = from_ros.rgb_image(CompressedImage(format='mono16; png compressed mono16', data=grey16))
    assert np.abs(got.astype(int) - expected(picture(), 'mono8')).max() <= 5


THERMAL = (29_000 + 2.0 * picture()[:, :, 1]).astype(np.uint16)
"""Centikelvin: 290 to 295 K."""


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('kind', ['raw', 'big endian', 'compressed'])
def test_a_thermal_image_uses_the_whole_range(encoding: str, kind: str, caplog: Any):
    encodings._told.clear()
    if kind == 'compressed':
        png = cv2.imencode('.png', THERMAL)[1].tobytes()
        msg: Any = CompressedImage(format=f'{encoding}; png compressed {encoding}', data=png)
    else:
        stored = THERMAL.astype('>u2' if kind == 'big endian' else '<u2')
        msg = message(encoding, 24, 32, stored.tobytes(), 64, int(kind == 'big endian'))
    for _ in range(2):
        got = from_ros.rgb_image(msg).astype(int)
        assert np.abs(got - expected(picture(), 'mono8')).max() <= 6
    said = [r.message for r in caplog.records if '16UC1' in r.message]
    assert len(said) == (encoding == '16UC1')


def test_a_folder_and_a_bag_show_a_thermal_image_alike(tmp_path: Path):
    cv2.imwrite(str(tmp_path / 'x.png'), THERMAL)
    msg = message('16UC1', 24, 32, THERMAL.tobytes(), 64)
    np.testing.assert_array_equal(from_ros.rgb_image(msg), read_rgb(tmp_path / 'x.png'))


@pytest.mark.parametrize('encoding', ['16UC1', '16UC1; png compressed 16UC1'])
def test_depth_is_known_by_its_holes(encoding: str):
    depth = THERMAL.copy()
    depth[3, 4:9] = 0  # nothing measured
    if ';' in encoding:
        png = cv2.imencode('.png', depth)[1].tobytes()
        msg: Any = CompressedImage(format=encoding, data=png)
    else:
        msg = message(encoding, 24, 32, depth.tobytes(), 64)
    with pytest.raises(InputError, match='depth'):
        from_ros.rgb_image(msg)


@pytest.mark.parametrize('form', ['16UC1; png compressed 16UC1', '16UC1; compressedDepth png'])
def test_compressed_depth_is_refused(form: str):
    png = cv2.imencode('.png', np.ones((4, 4), np.uint16))[1].tobytes()
    with pytest.raises(InputError, match='depth'):
        from_ros.rgb_image(CompressedImage(format=form, data=png))


@given(data=st.binary(max_size=300), form=st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_compressed_garbage_is_an_input_error(data: bytes, form: str):
    with pytest.raises(InputError):
        from_ros.rgb_image(SimpleNamespace(data=data, format=form))


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), seed=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_a_damaged_jpeg_never_crashes(cut: int, flip: int, seed: int):
    jpeg = bytearray(cv2.imencode('.jpg', picture())[1].tobytes())
    jpeg[flip % len(jpeg)] ^= seed
    try:
        image = from_ros.rgb_image(SimpleNamespace(data=bytes(jpeg[:cut]), format='jpeg'))
    except InputError as error:
        assert 'jpeg' in str(error)
    else:
        assert image.ndim == 3 and image.dtype == np.uint8


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    """130 kB that became 12.8 GB."""
    rows = zlib.compress(bytes(4097) * 32767, 9)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        )

    head = chunk(b'IHDR', struct.pack('>IIBBBBB', 32767, 32767, 1, 0, 0, 0, 0))
    png = b'\x89PNG\r\n\x1a\n' + head + chunk(b'IDAT', rows) + chunk(b'IEND', b'')
    with pytest.raises(InputError, match=r'32767x32767.*max_image_px'):
        encodings.decode_compressed(png, 'png')


def test_a_raw_image_above_the_limit_is_refused() -> None:
    with pytest.raises(InputError, match='at most 99 pixels'):
        encodings.decode_raw(bytes(100), 10, 10, 10, 'mono8', False, 99)


def test_an_encoding_of_a_megabyte_is_cut_in_the_message() -> None:
    with pytest.raises(InputError) as caught:
        encodings.decode_raw(b'', 1, 1, 1, 'x\n' * 500_000, False)
    assert len(str(caught.value)) < 800 and '\n' not in str(caught.value)
