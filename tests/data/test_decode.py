# SPDX-License-Identifier: MIT
"""Images of every format and depth that people have."""

from __future__ import annotations

import cv2
from folder_helpers import folder, image
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from sequence_helpers import exif_jpeg

from selavpr_model.data.decode import decode_rgb, read_rgb, to_8_bit
from selavpr_model.data.formats.exif import read_exif
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import InputError, SourceError

from where import SHARED

CASES = SHARED.parent / 'cases' / 'files'


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif', 'tiff', 'bmp', 'ppm', 'pgm'])
def test_every_format_is_read(tmp_path, suffix):
    path = folder(tmp_path, f'a.{suffix}' if suffix != 'pgm' else 'a.png')
    if suffix == 'pgm':
        (path / 'a.png').unlink()
        cv2.imwrite(str(path / 'a.pgm'), image(0)[..., 0])
    found = ImageFolder(path)[0].image.astype(int)
    wanted = image(0).astype(int)
    if suffix == 'pgm':
        assert np.ptp(found, axis=2).max() == 0
    else:
        assert np.abs(found - wanted).mean() < 10


def test_formats_that_are_not_read_are_counted(tmp_path):
    path = folder(tmp_path, 'a.jpg', 'b.webp')
    for name in ('c.heic', 'd.HEIC', 'e.gif', 'notes.txt'):
        (path / name).write_bytes(b'x')
    report = ImageFolder(path).report
    (path / 'z.png').symlink_to('nowhere')
    (path / 'x.csv').mkdir()
    assert ImageFolder(path).report.left_out['links to nothing'] == 1
    assert report.images == 2
    assert report.left_out == {
        '.heic (convert to jpg or png)': 2,
        '.gif (convert to jpg or png)': 1,
    }
    assert '3 left out' in report.words()


def test_a_folder_of_nothing_but_other_formats_says_which(tmp_path):
    (tmp_path / 'a.heic').write_bytes(b'x')
    with pytest.raises(SourceError, match=r'got 1 \.heic \(convert to jpg or png\)'):
        ImageFolder(tmp_path)
    (tmp_path / 'a.heic').unlink()
    folder(tmp_path / 'drive1', 'a.png')
    with pytest.raises(SourceError, match='none, but below drive1; give one of these'):
        ImageFolder(tmp_path)


@pytest.mark.parametrize('suffix', ['png', 'tiff'])
@pytest.mark.parametrize('channels', [(), (3,)])
def test_sixteen_bits_are_stretched_between_percentiles(tmp_path, suffix, channels):
    thermal = np.full((40, 50, *channels), 29000, np.uint16)
    thermal[:, 25:] += 400
    thermal[0, :3] = 65535  # broken pixels
    cv2.imwrite(str(tmp_path / f'a.{suffix}'), thermal)
    frames = ImageFolder(tmp_path)
    found = frames[0].image
    assert found.shape == (40, 50, 3) and set(np.unique(found[1:])) == {0, 255}
    assert '16 bits' in frames.report.notes[0]


@pytest.mark.parametrize('channels', [(), (3,)])
def test_temperatures_in_a_tiff_are_stretched(tmp_path, channels):
    warm = np.full((40, 50, *channels), 21.5, np.float32)
    warm[:, 25:] = 36.25
    cv2.imwrite(str(tmp_path / 'a.tiff'), warm)
    frames = ImageFolder(tmp_path)
    found = frames[0].image
    assert found.shape == (40, 50, 3) and found[0, 0].tolist() == [0, 0, 0]
    assert found[0, 30].tolist() == [255, 255, 255] and '32 bits' in frames.report.notes[0]


def test_transparency_is_left_out_of_a_tiff(tmp_path):
    colours = np.dstack([np.full((20, 30), v, np.uint8) for v in (10, 20, 30, 0)])
    cv2.imwrite(str(tmp_path / 'a.tiff'), colours)
    assert ImageFolder(tmp_path)[0].image[3, 4].tolist() == [30, 20, 10]


def test_float_images_with_holes_are_stretched():
    values = np.linspace(-3.0, 900.0, 1000, dtype=np.float32).reshape(20, 50)
    values[3, 4], values[5, 6] = np.nan, np.inf
    found = to_8_bit(values)
    assert found.dtype == np.uint8 and found[0, 0] == 0 and found[-1, -1] == 255
    assert found[3, 4] == 0 and found[5, 6] == 255
    assert to_8_bit(np.full((4, 4), np.nan)).max() == 0
    assert to_8_bit(np.full((4, 4), 7, np.uint16)).max() == 0


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_every_orientation_is_obeyed(tmp_path, orientation, suffix):
    path = tmp_path / f'a{suffix}'
    exif_jpeg(path, None, orientation=orientation)
    stored = read_rgb(path, as_stored=True)
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored),
    }[orientation]
    assert read_exif(path).orientation == orientation
    assert np.array_equal(read_rgb(path), turned)


@pytest.mark.parametrize(
    ('data', 'what'),
    [
        (b'version https://git-lfs.github.com/spec/v1\noid', 'run git lfs pull'),
        (b'<!DOCTYPE html><html>', 'a web page'),
        (b'', 'got 0 bytes'),
        (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'a HEIC image'),
        (b'\0\0\0\x1cftypavif\0\0\0\0', 'an AVIF image'),
        (b'\0\0\0\x1cftypisom\0\0\0\0', 'a video'),
        (b'GIF89a\1\0\1\0', 'a GIF image'),
        (b'%PDF-1.7\n', 'a PDF'),
        (b'<svg xmlns=', 'an SVG'),
    ],
)
def test_what_is_no_image_is_named(data, what):
    with pytest.raises(InputError, match=what):
        decode_rgb(np.frombuffer(data, np.uint8), 'a.jpg')


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damaged_exif_is_no_exif(tmp_path_factory, at, junk):
    path = tmp_path_factory.mktemp('exif') / 'a.jpg'
    exif_jpeg(path, (52.5, 13.4, 30.0), 10.0, 6)
    data = bytearray(path.read_bytes())
    data[at : at + len(junk)] = junk
    path.write_bytes(data)
    tag = read_exif(path)
    assert 1 <= tag.orientation <= 8
    assert tag.latitude is None or -90 <= tag.latitude <= 90


@pytest.mark.skipif(not CASES.is_dir(), reason=f'{CASES} is not there')
def test_real_photographs_of_a_phone_are_upright():
    file = CASES / 'phone_exif6' / 'query' / '01.jpg'
    stored = read_rgb(file, as_stored=True)
    assert read_exif(file).orientation == 6
    assert np.array_equal(read_rgb(file), np.rot90(stored, -1))
