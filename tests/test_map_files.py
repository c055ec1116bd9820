# SPDX-License-Identifier: MIT
"""Maps on disk: each damage has its own error, and a kill leaves the old map or the new one."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import (
    IDENTITY,
    moments,
    OTHER,
    running_killer,
    some_features,
    some_map,
    some_place,
)
import numpy as np
import pytest

from selavpr_model import map_manifest, map_writer
from selavpr_model.config import MapConfig
from selavpr_model.errors import (
    MapDataError,
    MapEmptyError,
    MapError,
    MapMetadataError,
    MapModelError,
    MapNotFoundError,
    MapSpaceError,
    MapVersionError,
)
from selavpr_model.map_rows import CHECKSUMS
from selavpr_model.place_map import PlaceMap


@pytest.fixture(scope='module')
def sound(tmp_path_factory) -> Path:
    """A map nobody writes to."""
    path = tmp_path_factory.mktemp('sound') / 'map'
    some_map(8).save(path)
    return path


@pytest.fixture
def copy(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / 'map'))


@pytest.fixture(scope='module')
def killer():
    with running_killer() as it:
        yield it


def data_of(path: Path) -> Path:
    return path / json.loads((path / 'manifest.json').read_bytes())['data']


def sign(path: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest and give it a right checksum again."""
    manifest = json.loads((path / 'manifest.json').read_bytes())
    change(manifest)
    (path / 'manifest.json').write_bytes(map_manifest.encode(manifest))


def rewrite(path: Path, name: str, array: np.ndarray) -> None:
    """Replace an array and make size, hash, shape and type in the manifest fit it."""
    (data_of(path) / name).unlink()
    writer = map_writer.DataWriter(data_of(path))
    writer.array(name, [array], len(array))
    sign(path, lambda manifest: manifest['files'].update(writer.entries))


def array_of(path: Path, name: str) -> np.ndarray:
    return np.load(data_of(path) / name)


def error_of(path: Path, identity=IDENTITY) -> MapError:
    """The error of opening, which is one line that names the map and a cure."""
    with pytest.raises(MapError) as caught:
        PlaceMap.open(path, identity)
    message = str(caught.value)
    assert '\n' not in message and str(path) in message, message
    assert ';' in message, f'no cure in: {message}'
    return caught.value


# ---------------------------------------------------------------- damage


FILES = (*map_manifest.FILES, *map_manifest.THUMBNAIL_FILES, CHECKSUMS)


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


def test_another_version_is_named_with_the_cure(copy):
    for version, cure in ((3, 'newer selavpr'), (0, 'build the map again')):
        sign(copy, lambda manifest: None)
        raw = (copy / 'manifest.json').read_bytes()
        mark = b'"format_version": '
        (copy / 'manifest.json').write_bytes(raw.replace(mark + b'2', mark + b'%d' % version))
        error = error_of(copy)
        assert type(error) is MapVersionError
        assert f'version 1 to 2, got {version}' in str(error) and cure in str(error)
        (copy / 'manifest.json').write_bytes(raw)


def test_another_model_is_refused_before_any_data_is_read(copy):
    shutil.rmtree(data_of(copy))
    error = error_of(copy, OTHER)
    assert type(error) is MapModelError
    assert 'test (' in str(error) and 'another (' in str(error)


def test_without_an_identity_any_model_will_do(sound):
    assert PlaceMap.open(sound).identity.fingerprint == IDENTITY.fingerprint


def test_an_empty_map_has_its_own_error(copy):
    sign(copy, lambda manifest: manifest['counts'].update(places=0))
    assert type(error_of(copy)) is MapEmptyError


