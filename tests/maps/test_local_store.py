# SPDX-License-Identifier: MIT
"""Local features of a map: how exactly each storage type keeps and compares them."""

import dataclasses

from map_helpers import IDENTITY, some_features, some_map, some_place, unit
import numpy as np
import pytest

from selavpr_model.config import MapConfig
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.matching.codec import codec_of
from selavpr_model.matching.nearest import count_mutual, mutual_matches
from selavpr_model.records import Features


def test_each_storage_needs_fewer_bytes_than_the_one_before(tmp_path):
    sizes = []
    for dtype in ('exact', 'dense', 'tiny'):
        save_map(some_map(40, dtype), tmp_path / dtype)
        sizes.append(open_map(tmp_path / dtype).manifest['files']['local.npy']['bytes'])
    assert sizes[1] < 0.3 * sizes[0] and sizes[2] < 0.6 * sizes[1]


def test_local_features_stay_on_disk_until_they_are_asked_for(tmp_path):
    save_map(some_map(9), tmp_path / 'map')
    block = open_map(tmp_path / 'map').store.blocks[0]
    assert isinstance(block, np.memmap) and not block.flags.writeable


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
    save_map(made, tmp_path / 'map')
    opened = open_map(tmp_path / 'map', identity)
    codes = opened.codes([0, 1])
    assert isinstance(codes[0].base, np.memmap) or isinstance(codes[0], np.memmap)
    np.testing.assert_array_equal(codes[1], views[1].reshape(-1, 128))
    query = opened.code(Features(some_features(0).global_, views[0]))
    other = mutual_matches(*(view.reshape(-1, 128) for view in views))
    assert count_mutual(query, codes).tolist() == [35 * 33, len(other)]


@pytest.mark.parametrize('preset', ['fast', 'dense', 'tiny'])
def test_a_dense_map_counts_the_matches_of_its_codes_where_they_lie(tmp_path, preset):
    """Saved, opened, grown and merged, the counts stay those of the codec."""
    shape = (35, 33, 128)
    identity = dataclasses.replace(IDENTITY, local_shape=shape)
    made = PlaceMap.empty(identity, MapConfig(local_dtype=preset, thumbnail_px=0))
    rng = np.random.default_rng(5)
    views = [unit(rng.normal(size=shape)) for _ in range(3)]
    for number, view in enumerate(views[:2]):
        made.add(Features(some_features(number).global_, view), some_place(number))
    save_map(made, tmp_path / 'map')
    opened = open_map(tmp_path / 'map', identity)
    opened.add(Features(some_features(2).global_, views[2]), some_place(2))
    changed = unit(views[1] + 0.4 * unit(rng.normal(size=shape)))
    query = opened.code(Features(some_features(2).global_, changed))
    codec = codec_of(preset, shape)
    cells = codec.grid[0] * codec.grid[1]
    assert opened.grid == codec.grid and opened.codes([0])[0].dtype == np.int8
    assert opened.local([0, 2]).shape == (2, cells, 128)
    counts = count_mutual(query, opened.codes([0, 1, 2]))
    assert counts.tolist() == [
        len(mutual_matches(query, codec.view(codec.store(Features(v[0, 0], v))))) for v in views
    ]
    assert counts[1] > 0.9 * cells > 1.5 * max(counts[0], counts[2])
    joined = PlaceMap.empty(identity, opened.config)
    joined.copy(opened, 1, some_place(8))
    assert np.array_equal(joined.codes([0])[0], opened.codes([1])[0])
    assert opened.manifest['local_dtype'] == preset
