# SPDX-License-Identifier: MIT
"""Saving a map: over what, beside whom, and what stays behind."""

import threading

from map_helpers import array_bytes, cells_of, IDENTITY, some_map
import pytest

from selavpr_model.errors import MapBusyError, MapEmptyError, MapExistsError
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.maps.storage.writer import lock


def test_two_saves_of_the_same_places_have_the_same_bytes(tmp_path):
    for name in ('a', 'b'):
        save_map(some_map(10), tmp_path / name)
    assert array_bytes(open_map(tmp_path / 'a')) == array_bytes(open_map(tmp_path / 'b'))


def test_saving_over_a_map_has_to_be_asked_for(tmp_path):
    save_map(some_map(4), tmp_path / 'map')
    with pytest.raises(MapExistsError, match='overwrite'):
        save_map(some_map(5), tmp_path / 'map')
    assert len(open_map(tmp_path / 'map')) == 4
    save_map(some_map(5), tmp_path / 'map', overwrite=True)
    assert len(open_map(tmp_path / 'map')) == 5


def test_a_folder_or_file_that_is_no_map_is_never_written_to(tmp_path):
    (tmp_path / 'photo.jpg').write_bytes(b'mine')
    for overwrite in (False, True):
        with pytest.raises(MapExistsError, match=r'photo\.jpg'):
            save_map(some_map(2), tmp_path, overwrite)
        with pytest.raises(MapExistsError, match='is a file'):
            save_map(some_map(2), tmp_path / 'photo.jpg', overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ['photo.jpg']


def test_an_empty_map_is_not_saved_over_a_good_one(tmp_path):
    save_map(some_map(4), tmp_path / 'map')
    with pytest.raises(MapEmptyError):
        save_map(PlaceMap.empty(IDENTITY), tmp_path / 'map', overwrite=True)
    assert len(open_map(tmp_path / 'map')) == 4


def test_an_opened_map_stays_whole_when_it_is_replaced(tmp_path):
    save_map(some_map(8, 'exact'), tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    save_map(some_map(20, 'exact', seed=1), tmp_path / 'map', overwrite=True)
    assert len(list(tmp_path.glob('map/data-*'))) == 1, 'the old data is gone from the disk'
    for row in range(8):
        assert (opened.local([row])[0] == cells_of(row)).all()
    assert opened.thumbnail(1) is not None
    save_map(opened, tmp_path / 'copy')
    assert (open_map(tmp_path / 'copy').local([5])[0] == cells_of(5)).all()


def test_only_one_process_writes_a_map_at_a_time(tmp_path):
    save_map(some_map(4), tmp_path / 'map')
    with lock(tmp_path / 'map'), pytest.raises(MapBusyError, match='another process'):
        save_map(some_map(5), tmp_path / 'map', overwrite=True)
    save_map(some_map(5), tmp_path / 'map', overwrite=True)
    assert len(open_map(tmp_path / 'map')) == 5


def test_a_save_waits_for_a_reader_that_tidies_up(tmp_path):
    save_map(some_map(4), tmp_path / 'map')
    held, free = threading.Event(), threading.Event()

    def tidy() -> None:
        with lock(tmp_path / 'map'):
            held.set()
            free.wait(0.2)

    reader = threading.Thread(target=tidy)
    reader.start()
    held.wait()
    save_map(some_map(5), tmp_path / 'map', overwrite=True)
    reader.join()
    assert len(open_map(tmp_path / 'map')) == 5


def test_leftovers_of_killed_saves_are_removed_but_not_while_another_process_writes(tmp_path):
    path = tmp_path / 'map'
    save_map(some_map(4), path)
    leftover = path / 'data-000007-0123abcd'
    leftover.mkdir()
    (leftover / 'global.npy').write_bytes(b'half')
    (path / 'notes.txt').write_text('mine')
    with lock(path):
        open_map(path)
        assert leftover.exists()
    open_map(path)
    assert not leftover.exists() and (path / 'notes.txt').read_text() == 'mine'
