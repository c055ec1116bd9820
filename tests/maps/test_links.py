# SPDX-License-Identifier: MIT
"""Closures and odometry in a map: saved, copied, checked; corrected poses."""

from map_helpers import data_of, error_of, IDENTITY, sha256, sign, some_features, some_map
import numpy as np
import pytest

from selavpr_model.errors import InputError, MapDataError
from selavpr_model.maps.building.subset import selected
from selavpr_model.maps.links import LINK, ODOMETRY_ROW
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map

C = np.diag([0.1] * 3 + [0.01] * 3)


def driven(places=8):
    """A map whose places but two have odometry, with two closures."""
    made = some_map(places)
    for row in range(places):
        if row not in (3, 4):
            pose = np.eye(4)
            pose[0, 3] = 10.0 * row
            made.odometry.set(row, pose, int(row > 4))
    made.link(0, 5, np.eye(4), C, metric=True)
    made.link(1, 6, np.eye(4), 2 * C, metric=False)
    return made


@pytest.fixture
def saved(tmp_path):
    save_map(driven(), tmp_path / 'map')
    return tmp_path / 'map'


def test_closures_and_odometry_come_back_from_disk_and_a_map_without_has_no_such_file(saved):
    made, opened = driven(), open_map(saved)
    assert (opened.links == made.links).all() and opened.joined == {0: {5}, 5: {0}, 1: {6}, 6: {1}}
    assert opened.odometry.get(3) is None and opened.odometry.get(6)[1] == 1
    assert opened.odometry.get(6)[0][0, 3] == 60.0
    rows = opened.odometry.array(9)
    assert rows['segment'].tolist() == [0, 0, 0, -1, -1, 1, 1, 1, -1]
    assert {'links.npy', 'odometry.npy'} <= {*opened.manifest['files']}
    save_map(some_map(), saved, overwrite=True)
    assert not {'links.npy', 'odometry.npy'} & {*open_map(saved).manifest['files']}


def test_a_link_without_weight_joins_nothing():
    made = driven()
    made.weigh_links(np.array([0.2]))
    assert made.joined == {1: {6}, 6: {1}} and made.links['weight'].tolist() == [0.2, 1.0]


def test_corrected_poses_are_those_of_the_places_and_of_the_file(saved):
    opened = open_map(saved)
    moved = opened.poses.copy()
    moved[:, 2, 3] += 1.0
    opened.move(moved[:6])
    opened.add(some_features(77), some_map(9).places[8])
    assert [p.pose[2, 3] for p in opened.places if p.pose is not None][:3] == [1.5] * 3
    assert opened.places[6].pose[2, 3] == 0.5 and opened.places[3].pose is None
    save_map(opened, saved, overwrite=True)
    again = open_map(saved).poses
    assert np.array_equal(again, opened.poses, equal_nan=True) and len(again) == 9
    with pytest.raises(InputError, match='at most 9'):
        opened.move(np.tile(np.eye(4), (10, 1, 1)))


def test_a_part_of_a_map_keeps_the_closures_between_its_places_and_their_odometry():
    part = selected(driven(), [5, 0, 6])
    assert part.links[['before', 'after']].tolist() == [(1, 0)] and part.joined == {1: {0}, 0: {1}}
    said = [part.odometry.get(row)[0][0, 3] for row in range(3)]
    assert said == [5.0, 0.0, 6.0], 'as poses are, since a link is gone that may have moved them'
    rest = selected(driven(), [0, 1, 5, 6, 7])
    assert [rest.odometry.get(row)[0][0, 3] for row in range(3)] == [0.0, 10.0, 50.0]
    assert len(rest.links) == 2
    whole = PlaceMap.empty(IDENTITY, part.config)
    whole.add(some_features(50), some_map(20).places[19])
    whole.extend(part)
    assert whole.joined == {2: {1}, 1: {2}} and whole.odometry.get(0) is None
    assert whole.odometry.get(1)[0][0, 3] == 5.0


def tampered(saved, name, change):
    """The error of a map whose array was changed, with its checksum made right."""
    file = data_of(saved) / name
    array = np.load(file)
    changed = change(array)
    np.save(file, array if changed is None else changed)
    entry = {'bytes': file.stat().st_size, 'sha256': sha256(file)}
    if changed is not None:
        entry |= {'shape': list(changed.shape), 'dtype': changed.dtype.str}
    sign(saved, lambda manifest: manifest['files'][name].update(entry))
    return error_of(saved)


def put(field, value):
    def change(array):
        array[field][0] = value

    return change


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (put('before', 8), 'does not join two of 8'),
        (put('after', -1), 'does not join two of 8'),
        (put('after', 0), 'does not join two of 8'),
        (put('pose', 2 * np.eye(4)), 'no rigid transform'),
        (put('pose', np.nan), 'no rigid transform'),
        (put('pose', np.diag([1.0, 1.0, -1.0, 1.0])), 'no rigid transform'),
        (put('covariance', 0.0), 'not symmetric and positive'),
        (put('covariance', np.inf), 'not symmetric and positive'),
        (put('covariance', np.triu(np.ones((6, 6)))), 'not symmetric and positive'),
        (put('weight', 1.5), 'not from 0 to 1'),
        (put('weight', np.nan), 'not from 0 to 1'),
        (put('metric', 7), 'not from 0 to 1'),
        (lambda links: np.tile(links, 401), 'at most 100 links'),
        (lambda links: links[None], 'expected (n,)'),
        (lambda links: links['weight'].copy(), 'expected (n,)'),
    ],
)
def test_closures_that_no_program_writes_are_refused(saved, change, said):
    error = tampered(saved, 'links.npy', change)
    assert isinstance(error, MapDataError) and said in str(error)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (put('segment', -2), 'segments from 0'),
        (put('segment', -1), 'segments from 0'),
        (put('pose', np.nan), 'no rigid transform'),
        (put('pose', 1e12 * np.eye(4)), 'no rigid transform'),
        (lambda rows: rows[:-1].copy(), 'expected'),
        (lambda rows: rows['segment'].copy(), 'expected'),
    ],
)
def test_odometry_that_no_program_writes_is_refused(saved, change, said):
    error = tampered(saved, 'odometry.npy', change)
    assert isinstance(error, MapDataError) and said in str(error)


def test_what_is_empty_is_of_the_same_kind():
    assert (
        len(driven(8).odometry.array(0)) == 0 and driven(8).odometry.array(0).dtype == ODOMETRY_ROW
    )
    assert PlaceMap.empty(IDENTITY).links.dtype == LINK and not PlaceMap.empty(IDENTITY).odometry
