# SPDX-License-Identifier: MIT
"""PlaceMap: what is added comes back, in RAM and from disk, in every storage type."""

from pathlib import Path
import re
import threading

from map_helpers import (
    array_bytes,
    cells_of,
    DTYPES,
    IDENTITY,
    OTHER,
    some_features,
    some_image,
    some_map,
    some_place,
)
import numpy as np
import pytest

from selavpr_model.config import MapConfig
from selavpr_model.errors import InputError, MapModelError
from selavpr_model.maps import place_map as place_map_module
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Features, Place


@pytest.mark.parametrize('dtype', DTYPES)
def test_what_was_added_comes_back_from_disk(tmp_path, dtype):
    made = some_map(12, dtype)
    save_map(made, tmp_path / 'map')
    opened = open_map(tmp_path / 'map', IDENTITY)
    assert len(opened) == 12 and opened.config == made.config
    assert opened.identity == IDENTITY and opened.identity.note == IDENTITY.note
    assert opened.map_id == made.map_id and opened.revision == made.revision == 1
    assert opened.source == {'type': 'test', 'seed': 0}
    for row, place in enumerate(opened.places):
        original = some_place(row)
        assert (place.id, place.stamp_ns) == (original.id, original.stamp_ns)
        assert (place.name, place.session) == (original.name, 'summer')
        assert place.camera_frame == 'cam'
        assert (place.pose is None) == (original.pose is None)
        if place.pose is not None:
            assert (place.pose == original.pose).all()
    rows = np.arange(12)
    assert (opened.local(rows) == made.local(rows)).all()
    assert all((opened.global_(i) == some_features(i).global_).all() for i in rows)


