# SPDX-License-Identifier: MIT
"""Odometry that stands still while the views change counts for nothing; any other one counts."""

from __future__ import annotations

import numpy as np

from selavpr_model.config import TemporalConfig
from selavpr_model.decision.odometry_guard import OdometryGuard
from selavpr_model.records import Frame

IMAGE = np.zeros((8, 8, 3), np.uint8)


def scene(number: int) -> np.ndarray:
    """(20, 64) cells, nothing like those of another number."""
    cells = np.random.default_rng(number).normal(size=(20, 64))
    return (cells / np.linalg.norm(cells, axis=1)[:, None]).astype(np.float32)


def frame(x: float | None, segment: int = 0) -> Frame:
    odom = None if x is None else np.eye(4)
    if odom is not None:
        odom[0, 3] = x
    return Frame(0, IMAGE, odom=odom, odom_segment=segment)


def used(steps: list[tuple[float | None, int]]) -> list[bool]:
    """Whether odometry counts, of (x in m, number of the scene)."""
    guard = OdometryGuard(TemporalConfig())
    return [guard.check(frame(x), scene(number)) is not None for x, number in steps]


def test_odometry_that_never_moved_is_not_believed_once_the_view_changes() -> None:
    assert used([(0.0, 1), (0.0, 1), (0.0, 2), (0.0, 3), (0.01, 3)]) == [True, True] + [False] * 3


def test_odometry_that_has_moved_is_given_some_frames() -> None:
    steps = [(0.0, 1), (1.0, 2), (1.0, 3), (1.0, 4), (1.0, 5), (1.0, 5)]
    assert used(steps) == [True] * 4 + [False] * 2
    passing = [(0.0, 1), (1.0, 2), (1.0, 3), (1.0, 4), (1.0, 2), (1.0, 5), (1.0, 2)]
    assert all(used(passing))


def test_it_counts_again_when_it_moves() -> None:
    assert used([(0.0, 1), (0.0, 2), (0.5, 3), (1.0, 4)]) == [True, False, True, True]


def test_a_robot_that_stands_and_sees_the_same_keeps_its_odometry() -> None:
    assert all(used([(0.0, 1)] * 10))
    assert used([(None, 1), (0.0, 1), (None, 2)]) == [False, True, False]


def test_a_turn_in_place_is_motion_and_a_trembling_heading_is_none() -> None:
    def turned(degrees: float) -> Frame:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        odom = np.eye(4)
        odom[:2, :2] = [[c, -s], [s, c]]
        return Frame(0, IMAGE, odom=odom)

    for step, expected in ((20.0, True), (2.0, False)):
        guard = OdometryGuard(TemporalConfig())
        answers = [guard.check(turned(step * (i % 2)), scene(i)) is not None for i in range(6)]
        assert answers[1:] == [expected] * 5


def test_a_break_of_odometry_is_told_once() -> None:
    guard = OdometryGuard(TemporalConfig())
    told = []
    for x, segment in ((0.0, 0), (1.0, 0), (0.0, 1), (0.1, 1)):
        guard.check(frame(x, segment), scene(int(10 * x)))
        told.append(guard.broken)
    assert told == [False, False, True, False]


def test_poses_that_are_not_finite_count_for_nothing() -> None:
    assert OdometryGuard(TemporalConfig()).check(frame(float('nan')), scene(0)) is None
