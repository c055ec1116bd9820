# SPDX-License-Identifier: MIT
"""Maps on disk that are large, of an earlier version or have an index."""

import json
from pathlib import Path

from map_helpers import (
    array_of,
    data_of,
    error_of,
    IDENTITY,
    sha256,
    sign,
    some_features,
    some_map,
    some_place,
)
import numpy as np
import pytest

from selavpr_model.config import MapConfig
from selavpr_model.errors import MapDataError
from selavpr_model.maps.row_checksums import CHECKSUMS
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map

# ---------------------------------------------------------------- large maps: verified by row


@pytest.fixture
def by_row(monkeypatch) -> None:
    """Every map counts as too large to be hashed when it is opened."""
    monkeypatch.setattr('selavpr_model.maps.storage.reader.HASH_AT_OPEN', 0)


def change_row(path: Path, name: str, row: int) -> None:
    """Flip one bit in the middle of a row of a data file."""
    array = np.lib.format.open_memmap(data_of(path) / name, mode='r+')
    values = array[row : row + 1].reshape(-1).view(np.uint8)
    values[len(values) // 2] ^= 1
    array.flush()


@pytest.mark.parametrize('name', ['local.npy', 'local_scales.npy'])
def test_a_damaged_row_of_a_large_map_raises_when_it_is_read_and_never_before(by_row, copy, name):
    change_row(copy, name, 5)
    opened = open_map(copy, IDENTITY)
    assert opened.local([0, 4, 6]).shape == (3, 16, 16)
    for _ in range(2):
        with pytest.raises(MapDataError, match='row 5 is not the bytes that were saved'):
            opened.local([4, 5])
    with pytest.raises(MapDataError, match='row 5'):
        save_map(opened, copy, overwrite=True)
    with pytest.raises(MapDataError, match='row 5'):
        PlaceMap.empty(IDENTITY, opened.config).extend(opened)
    with pytest.raises(MapDataError, match='expected SHA-256'):
        open_map(copy, IDENTITY, everything=True)


def test_a_damaged_thumbnail_of_a_large_map_raises_when_it_is_looked_at(by_row, copy):
    offsets = array_of(copy, 'thumbnail_offsets.npy')
    change_row(copy, 'thumbnails.npy', int(offsets[3] + 40))  # one byte a row
    opened = open_map(copy, IDENTITY)
    assert opened.thumbnail(2) is not None
    with pytest.raises(MapDataError, match=r'thumbnails\.npy.*row 3'):
        opened.thumbnail(3)


def test_a_sound_large_map_reads_grows_and_saves_as_any_other(by_row, copy, sound):
    opened, whole = open_map(copy, IDENTITY), open_map(sound, IDENTITY, everything=True)
    assert (opened.local(range(8)) == whole.local(range(8))).all()
    opened.add(some_features(99), some_place(99))
    assert opened.local([8, 1]).shape == (2, 16, 16) and opened.thumbnail(8) is None
    save_map(opened, copy, overwrite=True)
    assert len(open_map(copy, IDENTITY, everything=True)) == 9


# ---------------------------------------------------------------- earlier versions, and the index


def test_a_map_of_version_1_opens_and_is_verified_as_a_whole(by_row, copy):
    def make_old(manifest: dict) -> None:
        manifest['format_version'] = 1
        del manifest['files'][CHECKSUMS]
        for name in ('index', 'index_refine'):
            del manifest['configs']['storage'][name]

    sign(copy, make_old)
    assert len(open_map(copy, IDENTITY)) == 8
    change_row(copy, 'local.npy', 5)
    assert type(error_of(copy)) is MapDataError


@pytest.mark.parametrize(
    ('before', 'now'),
    [('exact', 'dense'), ('fp32', 'exact'), ('compact', 'fast'), ('tiny', 'tiny8')],
)
def test_a_map_that_was_stored_under_an_earlier_name_opens_and_grows(tmp_path, before, now):
    save_map(some_map(4, now), tmp_path / 'map')
    new = open_map(tmp_path / 'map', IDENTITY)

    def rename(manifest: dict) -> None:
        manifest['format_version'] = 2
        manifest['local_dtype'] = manifest['configs']['storage']['local_dtype'] = before

    sign(tmp_path / 'map', rename)
    old = open_map(tmp_path / 'map', IDENTITY)
    assert old.config == new.config and old.config.local_dtype == now
    np.testing.assert_array_equal(old.codes([3])[0], new.codes([3])[0])
    old.add(some_features(9), some_place(9))
    save_map(old, tmp_path / 'map', overwrite=True)
    assert json.loads((tmp_path / 'map' / 'manifest.json').read_text())['local_dtype'] == now
    assert len(open_map(tmp_path / 'map', IDENTITY)) == 5


def test_short_lists_are_saved_with_the_map_and_refused_when_they_are_not_of_it(tmp_path):
    made = some_map(150)
    made.config = MapConfig(local_dtype='int8', thumbnail_px=0, index='codes')
    save_map(made, tmp_path / 'map')
    opened = open_map(tmp_path / 'map', IDENTITY)
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
    save_map(made, tmp_path / 'map')
    file = data_of(tmp_path / 'map') / 'index.faiss'
    clusters = faiss.index_factory(made.identity.global_dim, 'PCAR4,IVF3,SQ8')
    clusters.train(np.concatenate(made._index.blocks()))
    file.write_bytes(faiss.serialize_index(clusters).tobytes())
    entry = {'bytes': file.stat().st_size, 'dtype': 'blob', 'shape': [150]}

    def make_old(manifest: dict) -> None:
        manifest['configs']['storage'].update(index='ivf', index_probes=2000)
        manifest['files']['index.faiss'] = {**entry, 'sha256': sha256(file)}

    sign(tmp_path / 'map', make_old)
    with caplog.at_level('INFO', 'selavpr_model.maps.storage.contents'):
        opened = open_map(tmp_path / 'map', IDENTITY)
    assert 'another version' in caplog.text and opened.config == made.config
    assert opened.search(some_features(77).global_, 5)[0][0] == 77
    save_map(opened, tmp_path / 'map', overwrite=True)
    assert len(open_map(tmp_path / 'map', IDENTITY)._index.coarse) == 150
