# SPDX-License-Identifier: MIT
"""Removing, renaming and naming what is in a map."""

from dataclasses import replace

from map_helpers import some_features, some_map, some_place
import numpy as np
import pytest
from typer.testing import CliRunner

from selavpr_model.cli.app import app
from selavpr_model.errors import ConfigError, InputError, MapEmptyError, MapExistsError
from selavpr_model.maps.building.edit import chosen_rows, edited, Edits
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.records import Camera


@pytest.fixture
def two_sessions():
    """Places 0 to 7 of summer, sqrt(5) m apart, and 100 to 103 of winter beside the first."""
    place_map = some_map(8)
    for n in range(4):
        place = replace(some_place(n), id=100 + n, session='winter')
        place_map.add(some_features(500 + n), place)
    place_map.cameras = {s: Camera(np.eye(3), np.zeros(5), (64, 48)) for s in ('summer', 'winter')}
    place_map.unaligned_sessions = {'winter'}
    return place_map


def ids(place_map) -> list[int]:
    return [place.id for place in place_map.places]


def test_choices_are_ids_ranges_and_surroundings(two_sessions):
    two_sessions.unaligned_sessions = set()
    assert chosen_rows(two_sessions, '5') == [5]
    assert chosen_rows(two_sessions, '6..101') == [6, 7, 8, 9]
    assert chosen_rows(two_sessions, '1@2.3') == [0, 1, 2, 8, 9, 10]


def test_surroundings_leave_out_what_has_no_pose_in_the_frame_of_the_map(two_sessions):
    assert chosen_rows(two_sessions, '1@2.3') == [0, 1, 2]


@pytest.mark.parametrize('choice', ['', 'x', '5..', '@3', '5@', '77', '3@1', '100@1', '-1', '5@x'])
def test_what_names_no_place_is_refused(two_sessions, choice):
    with pytest.raises(InputError, match='places: expected'):
        chosen_rows(two_sessions, choice)  # 3 has no pose; 100 none in the frame of the map


def test_places_and_sessions_go_with_all_that_was_theirs(two_sessions):
    left = edited(two_sessions, Edits(remove=['2..4'], remove_sessions=['winter']))
    assert ids(left) == [0, 1, 5, 6, 7]
    assert set(left.cameras) == {'summer'} and left.unaligned_sessions == set()
    for row, place in enumerate(left.places):
        assert np.array_equal(left.local([row]), two_sessions.local([place.id]))
        assert np.array_equal(left.global_(row), two_sessions.global_(place.id))


def test_a_renamed_session_keeps_its_camera_and_its_frame(two_sessions):
    left = edited(two_sessions, Edits(rename_sessions={'winter': 'january'}))
    assert left.sessions == {'summer', 'january'}
    assert set(left.cameras) == {'summer', 'january'}
    assert left.unaligned_sessions == {'january'}


def test_a_session_may_have_the_name_of_one_that_is_removed_and_nothing_else_of_it(two_sessions):
    two_sessions.cameras['winter'] = Camera(2 * np.eye(3), np.zeros(5), (64, 48))
    swapped = Edits(remove_sessions=['summer'], rename_sessions={'winter': 'summer'})
    left = edited(two_sessions, swapped)
    assert ids(left) == [100, 101, 102, 103] and left.sessions == {'summer'}
    assert left.cameras['summer'].K[0, 0] == 2 and left.unaligned_sessions == {'summer'}
    aligned = Edits(remove_sessions=['winter'], rename_sessions={'summer': 'winter'})
    assert edited(two_sessions, aligned).unaligned_sessions == set()


@pytest.mark.parametrize('names', [{'winter': 'summer'}, {'winter': ''}, {'spring': 'x'}])
def test_sessions_never_become_one(two_sessions, names):
    with pytest.raises(InputError, match='session: expected'):
        edited(two_sessions, Edits(rename_sessions=names))


def test_labels_are_set_kept_on_disk_and_taken_away(two_sessions, tmp_path):
    named = edited(two_sessions, Edits(labels=[('0..2', 'dock'), ('2', 'lab 2')]))
    save_map(named, tmp_path / 'map')
    places = open_map(tmp_path / 'map').places
    assert [place.label for place in places[:4]] == ['dock', 'dock', 'lab 2', '']
    assert places[0].known_as == 'dock' and places[3].known_as == '3.jpg'
    again = edited(open_map(tmp_path / 'map'), Edits(labels=[('0', '')]))
    assert again.places[0].known_as == '0.jpg'


def run(*arguments: object):
    return CliRunner().invoke(app, ['map', *map(str, arguments)])


def test_the_command_replaces_the_map_in_place_and_info_tells_the_names(tmp_path):
    path = tmp_path / 'map'
    save_map(some_map(8), path)
    before = open_map(path)
    result = run(
        'edit', path, '--remove', '7', '--name', 'dock=0..1', '--rename-session', 'summer=may'
    )
    assert result.exit_code == 0, result.output
    after = open_map(path)
    assert (after.map_id, after.revision) == (before.map_id, before.revision + 1)
    assert ids(after) == list(range(7)) and after.sessions == {'may'}
    shown = ' '.join(run('info', path).output.split())
    assert 'dock (2)' in shown and 'may 7 places' in shown


def test_thumbnails_survive_bit_for_bit(tmp_path):
    place_map = some_map(8)
    left = edited(place_map, Edits(remove=['0']))
    assert all(np.array_equal(a, b) for a, b in zip(left.jpegs, place_map.jpegs[1:], strict=True))


def test_the_command_refuses_what_it_cannot_do_and_the_map_stays(tmp_path):
    path = tmp_path / 'map'
    save_map(some_map(8), path)
    save_map(some_map(8), tmp_path / 'other')
    for arguments, error in (
        ((), ConfigError),
        (('--name', 'dock'), ConfigError),
        (('--remove', '99'), InputError),
        (('--remove', '0..7'), MapEmptyError),
        (('--remove', '0', '--out', tmp_path / 'other'), MapExistsError),
    ):
        assert isinstance(run('edit', path, *arguments).exception, error), arguments
    assert open_map(path).revision == 1 and len(open_map(path)) == 8
