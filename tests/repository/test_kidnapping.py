# SPDX-License-Identifier: MIT
"""A robot that is carried away, as tools/measure_kidnapping.py measures it."""

from __future__ import annotations

import importlib.util
from typing import Any

from kidnapping import carried, near, reaction
import numpy as np
import pytest

from selavpr_model.maps.building.builder import build_map
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Frame, Recognition, State

from where import ROOT

PIXEL = np.zeros((1, 1, 3), np.uint8)


def at(x: float) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = x
    return T


@pytest.fixture(scope='module')
def tool() -> Any:
    spec = importlib.util.spec_from_file_location(
        'kidnapping', ROOT / 'tools/measure_kidnapping.py'
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def drive(
    tool: Any, extractor: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Frame], PlaceMap, Any]:
    from selavpr_ros.bags.reader import BagFrames

    frames = list(BagFrames(ROOT / 'demo' / 'summer', pose_topic='/ground_truth/pose'))
    known, out = tool.Remembering(extractor), tmp_path_factory.mktemp('maps') / 'part'
    mapped = frames[: tool.MAPPED : 2]
    return (
        frames,
        build_map(mapped, extractor, out, source={'path': 'part'}, progress=False),
        known,
    )


def test_carried_out_it_is_lost_and_carried_back_it_is_found(tool: Any, drive: Any) -> None:
    made = tool.measure(*drive, odometry=True)
    assert made['before']['localized'] >= 2
    assert made['out of the map']['lost_s'] <= 2.0
    assert made['into the map']['found_s'] <= 5.0
    assert made['into the map']['wrong'] == made['elsewhere in it']['wrong'] == 0


def test_with_geometry_no_answer_outside_the_map_is_taken_for_right(tool: Any, drive: Any) -> None:
    assert drive[1].cameras  # the map was built from frames that know their camera
    made = tool.measure(*drive, odometry=True, geometry=True)
    assert [jump.get('wrong', 0) for jump in made.values()] == [0, 0, 0, 0]
    assert made['out of the map']['lost_s'] <= 2.0
    assert made['into the map']['found_s'] <= 5.0


def test_odometry_does_not_notice_being_carried() -> None:
    a = [Frame(i * 10**9, PIXEL, odom=at(i)) for i in range(3)]
    b = [Frame((70 + i) * 10**9, PIXEL, odom=at(500.0 + 2 * i)) for i in range(2)]
    made = list(carried([a, b], pause_s=0.5))
    assert [f.stamp_ns for f in made] == [0, 10**9, 2 * 10**9, 2_500_000_000, 3_500_000_000]
    assert [float(f.odom[0, 3]) for f in made if f.odom is not None] == [0, 1, 2, 2, 4]


def test_a_reaction_counts_from_the_jump_and_wrong_answers_with_their_end() -> None:
    states = (State.LOCALIZED, State.LOST, State.LOCALIZED, State.AMBIGUOUS, State.LOCALIZED)
    answers = [Recognition((10 + i) * 10**9, s, (), '') for i, s in enumerate(states)]
    made = reaction(answers, [False, False, False, True, True], 9 * 10**9)
    assert (made.lost_s, made.found_s, made.wrong, made.wrong_until_s) == (2.0, 5.0, 2, 3.0)
    never = reaction(answers[3:4], [True], 9 * 10**9)
    assert never.lost_s is None and never.found_s is None and never.wrong == 0


def test_near_minds_where_the_camera_looks() -> None:
    back = np.diag([-1.0, 1.0, -1.0, 1.0])
    assert near(at(0.0), at(4.0), 5.0, 45.0)
    assert not near(at(0.0), at(6.0), 5.0, 45.0)
    assert not near(at(0.0), at(4.0) @ back, 5.0, 45.0)
