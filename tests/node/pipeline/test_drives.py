# SPDX-License-Identifier: MIT
"""Where a drive in SLAM begins and ends: what has grown is saved, and found again."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
import shutil
from typing import Any

import numpy as np
from pipeline_helpers import (
    Drive,
    drive_on,
    driver,
    FRAMES,
    map_problem,
    pipeline_with,
    sessions,
    slam_in,
)
import pytest

from selavpr_model.config import RecognizerConfig, TemporalConfig
from selavpr_model.errors import MapExistsError, MapSpaceError
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import Frame, State
from selavpr_ros.node.pipeline.request import NotReadyError, Request
from selavpr_ros.node.pipeline.states import Localizing, Mapping, odometry_is_frozen

pytestmark = pytest.mark.usefixtures('rescued')


@pytest.fixture
def wanted(extractor: Any, tmp_path: Path) -> Request:
    return slam_in(tmp_path / 'grown', extractor)


@pytest.fixture
def driven(extractor: Any, street: list[Frame]) -> Drive:
    return driver(extractor, street)


def test_a_map_that_is_not_there_yet_is_no_problem_in_slam(driven, wanted, caplog):
    with caplog.at_level(logging.INFO):
        pipeline = driven(wanted)
    assert pipeline.state.problem is None
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []
    assert f'a new map grows, to be saved to {wanted.map}' in caplog.text
    pipeline.end_drive()
    assert sessions(wanted.map) == ['drive'] * FRAMES


def test_a_run_of_the_same_name_gets_a_name_of_its_own(driven, wanted):
    for run in (1, 2, 3):
        pipeline = driven(wanted)
        pipeline.end_drive()
        assert len(pipeline.place_map) == run * FRAMES
    assert pipeline.place_map.sessions == {'drive', 'drive-2', 'drive-3'}
    assert pipeline.place_map.unaligned_sessions == {'drive-2', 'drive-3'}


def test_slam_that_saw_nothing_says_so(extractor, wanted):
    pipeline = pipeline_with(extractor)
    pipeline.load(wanted)
    pipeline.end_drive()
    with pytest.raises(NotReadyError, match='before its first keyframe'):
        pipeline.query(Frame(0, np.zeros((8, 8, 3), np.uint8)))


@pytest.mark.parametrize('kind', ['other files', 'a file', 'no folder can be made'])
def test_slam_does_not_start_where_its_map_could_not_be_saved(extractor, wanted, kind, caplog):
    path = Path(wanted.map)
    if kind == 'other files':
        path.mkdir()
        (path / 'holiday.jpg').write_bytes(b'x')
    elif kind == 'a file':
        path.write_bytes(b'x')
    else:
        wanted = dataclasses.replace(wanted, map='/proc/grown')
    pipeline = pipeline_with(extractor)
    pipeline.load(wanted)
    assert not isinstance(pipeline.state, Mapping) and wanted.map in map_problem(pipeline)
    assert not pipeline.ready and map_problem(pipeline) in caplog.text


def test_a_damaged_map_is_neither_grown_nor_replaced(extractor, wanted):
    path = Path(wanted.map)
    path.mkdir()
    (path / 'manifest.json').write_text('{')
    pipeline = pipeline_with(extractor)
    pipeline.load(wanted)
    assert not isinstance(pipeline.state, Mapping) and str(path) in map_problem(pipeline)
    assert (path / 'manifest.json').read_text() == '{'


def test_without_a_folder_it_says_at_once_where_it_will_be_saved(driven, wanted, rescued, caplog):
    pipeline = driven(dataclasses.replace(wanted, map=''))
    assert str(rescued) in caplog.text and '~/save_map' in caplog.text
    pipeline.end_drive()
    (spare,) = rescued.iterdir()
    assert isinstance(pipeline.state, Localizing) and sessions(spare) == ['drive'] * FRAMES
    assert str(spare) in caplog.text


def test_a_folder_given_while_it_grows_is_where_it_is_saved(driven, wanted):
    pipeline = driven(dataclasses.replace(wanted, map=''))
    slam = pipeline.state.slam
    pipeline.load(wanted)
    assert pipeline.state.slam is slam and slam.added == FRAMES
    pipeline.end_drive()
    assert sessions(wanted.map) == ['drive'] * FRAMES


def test_what_cannot_be_saved_at_the_end_is_saved_elsewhere(driven, wanted, rescued, caplog):
    for count in (1, 2):
        pipeline = driven(wanted)
        (Path(wanted.map) / 'holiday.jpg').write_bytes(b'x')
        pipeline.end_drive()
        (Path(wanted.map) / 'holiday.jpg').unlink()
        spares = list(rescued.iterdir())
        assert len(spares) == count and all(sessions(s) == ['drive'] * FRAMES for s in spares)
    assert 'holiday.jpg' in caplog.text and str(spares[0]) in caplog.text


def test_what_can_be_saved_nowhere_grows_on(driven, wanted, tmp_path, monkeypatch):
    monkeypatch.setenv('SELAVPR_HOME', '/proc/home')
    pipeline = driven(wanted)
    (Path(wanted.map) / 'holiday.jpg').write_bytes(b'x')
    with pytest.raises((MapExistsError, MapSpaceError)):
        pipeline.end_drive()
    assert isinstance(pipeline.state, Mapping) and pipeline.state.slam.added == FRAMES
    pipeline.load(dataclasses.replace(wanted, map=str(tmp_path / 'other')))
    assert isinstance(pipeline.state, Mapping) and '/proc/home' in map_problem(pipeline)


@pytest.mark.parametrize('enabled', [False, True])
def test_after_slam_the_sequence_knows_the_new_places(
    extractor, street, street_map, tmp_path, wanted, enabled
):
    path = Path(shutil.copytree(street_map, tmp_path / 'copy'))
    wanted = dataclasses.replace(wanted, map=str(path), temporal=TemporalConfig(enabled=enabled))
    pipeline = pipeline_with(extractor)
    pipeline.load(dataclasses.replace(wanted, slam=None))
    pipeline.start_drive(wanted)
    drive_on(pipeline, street[:FRAMES])
    late = dataclasses.replace(wanted, recognizer=RecognizerConfig(candidates=7))
    pipeline.configure_recognizer(late)  # waits
    pipeline.end_drive()
    answers = [pipeline.process(frame).recognition for frame in street]
    assert {len(answer.candidates) for answer in answers} == {7}
    assert {answer.candidates[0].row for answer in answers} <= set(range(16))


@pytest.mark.parametrize('reopened', [False, True])
def test_places_of_another_runs_odometry_give_no_pose_in_the_frame_of_the_map(
    extractor, street, street_map, tmp_path, wanted, reopened
):
    path = Path(shutil.copytree(street_map, tmp_path / 'copy'))
    posed = open_map(path)
    alone = dataclasses.replace(wanted, map=str(path), temporal=TemporalConfig(enabled=False))
    pipeline = pipeline_with(extractor)
    pipeline.load(alone)
    new = [dataclasses.replace(f, image=np.ascontiguousarray(f.image[:, ::-1])) for f in street]
    *_, last = drive_on(pipeline, new)
    assert isinstance(pipeline.state, Mapping) and pipeline.state.slam.added == len(new)
    assert last.keyframe is not None and last.keyframe.pose is None
    pipeline.end_drive()
    if reopened:
        pipeline = pipeline_with(extractor)
        pipeline.load(dataclasses.replace(alone, slam=None))
    assert pipeline.place_map.unaligned_sessions == {'drive'}
    told = [pipeline.process(frame).recognition for frame in new]
    assert all(answer.candidates[0].place.session == 'drive' for answer in told)
    localized = [answer for answer in told if answer.state is State.LOCALIZED]
    assert localized and all('own odometry' in answer.reason for answer in localized)
    assert all(a.pose is None and a.candidates[0].place.pose is None for a in told)
    for row, frame in enumerate(street):
        answer = pipeline.process(dataclasses.replace(frame, odom=None)).recognition
        assert answer.candidates[0].row == row and answer.state is State.LOCALIZED
        np.testing.assert_allclose(answer.pose, posed.places[row].pose, atol=1e-9)


def test_a_break_of_odometry_starts_a_segment(
    extractor: Any, street: list[Frame], tmp_path: Path
) -> None:
    """However near the poses are: another number of the segment is enough."""
    pipeline = pipeline_with(extractor)
    pipeline.load(slam_in(tmp_path / 'map', extractor))
    for i, frame in enumerate(street[:FRAMES]):
        odom = np.eye(4)
        odom[2, 3] = 3.0 * i
        stamp_ns = (1_800_000_000 + 3 * i) * 10**9
        pipeline.process(Frame(stamp_ns, frame.image, odom=odom, odom_segment=i // 2))
    assert isinstance(pipeline.state, Mapping)
    segments = [point.segment for point in pipeline.state.slam._track.points]
    assert segments == [0, 0, 1, 1]


def test_odometry_that_stands_still_makes_no_run_of_one_place(
    extractor: Any, street: list[Frame], tmp_path: Path
) -> None:
    pipeline = pipeline_with(extractor)
    pipeline.load(slam_in(tmp_path / 'map', extractor))
    for i, frame in enumerate(street[:FRAMES]):
        stamp_ns = (1_800_000_000 + 3 * i) * 10**9
        pipeline.process(Frame(stamp_ns, frame.image, odom=np.eye(4)))
    assert isinstance(pipeline.state, Mapping) and pipeline.state.slam.added == FRAMES
    assert odometry_is_frozen(pipeline.state)
