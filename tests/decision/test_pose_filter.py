# SPDX-License-Identifier: MIT
"""The pose over many answers: steady where they are coarse, honest where they disagree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.decision.pose_filter import AGREEING, FORGOTTEN, PoseFilter, Verdict

SIGMA_M, SIGMA_RAD = 1.0, 0.05
COVARIANCE = np.diag([SIGMA_M**2] * 3 + [SIGMA_RAD**2] * 3)


def pose(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('z', yaw).as_matrix()
    T[:2, 3] = x, y
    return T


T_MAP_ODOM = pose(300.0, -200.0, 2.0)


def drive(
    filter_: PoseFilter, noise: Callable[[int], np.ndarray], frames: int = 200
) -> tuple[list[float], list[float]]:
    """Metres of each jump of the robot between two estimates, and of each error."""
    jumps, errors, last = [], [], None
    for k in range(frames):
        T_odom_body = pose(0.5 * k, 3.0 * np.sin(k / 15.0), 0.2 * np.cos(k / 15.0))
        true = T_MAP_ODOM @ T_odom_body
        filter_.add(noise(k) + true, COVARIANCE, T_odom_body)
        assert filter_.estimate is not None
        now = filter_.estimate.T_map_odom @ T_odom_body
        if last is not None:
            jumps.append(float(np.linalg.norm((last @ T_odom_body - now)[:3, 3])))
        errors.append(float(np.linalg.norm((now - true)[:3, 3])))
        last = filter_.estimate.T_map_odom
    return jumps, errors


def test_answers_of_a_metre_give_an_estimate_that_hardly_moves() -> None:
    random = np.random.default_rng(1)

    def keyframes(k: int) -> np.ndarray:
        """The error of a keyframe, for as long as it is the best: a saw, and what is left."""
        error = np.zeros((4, 4))
        error[0, 3] = 1.5 - 0.5 * (k % 6) + random.normal(0, 0.3)
        return error

    filter_ = PoseFilter()
    jumps, errors = drive(filter_, keyframes)
    assert np.percentile(jumps, 90) < 0.3 and max(jumps[5:]) < 0.5
    assert np.median(errors[50:]) < 0.4
    assert filter_.estimate is not None
    sigma = np.sqrt(np.diagonal(filter_.estimate.covariance))
    assert (sigma[:2] < SIGMA_M).all() and (sigma > 0).all()


def test_a_robot_that_stands_still_does_not_grow_sure_of_one_answer() -> None:
    filter_ = PoseFilter()
    for _ in range(50):
        filter_.add(T_MAP_ODOM, COVARIANCE, np.eye(4))
    assert filter_.estimate is not None
    assert np.sqrt(filter_.estimate.covariance[0, 0]) > 0.7 * SIGMA_M


def test_one_answer_elsewhere_moves_nothing() -> None:
    filter_ = PoseFilter()
    drive(filter_, lambda k: np.zeros((4, 4)), 20)
    before = filter_.estimate
    verdict = filter_.add(pose(0.0, 90.0), COVARIANCE, pose(10.0))
    assert verdict is Verdict.OUTSIDE and filter_.estimate is before
    assert filter_.outside == 1


def test_answers_that_agree_elsewhere_are_the_robot_and_scattered_ones_are_not() -> None:
    filter_, other = PoseFilter(), pose(-40.0, 70.0, -1.0)
    drive(filter_, lambda k: np.zeros((4, 4)), 20)
    verdicts = [
        filter_.add(other @ pose(10.0 + k), COVARIANCE, pose(10.0 + k)) for k in range(AGREEING)
    ]
    assert verdicts == [*[Verdict.OUTSIDE] * (AGREEING - 1), Verdict.MOVED]
    assert filter_.estimate is not None
    np.testing.assert_allclose(filter_.estimate.T_map_odom, other, atol=1e-6)
    scattered = [filter_.add(pose(500.0 * k, 999.0), COVARIANCE, pose(20.0)) for k in range(1, 20)]
    assert set(scattered) == {Verdict.OUTSIDE} and filter_.outside == 19


def test_a_degree_far_from_the_origin_of_odometry_is_a_degree_of_the_robot() -> None:
    """Were the filter's error told at that origin, 1 km away, it would be 17 m of the robot."""
    filter_, far = PoseFilter(), pose(1000.0)
    filter_.add(T_MAP_ODOM @ far, COVARIANCE, far)
    turned = T_MAP_ODOM @ far @ pose(0.0, 0.0, np.radians(2.0))
    filter_.add(turned, COVARIANCE, far @ pose(3.0))
    assert filter_.estimate is not None
    shift = filter_.estimate.T_map_odom @ far - T_MAP_ODOM @ far
    assert np.linalg.norm(shift[:3, 3]) < 3.0


def test_after_frames_without_an_answer_one_elsewhere_is_believed_at_once() -> None:
    """A robot that was carried has been LOST or AMBIGUOUS in between."""
    for missed, expected in ((FORGOTTEN - 1, Verdict.OUTSIDE), (FORGOTTEN, Verdict.MOVED)):
        filter_, other = PoseFilter(), pose(-40.0, 70.0, -1.0)
        drive(filter_, lambda k: np.zeros((4, 4)), 20)
        for _ in range(missed):
            filter_.miss()
        assert filter_.add(other, COVARIANCE, pose(11.0)) is expected


def test_what_is_reset_begins_with_the_next_answer() -> None:
    filter_ = PoseFilter()
    drive(filter_, lambda k: np.zeros((4, 4)), 20)
    filter_.reset()
    assert filter_.estimate is None
    assert filter_.add(pose(90.0), COVARIANCE, pose(10.0)) is Verdict.FIRST
