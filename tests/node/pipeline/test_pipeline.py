# SPDX-License-Identifier: MIT
"""Model and map behind the node: whatever is loaded meanwhile, no grown map is lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from pipeline_helpers import Drive, driver, FRAMES, map_problem, pipeline_with, sessions, slam_in
import pytest

from selavpr_model.config import MapConfig, RecognizerConfig, TemporalConfig
from selavpr_model.errors import MapNotFoundError
from selavpr_model.maps.storage.store import open_map
from selavpr_model.recognizer import believe
from selavpr_model.records import Frame, Recognition, State
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.request import NotReadyError, Request
from selavpr_ros.node.pipeline.states import Asset, Empty, Failed, Localizing, Mapping

pytestmark = pytest.mark.usefixtures('rescued')


@pytest.fixture
def wanted(extractor: Any, tmp_path: Path) -> Request:
    return slam_in(tmp_path / 'grown', extractor)


@pytest.fixture
def driven(extractor: Any, street: list[Frame]) -> Drive:
    return driver(extractor, street)


def test_another_map_by_parameter_saves_the_growing_one_first(driven, wanted, street_map):
    pipeline = driven(wanted)
    pipeline.load(dataclasses.replace(wanted, map=str(street_map)))
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert isinstance(pipeline.state, Mapping) and pipeline.state.problem is None
    assert pipeline.place_map.path == street_map


def test_another_model_by_parameter_saves_it_too_and_goes_on_in_it(driven, wanted):
    pipeline = driven(wanted)
    model = dataclasses.replace(wanted.extractor, batch_size=3)
    pipeline.load(dataclasses.replace(wanted, extractor=model))
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert isinstance(pipeline.state, Mapping) and pipeline.state.slam.extractor.config == model
    assert len(pipeline.place_map) == FRAMES


def test_parameters_of_the_same_map_let_it_grow_on(driven, wanted):
    pipeline = driven(wanted)
    slam = pipeline.state.slam
    pipeline.load(dataclasses.replace(wanted, recognizer=RecognizerConfig(candidates=7)))
    assert pipeline.state.slam is slam and not Path(wanted.map, 'manifest.json').exists()


def test_load_map_saves_the_growing_one_first(driven, wanted, street_map):
    pipeline = driven(wanted)
    pipeline.load_map(str(street_map), wanted)
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert isinstance(pipeline.state, Mapping) and pipeline.place_map.path == street_map


def test_load_map_of_the_growing_one_goes_on_in_what_was_saved(driven, wanted, street):
    pipeline = driven(wanted)
    pipeline.end_drive()
    pipeline.start_drive(wanted)
    pipeline.process(Frame(1_800_000_000 * 10**9, street[6].image, 'camera'))
    pipeline.load_map(wanted.map, wanted)
    assert len(pipeline.place_map) == len(open_map(wanted.map)) == FRAMES + 1
    assert isinstance(pipeline.state, Mapping)


def test_a_new_folder_in_slam_is_a_new_map_and_a_bad_one_changes_nothing(
    extractor, wanted, street_map, tmp_path
):
    pipeline = pipeline_with(extractor)
    pipeline.load(dataclasses.replace(wanted, map=str(street_map), slam=None))
    before = pipeline.place_map
    pipeline.load(dataclasses.replace(wanted, map='/proc/grown'))
    assert pipeline.place_map is before and isinstance(pipeline.state, Localizing)
    assert '/proc/grown' in map_problem(pipeline)
    pipeline.start_drive(dataclasses.replace(wanted, map=str(tmp_path / 'new')))
    assert isinstance(pipeline.state, Mapping) and len(pipeline.place_map) == 0
    assert pipeline.place_map.map_id != before.map_id


def test_a_model_that_did_not_make_the_map_is_told_and_slam_does_not_go_on(driven, wanted):
    pipeline = driven(wanted)
    other = dataclasses.replace(wanted.extractor, global_feature='cls')
    pipeline.load(dataclasses.replace(wanted, extractor=other))
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert not isinstance(pipeline.state, Mapping) and 'model' in map_problem(pipeline)


def test_load_map_of_nothing_leaves_the_growing_one_alone(driven, wanted, tmp_path):
    pipeline = driven(wanted)
    slam = pipeline.state.slam
    with pytest.raises(Exception, match='nowhere'):
        pipeline.load_map(str(tmp_path / 'nowhere'), wanted)
    assert pipeline.state.slam is slam and slam.added == FRAMES


def test_a_growing_map_says_why_it_answers_no_single_image(driven, wanted, street):
    with pytest.raises(NotReadyError, match='leave SLAM first'):
        driven(wanted).query(street[0])


def test_no_motion_leads_from_the_map_into_another_runs_odometry(extractor, street_map):
    joined, other = open_map(street_map), open_map(street_map)
    first = len(joined)
    for row, place in enumerate(other.places):
        joined.copy(other, row, dataclasses.replace(place, id=100 + row, session='drive'))
    mixed = believe(joined, RecognizerConfig(), TemporalConfig())
    joined.unaligned_sessions.add('drive')
    apart = believe(joined, RecognizerConfig(), TemporalConfig())
    start = np.array([0])
    assert mixed is not None and first in mixed._around(start)[0]
    assert apart is not None and first not in apart._around(start)[0]


def test_each_state_is_swapped_in_one_assignment(extractor, wanted, street, street_map):
    """What another thread may see between two states: none but the states themselves."""
    seen = []

    class Watched(Pipeline):
        def __setattr__(self, name, value):
            if name == 'state':
                seen.append(value)
            super().__setattr__(name, value)

    pipeline = Watched()
    pipeline.state = Empty(pipeline.state.problem, extractor)
    alone = dataclasses.replace(wanted, slam=None)
    pipeline.load(dataclasses.replace(alone, map=str(street_map)))
    pipeline.load(dataclasses.replace(alone, map='/nowhere'))
    pipeline.start_drive(wanted)
    pipeline.end_drive()
    pipeline.release()
    assert [type(state) for state in seen] == [
        Empty, Empty, Localizing, Localizing, Mapping, Empty, Empty,
    ]  # fmt: skip
    assert seen[2].recognizer is seen[3].recognizer and seen[3].problem.asset is Asset.MAP
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen[3].problem = None


def test_the_first_map_that_does_not_load_is_a_failure_and_the_model_is_kept(extractor, wanted):
    pipeline = pipeline_with(extractor)
    pipeline.load(dataclasses.replace(wanted, map='/nowhere', slam=None))
    assert isinstance(pipeline.state, Failed) and pipeline.extractor is extractor
    assert '/nowhere' in map_problem(pipeline) and pipeline.problem(Asset.MODEL) is None


def test_a_model_that_does_not_load_is_no_problem_of_the_map(extractor, wanted, street_map):
    bad = dataclasses.replace(wanted.extractor, weights='/nowhere/w.safetensors')
    for start in (Pipeline(), pipeline_with(extractor)):
        start.load(dataclasses.replace(wanted, extractor=bad, map=str(street_map), slam=None))
        assert isinstance(start.state, Failed) and '/nowhere' in start.problem(Asset.MODEL)
        assert start.problem(Asset.MAP) is None


def test_a_refused_model_leaves_the_one_in_use_and_stays_named(extractor, wanted, street_map):
    pipeline = pipeline_with(extractor)
    alone = dataclasses.replace(wanted, map=str(street_map), slam=None)
    pipeline.load(alone)
    bad = dataclasses.replace(wanted.extractor, weights='/nowhere/w.safetensors')
    pipeline.load(dataclasses.replace(alone, extractor=bad))
    assert isinstance(pipeline.state, Localizing) and pipeline.problem(Asset.MODEL)


def test_another_map_does_not_hide_that_the_model_was_refused(extractor, wanted, street_map):
    pipeline = pipeline_with(extractor)
    alone = dataclasses.replace(wanted, map=str(street_map), slam=None)
    pipeline.load(alone)
    bad = dataclasses.replace(wanted.extractor, weights='/nowhere/w.safetensors')
    pipeline.load(dataclasses.replace(alone, extractor=bad))
    pipeline.load_map(str(street_map), dataclasses.replace(alone, extractor=bad))
    slam = dataclasses.replace(wanted, map=str(street_map))
    for change in (lambda: None, lambda: pipeline.start_drive(slam), pipeline.end_drive):
        change()
        assert '/nowhere' in str(pipeline.problem(Asset.MODEL)), pipeline.state
    pipeline.load(alone)
    assert pipeline.state.problem is None


def test_a_model_that_loads_at_last_is_kept_though_the_map_is_none(
    extractor, wanted, tmp_path, monkeypatch
):
    alone = dataclasses.replace(wanted, slam=None)
    pipeline = Pipeline()
    bad = dataclasses.replace(wanted.extractor, weights='/nowhere/w.safetensors')
    pipeline.load(dataclasses.replace(alone, extractor=bad))
    monkeypatch.setattr('selavpr_model.features.extractor.load_extractor', lambda _: extractor)
    with pytest.raises(MapNotFoundError, match='nowhere'):
        pipeline.load_map(str(tmp_path / 'nowhere'), alone)
    assert pipeline.extractor is extractor and pipeline.problem(Asset.MODEL) is None


def test_nothing_is_drawn_over_an_image_without_a_map():
    assert Pipeline().overlay(Recognition(1, State.LOST, (), '')) is None


def test_new_maps_are_stored_as_the_parameters_say(driven, wanted):
    tiny = dataclasses.replace(wanted, storage=MapConfig(local_dtype='tiny'))
    pipeline = driven(tiny)
    pipeline.end_drive()
    assert open_map(wanted.map).config.local_dtype == 'tiny'
