# SPDX-License-Identifier: MIT
"""PlaceMap: what is added comes back, in RAM and from disk, in every storage type."""

import dataclasses
import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from map_helpers import (
    array_bytes,
    GRID,
    IDENTITY,
    OTHER,
    some_features,
    some_image,
    some_map,
    some_place,
    unit,
)
import numpy as np
import pytest

from selavpr_model.config import MapConfig
from selavpr_model.errors import (
    InputError,
    MapBusyError,
    MapEmptyError,
    MapExistsError,
    MapModelError,
)
from selavpr_model.local_codec import LocalCodec
from selavpr_model.map_local import Block, decode, encode
from selavpr_model.map_writer import lock
from selavpr_model.matching import count_mutual, mutual_matches
from selavpr_model.place_map import PlaceMap
from selavpr_model.records import Features, Place

DTYPES = ('int8', 'fp16', 'exact')
# largest error of a vector of 16 channels before it is made a unit vector again
ERRORS = {'int8': np.sqrt(16) / 254, 'fp16': 2**-11, 'exact': 1e-7}


def cells_of(seed: int) -> np.ndarray:
    return some_features(seed).local.reshape(-1, GRID[2])


def decoded(block: Block) -> np.ndarray:
    out = np.empty(block.codes.shape[1:], np.float32)
    decode(block.codes[0], None if block.scales is None else block.scales[0], out)
    return out


@pytest.mark.parametrize('dtype', DTYPES)
def test_what_was_added_comes_back_from_disk(tmp_path, dtype):
    made = some_map(12, dtype)
    made.save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map', IDENTITY)
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


@pytest.mark.parametrize('dtype', DTYPES)
def test_local_features_keep_their_direction_within_the_bound(dtype):
    for seed in range(20):
        cells = cells_of(seed)
        block = encode(cells, dtype)
        back = decoded(block)
        np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1.0, atol=1e-6)
        peak = np.abs(cells).max(axis=1)
        bound = ERRORS[dtype] * (peak if dtype == 'int8' else 1.0) + 1e-6
        # making a vector that is off by e a unit vector again leaves it off by 2 e at most
        assert (np.linalg.norm(back - cells, axis=1) <= 2 * bound).all()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), power=st.floats(1, 8), channels=st.integers(1, 64))
def test_int8_keeps_the_cosine_of_spiky_features(seed, power, channels):
    values = np.random.default_rng(seed).normal(size=(3, channels))
    cells = unit(np.sign(values) * np.abs(values) ** power + 1e-9)
    block = encode(cells, 'int8')
    back = decoded(block)
    assert ((back * cells).sum(axis=1) >= 1 - channels / 254**2 - 1e-6).all()


def test_a_cell_without_direction_stays_zero():
    cells = cells_of(0).copy()
    cells[3] = 0
    block = encode(cells, 'int8')
    back = decoded(block)
    assert (back[3] == 0).all() and np.isfinite(back).all()


def test_int8_needs_a_quarter_of_the_bytes(tmp_path):
    sizes = {}
    for dtype in DTYPES:
        some_map(40, dtype).save(tmp_path / dtype)
        files = PlaceMap.open(tmp_path / dtype).manifest['files']
        sizes[dtype] = files['local.npy']['bytes']
    assert sizes['int8'] < 0.3 * sizes['exact'] and sizes['fp16'] < 0.6 * sizes['exact']


def test_local_reads_the_rows_asked_for_in_that_order(tmp_path):
    some_map(9, 'exact').save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map')
    local = opened.local([7, 0, 7])
    assert local.shape == (3, 16, 16) and local.dtype == np.float32
    for got, seed in zip(local, (7, 0, 7), strict=True):
        assert (got == cells_of(seed)).all()
    assert opened.local([]).shape == (0, 16, 16)


@pytest.mark.parametrize('row', [-1, 9, 10**12])
def test_a_row_that_is_not_there_is_refused(row):
    with pytest.raises(InputError, match='row'):
        some_map(9).local([row])


def test_local_features_stay_on_disk_until_they_are_asked_for(tmp_path):
    some_map(9).save(tmp_path / 'map')
    block = PlaceMap.open(tmp_path / 'map')._local.blocks[0]
    assert isinstance(block.codes, np.memmap) and not block.codes.flags.writeable


def test_every_place_is_found_by_its_own_features(tmp_path):
    some_map(12).save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map')
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


