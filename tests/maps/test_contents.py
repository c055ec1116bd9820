# SPDX-License-Identifier: MIT
"""Maps on disk: each damage has its own error, which names the map and a cure."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import shutil

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import array_of, data_of, error_of, IDENTITY, OTHER, sha256, sign, some_map
import numpy as np
import pytest

from selavpr_model.errors import (
    MapDataError,
    MapEmptyError,
    MapError,
    MapMetadataError,
    MapModelError,
    MapNotFoundError,
    MapVersionError,
)
from selavpr_model.maps.storage import manifest as map_manifest
from selavpr_model.maps.storage import writer as map_writer
from selavpr_model.maps.storage.store import open_map, save_map


def rewrite(path: Path, name: str, array: np.ndarray) -> None:
    """Replace an array and make size, hash, shape and type in the manifest fit it."""
    (data_of(path) / name).unlink()
    writer = map_writer.DataWriter(data_of(path))
    writer.array(name, [array], len(array))
    sign(path, lambda manifest: manifest['files'].update(writer.entries))


FILES = (*map_manifest.FILES, *map_manifest.THUMBNAIL_FILES)


def test_a_folder_that_is_not_there_or_holds_no_map_is_not_found(tmp_path):
    (tmp_path / 'file').write_text('x')
    (tmp_path / 'empty').mkdir()
    for name in ('nowhere', 'file', 'empty'):
        assert type(error_of(tmp_path / name)) is MapNotFoundError


@pytest.mark.parametrize('name', FILES)
def test_a_truncated_file_is_named_with_both_sizes(copy, name):
    file = data_of(copy) / name
    size = file.stat().st_size
    os.truncate(file, size - 1)
    error = error_of(copy)
    assert type(error) is MapDataError and name in str(error)
    assert f'expected {size} bytes, got {size - 1}' in str(error)


@pytest.mark.parametrize('name', FILES)
def test_a_missing_file_is_named(copy, name):
    (data_of(copy) / name).unlink()
    error = error_of(copy)
    assert type(error) is MapDataError and name in str(error) and 'No such file' in str(error)


@pytest.mark.parametrize('name', FILES)
@settings(max_examples=25, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_data_file_is_found(sound, name, position, bit):
    error = damaged_error(sound, data_of(sound) / name, flip(position, bit))
    assert type(error) is MapDataError and 'expected SHA-256' in str(error)


@settings(max_examples=250, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_manifest_is_found(sound, position, bit):
    error = damaged_error(sound, sound / 'manifest.json', flip(position, bit))
    assert type(error) in (MapMetadataError, MapVersionError)


@settings(max_examples=100, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), which=st.sampled_from(('manifest', *FILES)))
def test_any_truncation_is_found(sound, position, which):
    file = sound / 'manifest.json' if which == 'manifest' else data_of(sound) / which
    error = damaged_error(sound, file, lambda raw: raw[: int(position * len(raw))])
    assert type(error) is (MapMetadataError if which == 'manifest' else MapDataError)


@settings(max_examples=50, deadline=None)
@given(junk=st.binary(max_size=300))
def test_junk_in_place_of_the_manifest_is_found(sound, junk):
    error = damaged_error(sound, sound / 'manifest.json', lambda raw: junk)
    assert type(error) is MapMetadataError


def flip(position: float, bit: int) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        at = int(position * len(raw))
        return raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :]

    return change


def damaged_error(path: Path, file: Path, change: Callable[[bytes], bytes]) -> MapError:
    """The error with `file` changed; the file is put back."""
    good = file.read_bytes()
    try:
        file.write_bytes(change(good))
        return error_of(path)
    finally:
        file.write_bytes(good)


def test_another_model_is_refused_before_any_data_is_read(copy):
    shutil.rmtree(data_of(copy))
    error = error_of(copy, OTHER)
    assert type(error) is MapModelError
    assert 'test (' in str(error) and 'another (' in str(error)


def test_without_an_identity_any_model_will_do(sound):
    assert open_map(sound).identity.fingerprint == IDENTITY.fingerprint


def test_an_empty_map_has_its_own_error(copy):
    sign(copy, lambda manifest: manifest['counts'].update(places=0))
    assert type(error_of(copy)) is MapEmptyError


@pytest.mark.parametrize('name', ['global.npy', 'poses.npy'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_not_finite_are_found_though_the_hash_is_right(copy, name, value):
    array = array_of(copy, name)
    array[(2,) + (1,) * (array.ndim - 1)] = value
    rewrite(copy, name, array)
    error = error_of(copy)
    assert type(error) is MapDataError and name in str(error) and 'finite' in str(error)


def test_local_features_that_are_not_finite_are_found(tmp_path):
    save_map(some_map(4, 'exact'), tmp_path / 'map')
    array = array_of(tmp_path / 'map', 'local.npy')
    array[3, 7, 11] = np.inf
    rewrite(tmp_path / 'map', 'local.npy', array)
    error = error_of(tmp_path / 'map')
    assert type(error) is MapDataError and 'row 3 is not finite' in str(error)


def test_global_features_that_are_not_of_unit_length_are_found(copy):
    rewrite(copy, 'global.npy', array_of(copy, 'global.npy') * np.float32(1.1))
    assert type(error_of(copy)) is MapDataError


@pytest.mark.parametrize('name', [n for n in FILES if n.endswith('.npy')])
def test_a_shape_or_type_that_disagrees_with_the_manifest_is_found(copy, name):
    array = array_of(copy, name)
    for other in (array[:-1], array[..., None], array.astype('>f4'), array.astype('<U3')):
        rewrite(copy, name, other)
        error = error_of(copy)
        assert type(error) is MapDataError and name.split('.')[0][:9] in str(error)


def test_a_file_that_is_not_what_its_entry_says_is_found(copy):
    sign(copy, lambda manifest: manifest['files']['global.npy'].update(shape=[8, 33]))
    error = error_of(copy)
    assert type(error) is MapDataError and '[8, 33]' in str(error)


def test_pickles_are_never_loaded(copy):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(copy / 'boom'),))

    bomb = np.array([Bomb()], dtype=object)
    file = data_of(copy) / 'poses.npy'
    np.save(file, bomb, allow_pickle=True)
    entry = {'bytes': file.stat().st_size, 'sha256': sha256(file), 'dtype': '|O', 'shape': [1]}
    sign(copy, lambda manifest: manifest['files'].update({'poses.npy': entry}))
    assert type(error_of(copy)) is MapDataError
    assert not (copy / 'boom').exists()


ROW = {'id': 1, 'stamp_ns': 2, 'name': '', 'session': '', 'camera_frame': '', 'label': ''}


@pytest.mark.parametrize(
    'row',
    [
        '[]',
        '{',
        '{"id": 1}',
        json.dumps({**ROW, 'id': -1}),
        json.dumps({**ROW, 'id': 1.5}),
        json.dumps({**ROW, 'id': True}),
        json.dumps({**ROW, 'id': 'x'}),
        json.dumps({**ROW, 'stamp_ns': 2**63}),
        json.dumps({**ROW, 'stamp_ns': None}),
        json.dumps({**ROW, 'name': 7}),
        json.dumps({**ROW, 'pose': None}),
        json.dumps({**ROW, 'id': 0}),
    ],
)
def test_a_places_table_that_is_not_one_is_found(copy, row):
    file = data_of(copy) / 'places.jsonl'
    lines = file.read_text().splitlines()
    file.write_text('\n'.join([lines[0], row, *lines[2:]]) + '\n')
    entry = {'bytes': file.stat().st_size, 'sha256': sha256(file), 'dtype': 'jsonl', 'shape': [8]}
    sign(copy, lambda manifest: manifest['files'].update({'places.jsonl': entry}))
    error = error_of(copy)
    assert type(error) is MapDataError and 'places.jsonl' in str(error)


KEYS = tuple(map_manifest.FIELDS)
VALUES = st.sampled_from(
    [None, True, -1, 0, 7, 1.5, '', 'x', '../../etc', [], [1, 2], {}, {'places': 3}, {'a': {}}]
)


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(KEYS), inner=st.integers(0, 9), value=VALUES)
def test_a_signed_manifest_with_odd_values_loads_or_gives_a_map_error(sound, key, inner, value):
    def change(manifest: dict) -> None:
        target = manifest[key]
        if isinstance(target, dict) and target and inner:
            names = sorted(target)
            target[names[inner % len(names)]] = value
        else:
            manifest[key] = value

    good = (sound / 'manifest.json').read_bytes()
    try:
        sign(sound, change)
        open_map(sound, IDENTITY)
    except MapError as error:
        assert '\n' not in str(error)
    finally:
        (sound / 'manifest.json').write_bytes(good)


@pytest.mark.parametrize('key', [key for key in KEYS if key != map_manifest.UNALIGNED])
def test_a_manifest_that_lacks_a_field_is_refused_with_its_name(copy, key):
    sign(copy, lambda manifest: manifest.pop(key))
    error = error_of(copy)
    assert type(error) is MapMetadataError and f'{key} is missing' in str(error)


@pytest.mark.parametrize('data', ['..', '/etc', 'data-000001-0123abc/', 'data-1-0123abcd'])
def test_a_manifest_cannot_point_outside_its_folder(copy, data):
    sign(copy, lambda manifest: manifest.update(data=data))
    assert type(error_of(copy)) is MapMetadataError


def test_a_failed_load_leaves_the_map_in_use_as_it_was(sound, copy):
    in_use = open_map(sound)
    before = in_use.local([2])
    os.truncate(data_of(copy) / 'local.npy', 500)
    error_of(copy)
    assert (in_use.local([2]) == before).all()
