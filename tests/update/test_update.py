# SPDX-License-Identifier: MIT
"""A later drive adds looks to a map: where it is sure, where they are new, and only once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
import shutil

from map_helpers import array_bytes, in_the_evening
import numpy as np
import pytest

from selavpr_model.config import KeyframeConfig, RecognizerConfig, TemporalConfig, UpdateConfig
from selavpr_model.errors import InputError, MapExistsError
from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame
from selavpr_model.update import update_map as updating
from selavpr_model.update.session import UpdateSession
from selavpr_model.update.update_map import update_map, UpdateConfigs

from where import ROOT


@pytest.fixture
def path(summer_map, tmp_path) -> Path:
    """A map to be updated."""
    return Path(shutil.copytree(summer_map, tmp_path / 'map'))


CONFIGS = UpdateConfigs(UpdateConfig(novelty=0.05), RecognizerConfig(), TemporalConfig())


def session_in(path: Path, model, own_poses: bool = False) -> UpdateSession:
    recognizer = PlaceRecognizer(model, open_map(path), temporal=TemporalConfig())
    return UpdateSession(recognizer, CONFIGS.update, KeyframeConfig(), own_poses)


@pytest.fixture(scope='module')
def updated(summer_map, evening, model, tmp_path_factory) -> PlaceMap:
    out = tmp_path_factory.mktemp('maps') / 'updated'
    source = {'path': str(ROOT / 'demo' / 'summer')}
    update_map(summer_map, evening, model, CONFIGS, out=out, source=source, progress=False)
    return open_map(out)


def looks(place_map: PlaceMap) -> list:
    """The places that the update added."""
    return [place for place in place_map.places if place.session != 'summer']


def test_looks_are_added_where_they_were_taken(updated, summer):
    truth = {frame.stamp_ns: frame.pose for frame in summer}
    added = looks(updated)
    assert len(added) >= 15
    off = [np.linalg.norm(p.pose[:3, 3] - truth[p.stamp_ns][:3, 3]) for p in added]
    assert max(off) < 4.4, off  # the distance of two places
    assert len({place.session for place in added}) == 1


def test_the_places_of_the_map_stay_and_it_says_what_was_added(updated, summer_map, evening):
    before = open_map(summer_map)
    assert (updated.map_id, updated.revision) == (before.map_id, before.revision + 1)
    for row in range(len(before)):
        assert updated.places[row].id == before.places[row].id
        assert np.array_equal(updated.codes([row])[0], before.codes([row])[0])
    (told,) = updated.source['updates']
    assert told['looks'] == len(looks(updated)) and told['frames'] == len(evening)
    assert updated.calibration is not None


def test_the_same_drive_adds_nothing_again(updated, evening, model, tmp_path):
    path = tmp_path / 'map'
    save_map(updated, path)
    source = {'path': str(ROOT / 'demo' / 'summer')}
    again = update_map(path, evening, model, CONFIGS, source=source, progress=False)
    assert again.done and open_map(path).revision == updated.revision
    other = update_map(path, evening, model, CONFIGS, source={'path': None}, progress=False)
    assert not other.done and other.counts['known'] > 10 * other.counts.get('added', 0)


def test_what_looks_as_before_is_no_new_look(path, summer, model):
    session = session_in(path, model)
    for frame in summer[::2]:
        session.process(replace(frame, pose=None))
    session.finish()
    assert session.counts['added'] == 0 and session.counts['known'] > 10, session.counts


def test_where_the_robot_is_lost_nothing_is_added(path, summer, model):
    rng = np.random.default_rng(0)
    session = session_in(path, model)
    for frame in summer[1:40:2]:
        strange = rng.integers(0, 256, frame.image.shape, np.uint8)
        session.process(replace(frame, image=strange, pose=None))
    session.finish()
    assert session.counts['added'] == 0 and session.counts['unsure'] > 10, session.counts


def test_broken_odometry_joins_no_answers(path, evening, model):
    """Without a motion between the frames no answer tells where another frame was taken."""
    session = session_in(path, model)
    for number, frame in enumerate(evening[:20]):
        session.process(replace(frame, odom_segment=number))
    session.finish()
    assert session.counts['added'] == 0, session.counts


def test_frozen_odometry_is_told(path, evening, model, caplog):
    frozen = [replace(frame, odom=np.eye(4)) for frame in evening[:40]]
    update_map(path, frozen, model, CONFIGS, progress=False)
    assert [line for line in caplog.messages if 'go without odometry' in line], caplog.messages


def test_without_odometry_nothing_waits_and_the_pose_is_that_of_the_answer(path, evening, model):
    session = session_in(path, model)
    for frame in evening[:20]:
        answer = session.process(replace(frame, odom=None))
        assert session.settled == session.frames
        if len(session.added) and session.added.places[-1].stamp_ns == frame.stamp_ns:
            assert np.array_equal(session.added.places[-1].pose, answer.pose)
    assert session.counts['added'] >= 2, session.counts


def test_poses_of_the_source_are_taken_as_they_are(path, summer, model):
    session = session_in(path, model, own_poses=True)
    for frame in summer[1::2]:
        session.process(replace(in_the_evening(frame), pose=frame.pose))
    joined = session.finish()
    truth = {frame.stamp_ns: frame.pose for frame in summer}
    assert len(looks(joined)) >= 15
    for place in looks(joined):
        assert np.array_equal(place.pose, truth[place.stamp_ns])


def test_poses_in_another_frame_are_refused_with_the_cure(path, summer, model):
    session, shift = session_in(path, model, own_poses=True), np.eye(4)
    shift[0, 3] = 100.0
    for frame in summer[1::2]:
        session.process(replace(in_the_evening(frame), pose=shift @ frame.pose))
    with pytest.raises(InputError, match='poses: expected poses in the frame of the map'):
        session.finish()


def test_a_map_without_poses_is_refused(model, summer, tmp_path):
    frames = [replace(frame, pose=None) for frame in summer[:12:2]]
    place_map = build_map(frames, model, tmp_path / 'map', progress=False)
    with pytest.raises(InputError, match='expected places with poses'):
        UpdateSession(PlaceRecognizer(model, place_map))


class Stopping:
    """A source that fails like a machine that goes down, before frame `number`."""

    def __init__(self, frames: list[Frame], number: int) -> None:
        self.frames, self.number = frames, number

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        for index, frame in enumerate(self.frames):
            if index == self.number:
                raise KeyboardInterrupt
            yield frame


@pytest.mark.parametrize('number', [3, 30])
def test_stopped_it_leaves_the_map_and_goes_on(path, evening, model, monkeypatch, number):
    monkeypatch.setattr(updating, 'CHUNK_PLACES', 4)
    before = array_bytes(open_map(path))
    source = {'path': 'evening'}
    with pytest.raises(KeyboardInterrupt):
        update_map(path, Stopping(evening, number), model, CONFIGS, source=source, progress=False)
    assert array_bytes(open_map(path)) == before
    update_map(path, evening, model, CONFIGS, source=source, progress=False)
    stamps = [place.stamp_ns for place in looks(open_map(path))]
    assert len(stamps) >= 15 and len(set(stamps)) == len(stamps)
    assert len({place.session for place in looks(open_map(path))}) == 1
    assert not path.with_name('map.updating').exists()


def test_another_map_is_replaced_only_when_asked(path, evening, model, tmp_path):
    other = Path(shutil.copytree(path, tmp_path / 'other'))
    with pytest.raises(MapExistsError):
        update_map(path, evening, model, CONFIGS, out=other, progress=False)
