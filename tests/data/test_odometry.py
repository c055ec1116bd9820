# SPDX-License-Identifier: MIT
"""Where odometry breaks, and where it does not."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.data.odometry import breaks, OdometrySegments, segment_starts
from selavpr_model.poses import pose_matrix

SECOND = 1_000_000_000


def at(x: float, yaw: float = 0.0) -> np.ndarray:
    return pose_matrix((x, 0.0, 0.0), (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))


def segments(samples: list[tuple[float, float]], **options: float) -> list[int]:
    """Of (time in s, x in m)."""
    judge = OdometrySegments(**options)
    return [judge.add(round(t * SECOND), at(x)) for t, x in samples]


@given(
    st.floats(0.001, 1.0),
    st.lists(st.floats(-8.0, 8.0), min_size=2, max_size=30),
    st.floats(0.0, 30.0),
)
def test_a_robot_that_only_drives_never_breaks(step_s, accelerations, speed) -> None:
    x, samples = 100.0, []
    for i, a in enumerate(accelerations):
        samples.append((i * step_s, x))
        speed = min(35.0, max(-35.0, speed + a * step_s))
        x += speed * step_s
    assert set(segments(samples)) == {0}


@pytest.mark.parametrize('away', [0.6, 3.0, 200.0])
@pytest.mark.parametrize('step_s', [0.001, 0.05, 1.0])
def test_a_restart_at_the_origin_is_a_break_however_near(away: float, step_s: float) -> None:
    way = [(i * step_s, away) for i in range(3)]
    assert segments([*way, (3 * step_s, 0.0), (4 * step_s, 0.001)]) == [0, 0, 0, 1, 1]


def test_a_jump_is_a_break_where_no_motion_explains_it() -> None:
    assert segments([(0.0, 1.0), (0.05, 1.1), (0.1, 4.0), (0.15, 4.1)]) == [0, 0, 1, 1]
    assert segments([(0.0, 1.0), (1.0, 11.0), (2.0, 21.0), (4.0, 41.0)]) == [0, 0, 0, 0]
    assert segments([(0.0, 1.0), (1.0, 60.0)]) == [0, 1]


def test_a_heading_that_jumps_is_a_break() -> None:
    judge = OdometrySegments()
    assert [judge.add(round(t * SECOND), at(5.0, yaw)) for t, yaw in
            ((0.0, 0.0), (0.1, 0.3), (0.2, 2.5), (0.3, 2.6))] == [0, 0, 1, 1]  # fmt: skip
    assert 'degrees' in judge.last_break


def test_stamps_that_shake_are_no_break() -> None:
    shaken = [(0.05 * i + (0.045 if i % 3 == 1 else 0.0), 0.7 * i) for i in range(40)]
    assert set(segments(shaken)) == {0}


def test_lost_messages_are_no_break() -> None:
    assert set(segments([(0.05 * i, 0.7 * i) for i in range(200) if i % 37 > 9])) == {0}


def test_two_sources_on_one_topic_tear_it_until_one_of_them_ends() -> None:
    judge = OdometrySegments()
    for i in range(10):
        judge.add(i * SECOND // 10, at(10.0 * (i % 2)))
    assert judge.is_torn
    for i in range(10, 130):
        judge.add(i * SECOND // 10, at(0.0))
    assert not judge.is_torn


def test_two_sources_with_clocks_that_differ_tear_it_too() -> None:
    judge = OdometrySegments()
    for i in range(10):
        judge.add((5 + i) * SECOND, at(0.0))
        judge.break_off('its stamps jumped back by 5.0 s')
        judge.add(i * SECOND, at(0.0))
    assert judge.is_torn


def test_a_bag_that_starts_over_again_and_again_is_one_source() -> None:
    judge = OdometrySegments()
    for round_ in range(6):
        if round_:
            judge.break_off('its stamps jumped back by 4.0 s')
        for stamp in range(0, 4 * SECOND, SECOND // 10):
            judge.add(stamp, at(1.0 * stamp / SECOND))
            assert not judge.is_torn and judge.segment == round_


def test_the_segments_of_a_recording_start_where_it_breaks() -> None:
    stamps = [i * SECOND // 20 for i in range(60)]
    poses = [at(0.1 * (i % 30) + 1.0) for i in range(60)]
    assert segment_starts(stamps, poses) == [stamps[30]]
    assert segment_starts(stamps[:30], poses[:30]) == segment_starts([], []) == []
    turned = [at(5.0, 0.0 if i < 20 else 2.0) for i in range(60)]
    assert segment_starts(stamps, turned) == [stamps[20]]


def test_a_restart_is_told_from_a_robot_that_moves() -> None:
    for speed, hz in ((0.5, 20), (2.0, 5), (30.0, 20), (0.0, 1000)):
        way = [(k * SECOND // hz, at(10.0 + speed * k / hz)) for k in range(100)]
        assert breaks(way) == [], (speed, hz)
        then = [(s + 100 * SECOND // hz, at(-80.0 + speed * k / hz)) for k, (s, _) in
                enumerate(way)]  # fmt: skip
        found = breaks([*way, *then])
        assert len(found) == 1 and 'jumped' in found[0], (speed, hz)


def test_a_turn_or_stamps_that_go_back_are_a_break_and_a_pause_is_not() -> None:
    start = [(0, at(1.0)), (SECOND // 10, at(1.0))]
    assert 'turned' in breaks([*start, (SECOND // 5, at(1.0, 3.0))])[0]
    pause = [*start, (10 * SECOND, at(8.0, 1.0))]
    assert breaks(pause) == []
    assert breaks([*pause, (10 * SECOND - SECOND // 10, at(900.0))]) == []  # late, of before
    assert 'went back' in breaks([*pause, (2 * SECOND, at(8.0))])[0]
