# SPDX-License-Identifier: MIT
"""Model and map behind the node: whatever is loaded meanwhile, no grown map is lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from pipeline_helpers import Drive, driver, FRAMES, sessions, slam_in
import pytest

from selavpr_model.config import RecognizerConfig, TemporalConfig
from selavpr_model.maps.storage.store import open_map
from selavpr_model.recognizer import believe
from selavpr_model.records import Frame
from selavpr_ros.node.pipeline.pipeline import Pipeline
from selavpr_ros.node.pipeline.request import NotReadyError, Wanted

pytestmark = pytest.mark.usefixtures('rescued')


@pytest.fixture
def wanted(extractor: Any, tmp_path: Path) -> Wanted:
    return slam_in(tmp_path / 'grown', extractor)


@pytest.fixture
def driven(extractor: Any, street: list[Frame]) -> Drive:
    return driver(extractor, street)


def test_another_map_by_parameter_saves_the_growing_one_first(driven, wanted, street_map):
    pipeline = driven(wanted)
    pipeline.load(dataclasses.replace(wanted, map=str(street_map)))
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert pipeline.slam is not None and pipeline.slam.place_map is pipeline.place_map
    assert pipeline.place_map.path == street_map and not pipeline.map_problem


def test_another_model_by_parameter_saves_it_too_and_goes_on_in_it(driven, wanted):
    pipeline = driven(wanted)
    model = dataclasses.replace(wanted.extractor, batch_size=3)
    pipeline.load(dataclasses.replace(wanted, extractor=model))
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert pipeline.slam is not None and pipeline.slam.extractor.config == model
    assert len(pipeline.slam.place_map) == FRAMES


def test_parameters_of_the_same_map_let_it_grow_on(driven, wanted):
    pipeline = driven(wanted)
    slam = pipeline.slam
    pipeline.load(dataclasses.replace(wanted, recognizer=RecognizerConfig(candidates=7)))
    assert pipeline.slam is slam and not Path(wanted.map, 'manifest.json').exists()


def test_load_map_saves_the_growing_one_first(driven, wanted, street_map):
    pipeline = driven(wanted)
    pipeline.load_map(str(street_map), wanted)
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert pipeline.slam is not None and pipeline.slam.place_map.path == street_map


def test_load_map_of_the_growing_one_goes_on_in_what_was_saved(driven, wanted, street):
    pipeline = driven(wanted)
    pipeline.end_slam()
    pipeline.start_slam(wanted)
    pipeline.process(Frame(1_800_000_000 * 10**9, street[6].image, 'camera'))
    pipeline.load_map(wanted.map, wanted)
    assert len(pipeline.place_map) == len(open_map(wanted.map)) == FRAMES + 1
    assert pipeline.slam is not None and pipeline.slam.place_map is pipeline.place_map


def test_a_new_folder_in_slam_is_a_new_map_and_a_bad_one_changes_nothing(
    extractor, wanted, street_map, tmp_path
):
    pipeline = Pipeline()
    pipeline.extractor = extractor
    pipeline.load(dataclasses.replace(wanted, map=str(street_map), slam=None))
    before = pipeline.place_map
    pipeline.load(dataclasses.replace(wanted, map='/proc/grown'))
    assert pipeline.place_map is before and pipeline.slam is None
    assert '/proc/grown' in pipeline.map_problem and pipeline.recognizer is not None
    pipeline.start_slam(dataclasses.replace(wanted, map=str(tmp_path / 'new')))
    assert pipeline.slam is not None and len(pipeline.place_map) == 0
    assert pipeline.place_map.map_id != before.map_id


def test_a_model_that_did_not_make_the_map_is_told_and_slam_does_not_go_on(driven, wanted):
    pipeline = driven(wanted)
    other = dataclasses.replace(wanted.extractor, global_feature='cls')
    pipeline.load(dataclasses.replace(wanted, extractor=other))
    assert sessions(wanted.map) == ['drive'] * FRAMES
    assert pipeline.slam is None and 'model' in pipeline.map_problem


def test_load_map_of_nothing_leaves_the_growing_one_alone(driven, wanted, tmp_path):
    pipeline = driven(wanted)
    slam = pipeline.slam
    with pytest.raises(Exception, match='nowhere'):
        pipeline.load_map(str(tmp_path / 'nowhere'), wanted)
    assert pipeline.slam is slam and slam.added == FRAMES


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
    assert mixed is not None and first in mixed._around(0)
    assert apart is not None and first not in apart._around(0)
