# SPDX-License-Identifier: MIT
"""What is one hypothesis and what are two, and where a hypothesis says that the camera is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from selavpr_model.config import TemporalConfig
from selavpr_model.decision.belief import Belief, largest, Moment, TemporalBelief
from selavpr_model.decision.modes import grouped, mode_pose
from selavpr_model.records import Candidate, Place

SECOND = 1_000_000_000
KEYFRAME = np.diag([0.04] * 3 + [0.0009] * 3)


def at(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """A camera that looks along its x axis, turned by yaw about z."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('z', yaw).as_matrix() @ np.array(
        [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
    )
    T[:3, 3] = (x, y, 0.0)
    return T


# two streets, 50 m apart, of 20 places each
STREETS = np.array([at(2.0 * (i % 20), 50.0 * (i // 20)) for i in range(40)])


def fresh(poses: np.ndarray = STREETS) -> TemporalBelief:
    return TemporalBelief(poses, TemporalConfig(), 5.0, 60.0)


def after(belief: TemporalBelief, *sure: Sequence[float]) -> Belief:
    """The belief after one frame in which each (row, confidence) speaks for itself."""
    view = np.eye(8, dtype=np.float32)
    weights = np.full(len(belief), 1e-6)
    for row, share in sure:
        weights[int(row)] = share
    belief.expect(weights, 1.0)
    found = [Candidate(Place(i, i), i, 0.9, i, 50) for i in range(len(belief))]
    flat = [replace(c, confidence=None) for c in found]
    return belief.update(Moment(0, None, view), flat)


def test_neighbours_down_the_street_are_one_mode_and_a_street_elsewhere_is_another() -> None:
    belief = fresh()
    found = after(belief, *[(i, 1.0) for i in range(3, 10)], (25, 0.5))
    assert set(found.mode.share) == set(range(3, 10))
    assert found.mode.mass == pytest.approx(belief.mass_of(3))
    assert found.mode.mass > 0.8 * found.on_map
    assert belief.mass_of(25) == pytest.approx(found.on_map - found.mode.mass, abs=1e-3)
    assert not set(found.mode.share) <= found.rows  # the mode is longer than one place


def test_a_gap_that_nobody_believes_in_parts_two_modes_of_one_street() -> None:
    found = after(fresh(), (3, 1.0), (4, 1.0), (12, 0.4))
    assert set(found.mode.share) == {3, 4}


def test_two_directions_of_one_street_are_two_modes() -> None:
    both = np.array([at(2.0 * (i % 10), 0.0, np.pi * (i // 10)) for i in range(20)])
    found = after(fresh(both), (3, 1.0), (4, 1.0), (13, 0.9), (14, 0.8))
    assert set(found.mode.share) == {3, 4}


def test_places_joined_by_a_closure_are_one_mode_wherever_they_lie() -> None:
    belief = fresh()
    belief.link(4, 25)
    assert set(after(belief, (4, 1.0), (25, 0.9)).mode.share) == {4, 25}


def test_a_place_that_holds_next_to_nothing_has_the_mass_around_it() -> None:
    belief = fresh()
    after(belief, (4, 1.0))
    assert 0.0 < belief.mass_of(30) < 1e-3


@given(st.lists(st.tuples(st.integers(0, 39), st.floats(0.01, 1.0)), min_size=1, max_size=12))
def test_modes_share_the_belief_without_overlap(sure) -> None:
    belief = fresh()
    found = after(belief, *sure)
    modes = {frozenset(belief._mode_of(row).share) for row in belief._modes}
    assert sum(map(len, modes)) == len(frozenset().union(*modes))
    assert found.mode.mass <= found.on_map + 1e-9
    assert found.mode.mass == pytest.approx(sum(found.mode.share.values()))


def test_the_pose_is_the_mean_and_its_covariance_has_the_spread_and_a_keyframes_error() -> None:
    pose, covariance = mode_pose({3: 0.25, 4: 0.5, 5: 0.25}, STREETS, KEYFRAME)
    np.testing.assert_allclose(pose, at(8.0), atol=1e-9)
    # spread along x; a keyframe's own error is told along its camera's axes
    np.testing.assert_allclose(np.diag(covariance), [2.04, 0.04, 0.04] + [0.0009] * 3, atol=1e-9)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_a_mode_of_one_place_has_its_pose_and_the_error_along_its_camera() -> None:
    sideways = np.diag([0.01, 0.04, 0.09, 1e-4, 1e-4, 1e-4])
    pose, covariance = mode_pose({0: 1e-5}, STREETS, sideways)
    np.testing.assert_allclose(pose, STREETS[0], atol=1e-12)
    np.testing.assert_allclose(np.diag(covariance)[:3], [0.09, 0.01, 0.04], atol=1e-12)


def test_headings_are_averaged_as_turns() -> None:
    poses = np.array([at(0.0, 0.0, a) for a in (np.pi - 0.1, -np.pi + 0.3)])
    pose, covariance = mode_pose({0: 0.5, 1: 0.5}, poses, KEYFRAME)
    np.testing.assert_allclose(pose, at(0.0, 0.0, -np.pi + 0.1), atol=1e-9)
    assert covariance[5, 5] == pytest.approx(0.04 + 0.0009, abs=1e-9)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 45))
def test_the_most_believed_places_are_those_that_sorting_all_gives(values, count) -> None:
    beliefs = np.array(values, float)
    assert largest(beliefs, count).tolist() == np.argsort(-beliefs, kind='stable')[:count].tolist()


@given(st.integers(0, 10**6), st.integers(1, 60))
def test_modes_are_what_can_be_walked_to(seed, count) -> None:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0.0, 30.0, (count, 3))
    axes = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])[rng.integers(2, size=count)]
    pairs = rng.integers(count, size=(2, 2))
    near = np.linalg.norm(positions[:, None] - positions, axis=-1) <= 5.0
    near &= axes @ axes.T > 0.5
    near[pairs[:, 0], pairs[:, 1]] = near[pairs[:, 1], pairs[:, 0]] = True
    walked = np.linalg.matrix_power(near.astype(float), 64) > 0
    labels = grouped(positions, axes, 5.0, 0.5, pairs)
    assert np.array_equal(labels[:, None] == labels, walked)