def test_local_reads_the_rows_asked_for_in_that_order(tmp_path):
    save_map(some_map(9, 'exact'), tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    local = opened.local([7, 0, 7])
    assert local.shape == (3, 16, 16) and local.dtype == np.float32
    for got, seed in zip(local, (7, 0, 7), strict=True):
        assert (got == cells_of(seed)).all()
    assert opened.local([]).shape == (0, 16, 16)


@pytest.mark.parametrize('row', [-1, 9, 10**12])
def test_a_row_that_is_not_there_is_refused(row):
    with pytest.raises(InputError, match='row'):
        some_map(9).local([row])


def test_every_place_is_found_by_its_own_features(tmp_path):
    save_map(some_map(12), tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    for row in range(12):
        rows, similarities = opened.search(some_features(row).global_, 3)
        assert rows[0] == row and similarities[0] == pytest.approx(1.0, abs=1e-6)
        assert (np.diff(similarities) <= 0).all()


@pytest.mark.parametrize('query', [np.zeros(31), np.full(32, np.nan), np.zeros((1, 32))])
def test_a_query_of_the_wrong_form_is_refused(query):
    with pytest.raises(InputError, match='global features'):
        some_map(3).search(query, 1)


def test_positions_are_nan_where_there_is_no_pose():
    positions = some_map(5).positions
    assert positions.shape == (5, 3) and positions.dtype == np.float64
    assert np.isnan(positions[3]).all() and positions[4].tolist() == [4, 8, 0.5]
    assert PlaceMap.empty(IDENTITY).positions.shape == (0, 3)


def test_positions_may_be_asked_for_while_places_are_added():
    place_map, features = some_map(4), some_features(1)
    place_map.unaligned_sessions = {'now'}

    def grow() -> None:
        for number in range(100, 3000):
            place_map.add(features, Place(number, number, session='now', pose=np.eye(4)))

    thread = threading.Thread(target=grow)
    thread.start()
    while thread.is_alive():
        assert np.isnan(place_map.positions[4:]).all()
    thread.join()


def test_thumbnails_are_small_rgb_and_missing_where_none_was_given(tmp_path):
    save_map(some_map(6), tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    assert opened.thumbnail(0) is None and opened.thumbnail(4) is None
    small = opened.thumbnail(1)
    assert small.shape == (12, 16, 3) and small.dtype == np.uint8
    difference = small.astype(int) - some_image(1)[::2, ::2]
    assert np.abs(difference).mean() < 25, 'colours are not those of the image (BGR?)'


def test_a_map_without_thumbnails_can_be_saved(tmp_path):
    plain = PlaceMap.empty(IDENTITY, MapConfig(thumbnail_px=0))
    plain.add(some_features(0), some_place(0), some_image(0))
    save_map(plain, tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    assert opened.thumbnail(0) is None and 'thumbnails.npy' not in opened.manifest['files']


def test_extreme_ids_stamps_and_names_survive(tmp_path):
    pose = np.eye(4)
    pose[:3, 3] = 0.1, -1e-300, 1e17
    places = [
        Place(2**64 - 1, -(2**63), 'ß "\n\\ \udc80', '', 'front/left', pose),
        Place(0, 2**63 - 1, '', 'x' * 5000),
    ]
    made = PlaceMap.empty(IDENTITY)
    for i, place in enumerate(places):
        made.add(some_features(i), place)
    save_map(made, tmp_path / 'map')
    for got, place in zip(open_map(tmp_path / 'map').places, places, strict=True):
        assert (got.id, got.stamp_ns, got.name) == (place.id, place.stamp_ns, place.name)
        assert (got.session, got.camera_frame) == (place.session, place.camera_frame)
    assert (open_map(tmp_path / 'map').places[0].pose == pose).all()


def test_adding_to_an_opened_map_keeps_rows_and_ids_and_leaves_the_disk_alone(tmp_path):
    save_map(some_map(6), tmp_path / 'map')
    opened = open_map(tmp_path / 'map')
    row = opened.add(some_features(99), Place(opened.next_id, 5), some_image(1))
    assert row == 6 and opened.places[6].id == 6 and len(opened) == 7
    assert opened.search(some_features(99).global_, 1)[0][0] == 6
    assert len(open_map(tmp_path / 'map')) == 6
    save_map(opened, tmp_path / 'map', overwrite=True)
    again = open_map(tmp_path / 'map')
    assert [p.id for p in again.places] == list(range(7))
    assert again.revision == 2 and again.map_id == opened.map_id
    assert (again.local([0, 6]) == opened.local([0, 6])).all()


def test_joined_maps_equal_one_map(tmp_path):
    whole, first, second = some_map(10), some_map(6), PlaceMap.empty(IDENTITY, some_map(0).config)
    for i in range(6, 10):
        second.add(some_features(i), some_place(i), some_image(i) if i % 4 else None)
    save_map(second, tmp_path / 'second')
    first.extend(open_map(tmp_path / 'second'))
    save_map(first, tmp_path / 'joined')
    save_map(whole, tmp_path / 'whole')
    joined = open_map(tmp_path / 'joined')
    assert array_bytes(joined) == array_bytes(open_map(tmp_path / 'whole'))


def test_maps_that_do_not_fit_together_are_not_joined():
    with pytest.raises(InputError, match='in both maps'):
        some_map(3).extend(some_map(3))
    with pytest.raises(InputError, match='cannot be joined'):
        some_map(3).extend(some_map(3, 'tiny'))
    with pytest.raises(MapModelError):
        some_map(3).extend(PlaceMap.empty(OTHER))


def test_features_of_the_wrong_form_are_refused_and_the_map_stays_as_it_was():
    good = some_features(0)
    half = Features(good.global_ * np.float32(0.5), good.local)
    nan = Features(good.global_, good.local * np.float32(np.nan))
    flat = Features(good.global_, good.local.reshape(16, 16))
    short = Features(good.global_[:-1], good.local)
    place_map = some_map(3)
    for features in (half, nan, flat, short):
        with pytest.raises(InputError, match='features'):
            place_map.add(features, some_place(3))
    with pytest.raises(InputError, match='already in the map'):
        place_map.add(good, some_place(2))
    bad_places = [
        Place(-1, 0),
        Place(2**64, 0),
        Place(7, 2**63),
        Place(7, 0, pose=np.full((4, 4), np.nan)),
        Place(7, 0, pose=np.eye(3)),
    ]
    for place in bad_places:
        with pytest.raises(InputError, match='place'):
            place_map.add(good, place)
    with pytest.raises(InputError, match='image'):
        place_map.add(good, some_place(3), np.zeros((4, 4), np.uint8))
    assert len(place_map) == 3 == len(place_map.index) == len(place_map.store)


def test_nothing_in_memory_knows_how_maps_lie_on_disk():
    folder = Path(place_map_module.__file__).parent
    names = [path.name for path in folder.glob('*.py')]
    assert 'place_map.py' in names and 'index.py' in names
    for name in names:
        text = (folder / name).read_text()
        assert not re.search(r'maps\.(storage|building)|np\.(load|save)|open\(', text), name
