# SPDX-License-Identifier: MIT
"""Folders of images as frames, in their order, whatever is in them."""

from __future__ import annotations

from pathlib import Path
import struct
import zlib

import cv2
from folder_helpers import folder
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.data.decode import read_rgb
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.data.listing import list_images, natural_key
from selavpr_model.errors import InputError, SourceError


def test_a_folder_without_poses_comes_in_natural_order_one_second_apart(tmp_path):
    frames = ImageFolder(folder(tmp_path, 'i_10.png', 'i_9.jpeg', 'i_1.JPG'))
    assert [f.name for f in frames] == ['i_1.JPG', 'i_9.jpeg', 'i_10.png']
    assert [f.stamp_ns for f in frames] == [0, 10**9, 2 * 10**9]
    assert frames[0].pose is None and not frames.has_poses


def test_frames_come_in_the_order_of_their_stamps(tmp_path):
    text = 'stamp,file,x,y,yaw\n12.5,a.png,0,0,0\n11,b.png,0,0,0\n'
    frames = ImageFolder(folder(tmp_path, 'a.png', 'b.png', csv=text))
    assert [f.name for f in frames] == ['b.png', 'a.png']
    assert [f.stamp_ns for f in frames] == [11 * 10**9, 12_500_000_000]


def test_iteration_goes_on_after_a_broken_image(tmp_path):
    path = folder(tmp_path, 'a.png', 'b.png', 'c.png')
    (path / 'b.png').write_bytes((path / 'b.png').read_bytes()[:-40])
    frames = iter(ImageFolder(path))
    assert next(frames).name == 'a.png'
    with pytest.raises(InputError, match=r'b\.png: expected a whole jpg, png'):
        next(frames)
    assert next(frames).name == 'c.png' and next(frames, None) is None


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.95])
def test_a_truncated_image_is_refused(tmp_path, suffix, keep):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    path = tmp_path / f'broken{suffix}'
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(InputError, match='broken'):
        read_rgb(path)


def test_images_are_rgb_and_turned_as_exif_says(tmp_path):
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 255
    exif = bytes.fromhex('49492a0008000000' + '0100' + '120103000100000006000000' + '00000000')
    marker = b'\xff\xe1' + (len(exif) + 8).to_bytes(2, 'big') + b'Exif\0\0' + exif
    data = cv2.imencode('.jpg', red[..., ::-1])[1].tobytes()
    (tmp_path / 'turned.jpg').write_bytes(data[:2] + marker + data[2:])
    assert cv2.imread(str(tmp_path / 'turned.jpg')).shape == (6, 4, 3)  # the marker works
    found = read_rgb(tmp_path / 'turned.jpg')
    assert read_rgb(tmp_path / 'turned.jpg', as_stored=True).shape == (4, 6, 3)
    assert found.shape == (6, 4, 3) and found[0, 0, 0] > 240 and found[0, 0, 2] < 15


def test_grey_sixteen_bit_and_transparent_images_become_rgb(tmp_path):
    for name, channels, kind in (('g', (), np.uint8), ('d', (), np.uint16), ('a', (4,), np.uint8)):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.ones((5, 7, *channels), kind))
        assert read_rgb(tmp_path / f'{name}.png').shape == (5, 7, 3)


@pytest.mark.parametrize('make', [lambda p: p / 'none', lambda p: p])
def test_no_folder_and_no_images_are_source_errors(tmp_path, make):
    with pytest.raises(SourceError, match='expected'):
        ImageFolder(make(tmp_path))


@given(st.sets(st.text('ab019٣_', max_size=8), max_size=8), st.randoms())
def test_natural_order_does_not_depend_on_the_order_before(names, random):
    mixed = list(names)
    random.shuffle(mixed)
    assert sorted(names, key=natural_key) == sorted(mixed, key=natural_key)


def test_natural_order_counts_where_the_alphabet_does_not():
    assert sorted(['i10', 'i9', 'i09'], key=natural_key) == ['i09', 'i9', 'i10']


def test_hidden_files_and_folders_are_not_images(tmp_path):
    folder(tmp_path, 'a.png', '.b.png')
    (tmp_path / 'c.png').mkdir()
    assert [p.name for p in list_images(tmp_path)] == ['a.png']


def test_an_image_with_a_bad_header_is_an_input_error(tmp_path: Path) -> None:
    """69 bytes at which cv2 raised, and a map build ended."""
    good = cv2.imencode('.png', np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    for number, sides in enumerate(((0, 1), (0x7FFFFFFF, 0x7FFFFFFF), (40_000, 40_000))):
        head = b'IHDR' + struct.pack('>II', *sides) + good[24:29]
        file = tmp_path / f'{number}.png'
        file.write_bytes(good[:12] + head + struct.pack('>I', zlib.crc32(head)) + good[33:])
        with pytest.raises(InputError, match=rf'{number}\.png: image: expected at'):
            read_rgb(file)
