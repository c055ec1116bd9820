# SPDX-License-Identifier: MIT
"""Maps joined into one."""

import dataclasses
import json
import logging

from map_helpers import IDENTITY, OTHER, some_features, some_image, some_place
import numpy as np
import pytest
from replay_helpers import command

from selavpr_model.config import MapConfig
from selavpr_model.errors import InputError, MapExistsError, MapModelError
from selavpr_model.maps.building.merge import merge_maps
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Camera


def saved(path, session, numbers, identity=IDENTITY, shift=(0.0, 0.0, 0.0), **config):
    """A map on disk whose place n has features and image n of its session, moved by `shift`."""
    made = PlaceMap.empty(identity, MapConfig(**config))
    for n in numbers:
        seed = n + 1000 * (session == 'b')
        place = dataclasses.replace(some_place(n), session=session)
        if place.pose is not None:
            place.pose[:3, 3] += shift
        made.add(some_features(seed), place, some_image(seed))
    made.cameras[session] = Camera(np.eye(3) * (1 + len(numbers)), np.zeros(5), (64, 48))
    save_map(made, path)
    return open_map(path)


@pytest.fixture
def two(tmp_path):
    return saved(tmp_path / 'a', 'a', range(8)), saved(tmp_path / 'b', 'b', range(4, 12))


def test_everything_is_there_bit_for_bit_and_ids_that_were_free_stay(two, tmp_path):
    a, b = two
    merged = merge_maps([a.path, b.path], tmp_path / 'c', progress=False)
    assert len(merged) == len(a) + len(b) and merged.sessions == {'a', 'b'}
    ids = [place.id for place in merged.places]
    assert ids[:8] == list(range(8)) and len(set(ids)) == len(ids)
    assert ids[8:] == [12, 13, 14, 15, 8, 9, 10, 11]
    for start, part in ((0, a), (8, b)):
        for row in range(len(part)):
            assert np.array_equal(merged.global_(start + row), part.global_(row))
            assert np.array_equal(merged.local([start + row]), part.local([row]))
            assert merged.places[start + row].stamp_ns == part.places[row].stamp_ns
            assert np.array_equal(merged.places[start + row].pose, part.places[row].pose)


def test_every_session_keeps_its_camera(two, tmp_path):
    merged = merge_maps([m.path for m in two], tmp_path / 'c', progress=False)
    assert set(merged.cameras) == {'a', 'b'}
    for part in two:
        ((session, camera),) = part.cameras.items()
        assert np.array_equal(merged.cameras[session].K, camera.K)


@pytest.mark.parametrize(('frame', 'expected'), [('map', set()), ('odom', {'b'})])
def test_runs_that_have_no_frame_in_common_stay_apart(tmp_path, frame, expected):
    a, b = (saved(tmp_path / s, s, range(8), frame_id=frame) for s in 'ab')
    merged = merge_maps([a.path, b.path], tmp_path / 'c', progress=False)
    assert merged.unaligned_sessions == open_map(tmp_path / 'c').unaligned_sessions == expected
    assert merged.sessions == {'a', 'b'}
    again = merge_maps([merged.path], tmp_path / 'd', progress=False)
    assert again.unaligned_sessions == expected


def test_runs_of_one_name_get_names_of_their_own_where_they_share_no_frame(tmp_path):
    a, b = (saved(tmp_path / n, 'run', range(8), frame_id='odom') for n in 'ab')
    merged = merge_maps([a.path, b.path], tmp_path / 'c', progress=False)
    assert merged.sessions == {'run', 'run-2'} == set(merged.cameras)
    assert merged.unaligned_sessions == {'run-2'}
    parts = merge_maps([a.path, b.path], tmp_path / 'd', progress=False, source={'kind': 'bag'})
    assert parts.sessions == {'run'} and parts.unaligned_sessions == set()


def test_the_manifest_says_where_each_place_came_from(two, tmp_path):
    merged = merge_maps([m.path for m in two], tmp_path / 'c', progress=False)
    first, second = merged.source['maps']
    assert first['new_ids'] == {} and second['new_ids'] == {'4': 12, '5': 13, '6': 14, '7': 15}
    assert second['map_id'] == two[1].map_id and second['sessions'] == ['b']


def test_maps_of_another_model_or_storage_are_refused_and_nothing_is_written(tmp_path):
    a = saved(tmp_path / 'a', 'a', range(3))
    other = saved(tmp_path / 'other', 'b', range(3), OTHER)
    stored = saved(tmp_path / 'stored', 'b', range(3), local_dtype='exact')
    framed = saved(tmp_path / 'framed', 'b', range(3), frame_id='site')
    with pytest.raises(MapModelError):
        merge_maps([a.path, other.path], tmp_path / 'c')
    for unlike in (stored, framed):
        with pytest.raises(InputError, match='build the maps alike'):
            merge_maps([a.path, unlike.path], tmp_path / 'c')
    assert not (tmp_path / 'c').exists()


def test_the_same_places_are_refused_twice_whichever_way_they_come(two, tmp_path):
    a, b = two
    grown = open_map(a.path)
    grown.add(some_features(99), some_place(99))
    save_map(grown, tmp_path / 'grown')
    merge_maps([a.path, b.path], tmp_path / 'c', progress=False)
    for paths in ([a.path, a.path], [a.path, tmp_path / 'grown'], [tmp_path / 'c', b.path]):
        with pytest.raises(InputError, match=r'also in .*; leave one of the two out'):
            merge_maps(paths, tmp_path / 'd')
    assert not (tmp_path / 'd').exists()


def test_maps_that_lie_apart_are_joined_with_a_warning(two, tmp_path, caplog):
    a, b = two
    caplog.set_level(logging.WARNING)  # other tests let more through
    above = saved(tmp_path / 'above', 'c', range(8), shift=(0.0, 0.0, 4.0))
    merge_maps([a.path, b.path, above.path], tmp_path / 'd', progress=False)
    assert not caplog.text
    far = saved(tmp_path / 'far', 'c', range(8), shift=(500.0, 0.0, 0.0))
    merge_maps([a.path, b.path, far.path], tmp_path / 'e', progress=False)
    (told,) = (record.getMessage() for record in caplog.records)
    assert told.startswith(f'{far.path}: no place lies where other maps have some')


def test_a_map_that_is_there_is_only_replaced_when_asked(two, tmp_path):
    a, b = two
    with pytest.raises(MapExistsError, match='--overwrite'):
        merge_maps([a.path], b.path)
    assert len(open_map(b.path)) == 8
    assert len(merge_maps([a.path, b.path], b.path, overwrite=True, progress=False)) == 16


def test_the_command_writes_the_manifest_as_json(two, tmp_path, capsys):
    paths = [str(m.path) for m in two]
    out = str(tmp_path / 'c')
    assert command('map', 'merge', *paths, '--out', out, '--json', str(tmp_path / 'j')) == 0
    assert json.loads((tmp_path / 'j').read_text())['counts']['places'] == 16
    told = ' '.join(''.join(c for c in capsys.readouterr().out if c not in '│┃').split())
    assert '(4 new ids)' in told and "'4': 12" not in told
    assert command('map', 'merge', *paths, '--out', out) == 1