@pytest.mark.parametrize('name', ['global.npy', 'local_scales.npy', 'poses.npy'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_not_finite_are_found_though_the_hash_is_right(copy, name, value):
    array = array_of(copy, name)
    array[(2,) + (1,) * (array.ndim - 1)] = value
    rewrite(copy, name, array)
    error = error_of(copy)
    assert type(error) is MapDataError and name in str(error) and 'finite' in str(error)


@pytest.mark.parametrize('dtype', ['fp16', 'exact'])
def test_local_features_that_are_not_finite_are_found(tmp_path, dtype):
    some_map(4, dtype).save(tmp_path / 'map')
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


def sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


ROW = {'id': 1, 'stamp_ns': 2, 'name': '', 'session': '', 'camera_frame': ''}


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
        PlaceMap.open(sound, IDENTITY)
    except MapError as error:
        assert '\n' not in str(error)
    finally:
        (sound / 'manifest.json').write_bytes(good)


@pytest.mark.parametrize('key', KEYS)
def test_a_manifest_that_lacks_a_field_is_refused_with_its_name(copy, key):
    sign(copy, lambda manifest: manifest.pop(key))
    error = error_of(copy)
    assert type(error) is MapMetadataError and f'{key} is missing' in str(error)


@pytest.mark.parametrize('data', ['..', '/etc', 'data-000001-0123abc/', 'data-1-0123abcd'])
def test_a_manifest_cannot_point_outside_its_folder(copy, data):
    sign(copy, lambda manifest: manifest.update(data=data))
    assert type(error_of(copy)) is MapMetadataError


def test_a_failed_load_leaves_the_map_in_use_as_it_was(sound, copy):
    in_use = PlaceMap.open(sound)
    before = in_use.local([2])
    os.truncate(data_of(copy) / 'local.npy', 500)
    error_of(copy)
    assert (in_use.local([2]) == before).all()


# ---------------------------------------------------------------- no space, no memory


def test_a_folder_that_cannot_be_written_gives_a_space_error(tmp_path):
    (tmp_path / 'file').write_text('x')
    for path in (tmp_path / 'file' / 'map', Path('/proc/selavpr/map'), tmp_path / ('x' * 300)):
        with pytest.raises(MapSpaceError, match='cannot be written'):
            some_map(2).save(path)


def limited(body: str, path: Path, *prefix: str) -> subprocess.CompletedProcess:
    """Run `body` in a process of its own, with `path`, the helpers and the errors at hand."""
    script = (
        'import os, resource, signal, subprocess, sys\n'
        'from map_helpers import *\n'
        'from selavpr_model.errors import *\n'
        'path = Path(sys.argv[1])\n'
    )
    return subprocess.run(
        [*prefix, sys.executable, '-c', script + body, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, 'PYTHONPATH': f'{Path(__file__).parent}:{Path.cwd()}'},
    )


def test_when_the_space_ends_in_the_middle_the_old_map_stays(tmp_path):
    some_map(4).save(tmp_path / 'map')
    done = limited(
        'new = some_map(200)\n'
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n'
        'try:\n    new.save(path, overwrite=True)\n'
        'except MapSpaceError as error:\n    print(error)\n',
        tmp_path / 'map',
    )
    assert 'cannot be written' in done.stdout and 'free some space' in done.stdout, done.stderr
    assert len(PlaceMap.open(tmp_path / 'map')) == 4
    assert len(list(tmp_path.glob('map/data-*'))) == 1, 'the unfinished files are gone'


OWN_MOUNTS = ('unshare', '--map-root-user', '--mount')


def test_a_real_disk_that_is_full_and_one_that_is_read_only(tmp_path):
    try:
        subprocess.run([*OWN_MOUNTS, 'mount', '-t', 'tmpfs', 'none', str(tmp_path)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'this system allows no mounts of our own: {error}')
    done = limited(
        'def mount(*options):\n'
        '    subprocess.run(["mount", *options, str(path)], check=True)\n'
        'def save(places):\n'
        '    try:\n        some_map(places).save(path / "map", overwrite=True)\n'
        '    except MapSpaceError as error:\n        print(error)\n'
        '    print(len(PlaceMap.open(path / "map")))\n'
        'mount("-t", "tmpfs", "-o", "size=300k", "none")\n'
        'save(4)\n'
        'save(200)\n'
        'mount("-o", "remount,ro")\n'
        'save(5)\n',
        tmp_path,
        *OWN_MOUNTS,
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.isdigit()] == ['4', '4', '4'], done.stderr
    assert len(lines) == 5 and 'MB are free; free some space' in lines[1], lines
    assert 'Read-only file system; choose a folder that can be written' in lines[3], lines


def test_a_map_that_does_not_fit_into_memory_gives_a_memory_error(tmp_path):
    wide = IDENTITY.__class__('ab' * 32, 'wide', 2_000_000, (1, 1, 4))
    made = PlaceMap.empty(wide, MapConfig(thumbnail_px=0))
    vector = np.zeros(2_000_000, np.float32)
    vector[0] = 1
    local = np.zeros((1, 1, 4), np.float32)
    for i in range(8):
        made.add(some_features(0).__class__(vector, local), some_place(i))
    made.save(tmp_path / 'map')
    done = limited(
        'import faiss\n'
        'used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()\n'
        'limit = used + 90_000_000\n'
        'resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n'
        'try:\n    PlaceMap.open(path)\n'
        'except MapMemoryError as error:\n    print(error)\n',
        tmp_path / 'map',
    )
    assert 'does not fit into memory' in done.stdout, done.stderr


# ---------------------------------------------------------------- kill -9, and readers


def seed_of(path: Path) -> int:
    """Which map lies there, all of it verified."""
    place_map = PlaceMap.open(path, IDENTITY)
    assert len(place_map) == 20
    return place_map.source['seed']


def test_killed_before_any_file_operation_of_a_save_the_old_or_the_new_map_loads(killer, tmp_path):
    path = tmp_path / 'map'
    some_map(20, seed=0).save(path)
    seen = []
    for operation in range(1, 200):
        killed = killer.run('save', path, operation=operation, seed=operation)
        seen.append(seed_of(path))
        assert seen[-1] in (operation, max([0, *seen[:-1]]))
        assert len(list(path.glob('data-*'))) == 1, 'leftovers are removed by opening'
        if not killed:
            break
    assert not killed and operation > 10, 'the last save was to run to its end'
    assert 0 in seen and operation - 1 in seen, 'kills were to hit before and after the switch'


def test_killed_before_any_file_operation_of_the_first_save_there_is_no_map_or_a_whole_one(
    killer,
    tmp_path,
):
    results = []
    for operation in range(1, 200):
        path = tmp_path / f'map{operation}'
        killed = killer.run('save', path, operation=operation, seed=3)
        try:
            results.append(seed_of(path))
        except MapNotFoundError:
            results.append(None)
            some_map(20, seed=3).save(path)  # without overwrite: nothing was there
            assert seed_of(path) == 3
        if not killed:
            break
    assert not killed and set(results) == {None, 3}


def test_killed_20_times_at_random_moments_of_saving_the_old_or_the_new_map_loads(
    killer, tmp_path
):
    path = tmp_path / 'map'
    some_map(20, seed=0).save(path)
    manifest = path / 'manifest.json'
    for i, after_s in enumerate(moments(20, 0.0, 0.1, seed=5), 1):
        assert killer.run('saves', path, after_s, changed=manifest, seed=10 * i)
        assert seed_of(path) in (10 * i, 10 * i + 1)


def test_readers_never_fail_while_the_map_is_replaced(tmp_path):
    path = tmp_path / 'map'
    some_map(20, seed=0).save(path)
    stop = threading.Event()
    writer = some_map(20, seed=1)

    def write() -> None:
        while not stop.is_set():
            writer.save(path, overwrite=True)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        end = time.monotonic() + 2
        opened = 0
        while time.monotonic() < end or opened < 10 or writer.revision < 10:
            assert seed_of(path) in (0, 1)
            opened += 1
    finally:
        stop.set()
        thread.join()


# ---------------------------------------------------------------- large maps: verified by row


@pytest.fixture
def by_row(monkeypatch) -> None:
    """Every map counts as too large to be hashed when it is opened."""
    monkeypatch.setattr('selavpr_model.map_files.HASH_AT_OPEN', 0)


def change_row(path: Path, name: str, row: int) -> None:
    """Flip one bit in the middle of a row of a data file."""
    array = np.lib.format.open_memmap(data_of(path) / name, mode='r+')
    values = array[row : row + 1].reshape(-1).view(np.uint8)
    values[len(values) // 2] ^= 1
    array.flush()


@pytest.mark.parametrize('name', ['local.npy', 'local_scales.npy'])
def test_a_damaged_row_of_a_large_map_raises_when_it_is_read_and_never_before(by_row, copy, name):
    change_row(copy, name, 5)
    opened = PlaceMap.open(copy, IDENTITY)
    assert opened.local([0, 4, 6]).shape == (3, 16, 16)
    for _ in range(2):
        with pytest.raises(MapDataError, match='row 5 is not the bytes that were saved'):
            opened.local([4, 5])
    with pytest.raises(MapDataError, match='row 5'):
        opened.save(copy, overwrite=True)
    with pytest.raises(MapDataError, match='row 5'):
        PlaceMap.empty(IDENTITY, opened.config).extend(opened)
    with pytest.raises(MapDataError, match='expected SHA-256'):
        PlaceMap.open(copy, IDENTITY, everything=True)


def test_a_damaged_thumbnail_of_a_large_map_raises_when_it_is_looked_at(by_row, copy):
    offsets = array_of(copy, 'thumbnail_offsets.npy')
    change_row(copy, 'thumbnails.npy', int(offsets[3] + 40))  # one byte a row
    opened = PlaceMap.open(copy, IDENTITY)
    assert opened.thumbnail(2) is not None
    with pytest.raises(MapDataError, match=r'thumbnails\.npy.*row 3'):
        opened.thumbnail(3)


def test_a_sound_large_map_reads_grows_and_saves_as_any_other(by_row, copy, sound):
    opened, whole = PlaceMap.open(copy, IDENTITY), PlaceMap.open(sound, IDENTITY, everything=True)
    assert (opened.local(range(8)) == whole.local(range(8))).all()
    opened.add(some_features(99), some_place(99))
    assert opened.local([8, 1]).shape == (2, 16, 16) and opened.thumbnail(8) is None
    opened.save(copy, overwrite=True)
    assert len(PlaceMap.open(copy, IDENTITY, everything=True)) == 9


def test_a_map_of_version_1_opens_and_is_verified_as_a_whole(by_row, copy):
    def make_old(manifest: dict) -> None:
        manifest['format_version'] = 1
        del manifest['files'][CHECKSUMS]
        for name in ('index', 'index_refine'):
            del manifest['configs']['storage'][name]

    sign(copy, make_old)
    assert len(PlaceMap.open(copy, IDENTITY)) == 8
    change_row(copy, 'local.npy', 5)
    assert type(error_of(copy)) is MapDataError


@pytest.mark.parametrize(('before', 'now'), [('exact', 'dense'), ('fp32', 'exact')])
def test_a_map_that_was_stored_under_an_earlier_name_opens_and_grows(tmp_path, before, now):
    some_map(4, now).save(tmp_path / 'map')
    new = PlaceMap.open(tmp_path / 'map', IDENTITY)

    def rename(manifest: dict) -> None:
        manifest['local_dtype'] = manifest['configs']['storage']['local_dtype'] = before

    sign(tmp_path / 'map', rename)
    old = PlaceMap.open(tmp_path / 'map', IDENTITY)
    assert old.config == new.config and old.config.local_dtype == now
    np.testing.assert_array_equal(old.codes([3])[0], new.codes([3])[0])
    old.add(some_features(9), some_place(9))
    old.save(tmp_path / 'map', overwrite=True)
    assert json.loads((tmp_path / 'map' / 'manifest.json').read_text())['local_dtype'] == now
    assert len(PlaceMap.open(tmp_path / 'map', IDENTITY)) == 5


def test_short_lists_are_saved_with_the_map_and_refused_when_they_are_not_of_it(tmp_path):
    made = some_map(150)
    made.config = MapConfig(local_dtype='int8', thumbnail_px=0, index='codes')
    made.save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map', IDENTITY)
    assert len(opened._index.coarse) == 150
    assert opened.search(some_features(77).global_, 5)[0][0] == 77
    file = data_of(tmp_path / 'map') / 'index.faiss'
    raw = file.read_bytes()
    file.write_bytes(raw[:-9] + b'x' + raw[-8:])
    assert 'index.faiss' in str(error_of(tmp_path / 'map'))
    entry = {'bytes': 4, 'dtype': 'blob', 'shape': [150]}
    file.write_bytes(b'junk')
    sign(
        tmp_path / 'map',
        lambda m: m['files'].update({'index.faiss': {**entry, 'sha256': sha256(file)}}),
    )
    assert 'not an index' in str(error_of(tmp_path / 'map'))


def test_short_lists_of_an_earlier_version_are_left_aside_until_the_next_save(tmp_path, caplog):
    import faiss

    made = some_map(150)
    made.config = MapConfig(local_dtype='int8', thumbnail_px=0, index='codes')
    made.save(tmp_path / 'map')
    file = data_of(tmp_path / 'map') / 'index.faiss'
    clusters = faiss.index_factory(made.identity.global_dim, 'PCAR4,IVF3,SQ8')
    clusters.train(np.concatenate(made._index.blocks()))
    file.write_bytes(faiss.serialize_index(clusters).tobytes())
    entry = {'bytes': file.stat().st_size, 'dtype': 'blob', 'shape': [150]}

    def make_old(manifest: dict) -> None:
        manifest['configs']['storage'].update(index='ivf', index_probes=2000)
        manifest['files']['index.faiss'] = {**entry, 'sha256': sha256(file)}

    sign(tmp_path / 'map', make_old)
    with caplog.at_level('INFO', 'selavpr_model.map_checks'):
        opened = PlaceMap.open(tmp_path / 'map', IDENTITY)
    assert 'another version' in caplog.text and opened.config == made.config
    assert opened.search(some_features(77).global_, 5)[0][0] == 77
    opened.save(tmp_path / 'map', overwrite=True)
    assert len(PlaceMap.open(tmp_path / 'map', IDENTITY)._index.coarse) == 150