def test_thumbnails_are_small_rgb_and_missing_where_none_was_given(tmp_path):
    some_map(6).save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map')
    assert opened.thumbnail(0) is None and opened.thumbnail(4) is None
    small = opened.thumbnail(1)
    assert small.shape == (12, 16, 3) and small.dtype == np.uint8
    difference = small.astype(int) - some_image(1)[::2, ::2]
    assert np.abs(difference).mean() < 25, 'colours are not those of the image (BGR?)'


def test_a_map_without_thumbnails_can_be_saved(tmp_path):
    plain = PlaceMap.empty(IDENTITY, MapConfig(thumbnail_px=0))
    plain.add(some_features(0), some_place(0), some_image(0))
    plain.save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map')
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
    made.save(tmp_path / 'map')
    for got, place in zip(PlaceMap.open(tmp_path / 'map').places, places, strict=True):
        assert (got.id, got.stamp_ns, got.name) == (place.id, place.stamp_ns, place.name)
        assert (got.session, got.camera_frame) == (place.session, place.camera_frame)
    assert (PlaceMap.open(tmp_path / 'map').places[0].pose == pose).all()


def test_adding_to_an_opened_map_keeps_rows_and_ids_and_leaves_the_disk_alone(tmp_path):
    some_map(6).save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map')
    row = opened.add(some_features(99), Place(opened.next_id, 5), some_image(1))
    assert row == 6 and opened.places[6].id == 6 and len(opened) == 7
    assert opened.search(some_features(99).global_, 1)[0][0] == 6
    assert len(PlaceMap.open(tmp_path / 'map')) == 6
    opened.save(tmp_path / 'map', overwrite=True)
    again = PlaceMap.open(tmp_path / 'map')
    assert [p.id for p in again.places] == list(range(7))
    assert again.revision == 2 and again.map_id == opened.map_id
    assert (again.local([0, 6]) == opened.local([0, 6])).all()


def test_two_saves_of_the_same_places_have_the_same_bytes(tmp_path):
    for name in ('a', 'b'):
        some_map(10).save(tmp_path / name)
    assert array_bytes(PlaceMap.open(tmp_path / 'a')) == array_bytes(PlaceMap.open(tmp_path / 'b'))


def test_joined_maps_equal_one_map(tmp_path):
    whole, first, second = some_map(10), some_map(6), PlaceMap.empty(IDENTITY, some_map(0).config)
    for i in range(6, 10):
        second.add(some_features(i), some_place(i), some_image(i) if i % 4 else None)
    second.save(tmp_path / 'second')
    first.extend(PlaceMap.open(tmp_path / 'second'))
    first.save(tmp_path / 'joined')
    whole.save(tmp_path / 'whole')
    joined = PlaceMap.open(tmp_path / 'joined')
    assert array_bytes(joined) == array_bytes(PlaceMap.open(tmp_path / 'whole'))


def test_maps_that_do_not_fit_together_are_not_joined():
    with pytest.raises(InputError, match='in both maps'):
        some_map(3).extend(some_map(3))
    with pytest.raises(InputError, match='cannot be joined'):
        some_map(3).extend(some_map(3, 'fp16'))
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
    assert len(place_map) == 3 == len(place_map._index) == len(place_map._local)


def test_saving_over_a_map_has_to_be_asked_for(tmp_path):
    some_map(4).save(tmp_path / 'map')
    with pytest.raises(MapExistsError, match='overwrite'):
        some_map(5).save(tmp_path / 'map')
    assert len(PlaceMap.open(tmp_path / 'map')) == 4
    some_map(5).save(tmp_path / 'map', overwrite=True)
    assert len(PlaceMap.open(tmp_path / 'map')) == 5


