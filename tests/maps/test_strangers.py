# SPDX-License-Identifier: MIT
"""Maps of a stranger, with right checksums: refused in a line, quickly, with little memory."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import resource
import struct

import cv2
from map_helpers import data_of, error_of, IDENTITY, sha256, sign, some_map
import numpy as np
import pytest

from selavpr_model.errors import InputError, MapDataError, MapExistsError, MapMetadataError
from selavpr_model.maps import thumbnails
from selavpr_model.maps.storage import limited_json
from selavpr_model.maps.storage.store import open_map, save_map


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_map(some_map(8), tmp_path / 'map')
    return tmp_path / 'map'


def redo(path: Path, name: str, raw: bytes) -> None:
    """Put these bytes in place of a file, with a right size and checksum."""
    file = data_of(path) / name
    file.write_bytes(raw)
    entry = {'bytes': len(raw), 'sha256': sha256(file)}
    sign(path, lambda manifest: manifest['files'][name].update(entry))


@pytest.mark.parametrize('name', ['global.npy', 'places.jsonl', 'thumbnails.npy'])
@pytest.mark.parametrize('target', ['/dev/zero', '/etc/passwd', '../../other', '/nowhere'])
def test_a_file_that_is_a_link_is_refused(path: Path, name: str, target: str) -> None:
    (data_of(path) / name).unlink()
    (data_of(path) / name).symlink_to(target)
    error = error_of(path)
    assert type(error) is MapDataError and 'expected a file, got a link' in str(error)


@pytest.mark.parametrize('name', ['global.npy', 'places.jsonl'])
def test_a_fifo_in_place_of_a_file_does_not_hold_the_reader(path: Path, name: str) -> None:
    (data_of(path) / name).unlink()
    os.mkfifo(data_of(path) / name)
    assert 'got a FIFO' in str(error_of(path))


def test_a_data_folder_that_is_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    folder = data_of(path)
    folder.rename(tmp_path / 'elsewhere')
    folder.symlink_to(tmp_path / 'elsewhere')
    assert 'expected a folder, got a link' in str(error_of(path))


@pytest.mark.parametrize('data', ['..', '/etc', 'data-000001-0123abcd/..', '../map'])
def test_a_data_folder_elsewhere_is_refused(path: Path, data: str) -> None:
    sign(path, lambda manifest: manifest.update(data=data))
    assert type(error_of(path)) is MapMetadataError


@pytest.mark.parametrize(
    'change',
    [
        {'map_id': '../../../etc'},
        {'revision': 2**40},
        {'revision': -1},
        {'configs': {'storage': [], 'recognizer': 7}},
        {'source': {'maps': 7}},
        {'source': {'maps': [{'map_id': 1}]}},
        {'cameras': {'a': {'K': np.eye(3).tolist(), 'distortion': [1, 2, 3],
                           'size': [1, 1], 'model': 'plumb_bob'}}},
        {'cameras': {'a': {'K': [[1e308] * 3] * 3, 'distortion': [],
                           'size': [10**400, 1], 'model': 'x'}}},
        {'frame_id': 'a\0b'},
        {'frame_id': '\ud800'},
        {'created': 'x' * 100_000},
    ],
)  # fmt: skip
def test_a_manifest_of_nonsense_is_refused(path: Path, change: dict) -> None:
    sign(path, lambda manifest: manifest.update(change))
    error = error_of(path)
    assert type(error) is MapMetadataError and len(str(error)) < 1500


@pytest.mark.parametrize(
    ('field', 'value'),
    [('local_shape', [1, 1, 10**6]), ('local_shape', [10**9, 1, 1]), ('global_dim', 2**40)],
)
def test_a_model_that_nobody_has_is_refused_before_anything_is_made(
    path: Path, field: str, value: object
) -> None:
    sign(path, lambda manifest: manifest['model'].update({field: value}))
    assert type(error_of(path)) is MapMetadataError


@pytest.mark.parametrize(
    'raw',
    [b'[' * 10**6, b'{"a":' * 900 + b'1' + b'}' * 900, b'[' + b'[],' * 300_000 + b'[]]'],
)
def test_json_is_bounded_before_it_is_parsed(path: Path, raw: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        limited_json.loads(raw)
    (path / 'manifest.json').write_bytes(raw)
    assert type(error_of(path)) is MapMetadataError


def test_a_manifest_of_gigabytes_is_not_read(path: Path) -> None:
    with (path / 'manifest.json').open('ab') as file:
        file.truncate(8 << 30)  # a hole
    assert 'expected at most' in str(error_of(path))


def test_a_line_of_gigabytes_is_not_read(path: Path) -> None:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    redo(path, 'places.jsonl', b'x' * (200 << 20))
    assert 'lines of at most' in str(error_of(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 450_000  # the test's own


@pytest.mark.parametrize('text', ['a\0b', '\ud800', 'x' * 10_000])
def test_a_name_that_no_message_can_hold_is_refused(path: Path, text: str) -> None:
    lines = (data_of(path) / 'places.jsonl').read_bytes().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), 'session': text}).encode()
    redo(path, 'places.jsonl', b'\n'.join(lines) + b'\n')
    assert type(error_of(path)) is MapDataError


def test_offsets_that_overflow_are_refused(path: Path) -> None:
    file = data_of(path) / 'thumbnail_offsets.npy'
    raw = bytearray(file.read_bytes())
    raw[-16:-8] = struct.pack('<q', -(2**63))
    raw[-24:-16] = struct.pack('<q', 2**63 - 1)
    redo(path, 'thumbnail_offsets.npy', bytes(raw))
    assert 'offsets' in str(error_of(path))


def test_a_thumbnail_bomb_is_refused() -> None:
    raw = cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    at = raw.index(b'\xff\xc0') + 5
    bomb = raw[:at] + struct.pack('>HH', 65000, 65000) + raw[at + 4 :]
    with pytest.raises(InputError, match='65000x65000'):
        thumbnails.decode(np.frombuffer(bomb, np.uint8))


@pytest.mark.parametrize('text', ['{}', '{"name": "a web page", "version": 1}', '[]', ''])
def test_a_folder_with_a_foreign_manifest_is_never_replaced(tmp_path: Path, text: str) -> None:
    site = tmp_path / 'site'
    (site / 'data-000007-0123abcd').mkdir(parents=True)
    (site / 'data-000007-0123abcd' / 'photo.jpg').write_text('mine')
    (site / 'manifest.json').write_text(text)
    with pytest.raises(MapExistsError, match='not that of a map'):
        save_map(some_map(2), site, overwrite=True)
    assert (site / 'manifest.json').read_text() == text
    assert (site / 'data-000007-0123abcd' / 'photo.jpg').exists()


def test_a_damaged_map_can_be_replaced_and_other_files_stay(path: Path) -> None:
    manifest = path / 'manifest.json'
    manifest.write_bytes(manifest.read_bytes()[:-100])
    (path / 'notes.txt').write_text('mine')
    (path / 'data-000009-0123abcd').mkdir()
    (path / 'data-000009-0123abcd' / 'photo.jpg').write_text('mine')
    with pytest.raises(MapExistsError, match='data-000009-0123abcd'):
        save_map(some_map(2), path, overwrite=True)
    (path / 'data-000009-0123abcd').rename(path / 'photos')
    save_map(some_map(2), path, overwrite=True)
    assert len(open_map(path, IDENTITY)) == 2 and (path / 'notes.txt').exists()
    assert (path / 'photos' / 'photo.jpg').exists()


@pytest.mark.parametrize('name', ['manifest.json', 'manifest.json.new', '.lock'])
@pytest.mark.parametrize('make', [os.symlink, lambda target, link: os.mkfifo(link)])
def test_what_is_no_file_is_not_written_through(
    path: Path, tmp_path: Path, name: str, make: Callable
) -> None:
    victim = tmp_path / 'victim'
    victim.write_text('precious')
    (path / name).unlink(missing_ok=True)
    make(victim, path / name)
    with pytest.raises(MapExistsError):
        save_map(some_map(2), path, overwrite=True)
    assert victim.read_text() == 'precious'
