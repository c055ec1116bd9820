# SPDX-License-Identifier: MIT
"""Large maps: rows are verified when they are read, and then as surely as when opened."""

from pathlib import Path

from map_helpers import array_of, data_of, IDENTITY, some_features, some_map, some_place
import numpy as np
import pytest

from selavpr_model.errors import MapDataError
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map


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


def test_a_damaged_row_of_a_large_map_raises_when_it_is_read_and_never_before(by_row, copy):
    change_row(copy, 'local.npy', 5)
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


def test_a_row_that_is_not_finite_is_named_though_its_checksum_is_right(by_row, tmp_path):
    place_map = some_map(4, 'exact')
    place_map.store.blocks[2] = np.full_like(place_map.store.blocks[2], np.nan)
    save_map(place_map, tmp_path / 'map')
    opened = open_map(tmp_path / 'map', IDENTITY)
    assert opened.local([0, 1]).shape == (2, 16, 16)
    with pytest.raises(MapDataError, match='row 2 is not finite'):
        opened.local([2])
    with pytest.raises(MapDataError, match='row 2 is not finite'):
        open_map(tmp_path / 'map', IDENTITY, everything=True)