def test_a_folder_or_file_that_is_no_map_is_never_written_to(tmp_path):
    (tmp_path / 'photo.jpg').write_bytes(b'mine')
    for overwrite in (False, True):
        with pytest.raises(MapExistsError, match=r'photo\.jpg'):
            some_map(2).save(tmp_path, overwrite)
        with pytest.raises(MapExistsError, match='is a file'):
            some_map(2).save(tmp_path / 'photo.jpg', overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ['photo.jpg']


def test_an_empty_map_is_not_saved_over_a_good_one(tmp_path):
    some_map(4).save(tmp_path / 'map')
    with pytest.raises(MapEmptyError):
        PlaceMap.empty(IDENTITY).save(tmp_path / 'map', overwrite=True)
    assert len(PlaceMap.open(tmp_path / 'map')) == 4


def test_an_opened_map_stays_whole_when_it_is_replaced(tmp_path):
    some_map(8, 'exact').save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map')
    some_map(20, 'exact', seed=1).save(tmp_path / 'map', overwrite=True)
    assert len(list(tmp_path.glob('map/data-*'))) == 1, 'the old data is gone from the disk'
    for row in range(8):
        assert (opened.local([row])[0] == cells_of(row)).all()
    assert opened.thumbnail(1) is not None
    opened.save(tmp_path / 'copy')
    assert (PlaceMap.open(tmp_path / 'copy').local([5])[0] == cells_of(5)).all()


def test_only_one_process_writes_a_map_at_a_time(tmp_path):
    some_map(4).save(tmp_path / 'map')
    with lock(tmp_path / 'map'), pytest.raises(MapBusyError, match='another process'):
        some_map(5).save(tmp_path / 'map', overwrite=True)
    some_map(5).save(tmp_path / 'map', overwrite=True)
    assert len(PlaceMap.open(tmp_path / 'map')) == 5


def test_a_save_waits_for_a_reader_that_tidies_up(tmp_path):
    some_map(4).save(tmp_path / 'map')
    held, free = threading.Event(), threading.Event()

    def tidy() -> None:
        with lock(tmp_path / 'map'):
            held.set()
            free.wait(0.2)

    reader = threading.Thread(target=tidy)
    reader.start()
    held.wait()
    some_map(5).save(tmp_path / 'map', overwrite=True)
    reader.join()
    assert len(PlaceMap.open(tmp_path / 'map')) == 5


def test_leftovers_of_killed_saves_are_removed_but_not_while_another_process_writes(tmp_path):
    path = tmp_path / 'map'
    some_map(4).save(path)
    leftover = path / 'data-000007-0123abcd'
    leftover.mkdir()
    (leftover / 'global.npy').write_bytes(b'half')
    (path / 'notes.txt').write_text('mine')
    with lock(path):
        PlaceMap.open(path)
        assert leftover.exists()
    PlaceMap.open(path)
    assert not leftover.exists() and (path / 'notes.txt').read_text() == 'mine'


def test_what_is_stored_exactly_is_compared_where_it_lies_and_counts_what_the_features_do(
    tmp_path,
):
    shape = (35, 33, 128)
    identity = dataclasses.replace(IDENTITY, local_shape=shape)
    made = PlaceMap.empty(identity, MapConfig(local_dtype='exact', thumbnail_px=0))
    views = [
        unit(np.random.default_rng(n).normal(size=shape)).astype(np.float32) for n in range(2)
    ]
    for number, view in enumerate(views):
        made.add(Features(some_features(number).global_, view), some_place(number))
    made.save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map', identity)
    codes = opened.codes([0, 1])
    assert isinstance(codes[0].base, np.memmap) or isinstance(codes[0], np.memmap)
    np.testing.assert_array_equal(codes[1], views[1].reshape(-1, 128))
    plain = [view.reshape(-1, 128) for view in views]
    assert count_mutual(opened.code(views[0]), codes).tolist() == [35 * 33, len(
        mutual_matches(*plain))]  # fmt: skip


@pytest.mark.parametrize('preset', ['compact', 'dense', 'tiny'])
def test_a_dense_map_counts_the_matches_of_its_codes_where_they_lie(tmp_path, preset):
    """Saved, opened, grown and merged, the counts stay those of the codec."""
    shape = (35, 33, 128)
    identity = dataclasses.replace(IDENTITY, local_shape=shape)
    made = PlaceMap.empty(identity, MapConfig(local_dtype=preset, thumbnail_px=0))
    rng = np.random.default_rng(5)
    views = [unit(rng.normal(size=shape)) for _ in range(3)]
    for number, view in enumerate(views[:2]):
        made.add(Features(some_features(number).global_, view), some_place(number))
    made.save(tmp_path / 'map')
    opened = PlaceMap.open(tmp_path / 'map', identity)
    opened.add(Features(some_features(2).global_, views[2]), some_place(2))
    query = opened.code(unit(views[1] + 0.4 * unit(rng.normal(size=shape))))
    codec = LocalCodec(preset, shape)
    cells = codec.grid[0] * codec.grid[1]
    assert opened.grid == codec.grid and opened.codes([0])[0].dtype == np.int8
    assert opened.local([0, 2]).shape == (2, cells, 128)
    counts = count_mutual(query, opened.codes([0, 1, 2]))
    assert counts.tolist() == [len(mutual_matches(query, codec.encode(v))) for v in views]
    assert counts[1] > 0.9 * cells > 1.5 * max(counts[0], counts[2])
    joined = PlaceMap.empty(identity, opened.config)
    joined.copy(opened, 1, some_place(8))
    assert np.array_equal(joined.codes([0])[0], opened.codes([1])[0])
    assert opened.manifest['local_dtype'] == preset
