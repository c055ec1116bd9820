# SPDX-License-Identifier: MIT
"""The mode UPDATE: a drive that adds looks, and what becomes of them."""

from dataclasses import replace
from pathlib import Path
import shutil

from pipeline_helpers import map_problem, pipeline_with
import pytest

from selavpr_model.config import (
    KeyframeConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
    UpdateConfig,
)
from selavpr_model.maps.storage.store import open_map
from selavpr_ros.node.pipeline.request import Request
from selavpr_ros.node.pipeline.states import Localizing, Mapping, Updating


@pytest.fixture
def path(summer_map, tmp_path) -> Path:
    return Path(shutil.copytree(summer_map, tmp_path / 'map'))


@pytest.fixture
def wanted(path, model) -> Request:
    return Request(
        model.config, str(path), RecognizerConfig(), TemporalConfig(),
        keyframes=KeyframeConfig(), update=UpdateConfig(session='evening', novelty=0.05),
    )  # fmt: skip


@pytest.fixture
def driving(wanted, model, evening):
    """A pipeline after a drive in UPDATE that has not ended."""
    pipeline = pipeline_with(model)
    pipeline.load(wanted)
    assert isinstance(pipeline.state, Updating), pipeline.state
    for frame in evening:
        pipeline.process(frame)
    assert len(pipeline.state.update.added) > 10
    return pipeline


def looks(path) -> int:
    return sum(place.session == 'evening' for place in open_map(path).places)


def test_the_looks_are_saved_when_the_mode_ends_and_then_localised_in(driving, path):
    before = open_map(path)
    driving.end_drive()
    assert isinstance(driving.state, Localizing)
    assert looks(path) > 10 and len(driving.place_map) == len(open_map(path))
    assert open_map(path).revision == before.revision + 1
    assert looks(path) == len(driving.place_map) - len(before)


def test_a_save_on_the_way_keeps_what_was_added_so_far_and_the_drive_goes_on(
    driving, path, evening
):
    driving.save_map('', overwrite=True)
    first = looks(path)
    assert first > 10 and isinstance(driving.state, Updating)
    driving.process(evening[-1])
    driving.end_drive()
    assert looks(path) >= first and open_map(path).revision == 3


def test_slam_after_it_grows_the_updated_map(driving, wanted, path):
    driving.start_drive(replace(wanted, update=None, slam=SlamConfig()))
    assert isinstance(driving.state, Mapping) and looks(path) > 10
    assert len(driving.place_map) == len(open_map(path))


def test_another_map_is_loaded_after_the_looks_are_saved(driving, wanted, path, street_map):
    driving.load(replace(wanted, map=str(street_map)))
    assert looks(path) > 10
    assert isinstance(driving.state, Updating) and driving.place_map.path == street_map


def test_a_map_that_cannot_be_written_is_kept_elsewhere(driving, path, rescued):
    shutil.rmtree(path)
    path.write_text('a file where the map was')
    driving.end_drive()
    (saved,) = rescued.iterdir()
    assert looks(saved) > 10


def test_without_a_map_nothing_begins_and_the_state_says_why(model, wanted):
    pipeline = pipeline_with(model)
    pipeline.load(replace(wanted, map=''))
    pipeline.start_drive(replace(wanted, map=''))
    assert not pipeline.ready and 'no map is given' in map_problem(pipeline)


def test_a_query_is_answered_while_the_looks_are_collected(driving, evening):
    assert driving.query(evening[3]).recognition.candidates
