# SPDX-License-Identifier: MIT
"""map -> odom as an estimate: steady where answers are coarse, and honest where they disagree."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.poses import inverse
from selavpr_ros.node.tf.correction import AGREEING, Correction, glide, Verdict
from selavpr_ros.node.tf.odometry_jump import JumpDetector

SIGMA_M, SIGMA_RAD = 1.0, 0.05
COVARIANCE = np.diag([SIGMA_M**2] * 3 + [SIGMA_RAD**2] * 3)


def pose(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('z', yaw).as_matrix()
    T[:2, 3] = x, y
    return T


T_MAP_ODOM = pose(300.0, -200.0, 2.0)


def drive(
    correction: Correction, noise: Callable[[int], np.ndarray], frames: int = 200
) -> tuple[list[float], list[float]]:
    """Metres of each jump of the robot between two estimates, and of each error."""
    jumps, errors, last = [], [], None
    for k in range(frames):
        T_odom_body = pose(0.5 * k, 3.0 * np.sin(k / 15.0), 0.2 * np.cos(k / 15.0))
        true = T_MAP_ODOM @ T_odom_body
        correction.add(noise(k) + true, COVARIANCE, T_odom_body)
        assert correction.estimate is not None
        now = correction.estimate.T_map_odom @ T_odom_body
        if last is not None:
            jumps.append(float(np.linalg.norm((last @ T_odom_body - now)[:3, 3])))
        errors.append(float(np.linalg.norm((now - true)[:3, 3])))
        last = correction.estimate.T_map_odom
    return jumps, errors


def test_answers_of_a_metre_give_an_estimate_that_hardly_moves() -> None:
    random = np.random.default_rng(1)

    def keyframes(k: int) -> np.ndarray:
        """The error of a keyframe, for as long as it is the best: a saw, and what is left."""
        error = np.zeros((4, 4))
        error[0, 3] = 1.5 - 0.5 * (k % 6) + random.normal(0, 0.3)
        return error

    correction = Correction()
    jumps, errors = drive(correction, keyframes)
    assert np.percentile(jumps, 90) < 0.3 and max(jumps[5:]) < 0.5
    assert np.median(errors[50:]) < 0.4
    assert correction.estimate is not None
    sigma = np.sqrt(np.diagonal(correction.estimate.covariance))
    assert (sigma[:2] < SIGMA_M).all() and (sigma > 0).all()


def test_a_robot_that_stands_still_does_not_grow_sure_of_one_answer() -> None:
    correction = Correction()
    for _ in range(50):
        correction.add(T_MAP_ODOM, COVARIANCE, np.eye(4))
    assert correction.estimate is not None
    assert np.sqrt(correction.estimate.covariance[0, 0]) > 0.7 * SIGMA_M


def test_one_answer_elsewhere_moves_nothing() -> None:
    correction = Correction()
    drive(correction, lambda k: np.zeros((4, 4)), 20)
    before = correction.estimate
    verdict = correction.add(pose(0.0, 90.0), COVARIANCE, pose(10.0))
    assert verdict is Verdict.OUTSIDE and correction.estimate is before
    assert correction.outside == 1


def test_answers_that_agree_elsewhere_are_the_robot_and_scattered_ones_are_not() -> None:
    correction, other = Correction(), pose(-40.0, 70.0, -1.0)
    drive(correction, lambda k: np.zeros((4, 4)), 20)
    verdicts = [
        correction.add(other @ pose(10.0 + k), COVARIANCE, pose(10.0 + k)) for k in range(AGREEING)
    ]
    assert verdicts == [*[Verdict.OUTSIDE] * (AGREEING - 1), Verdict.MOVED]
    assert correction.estimate is not None
    np.testing.assert_allclose(correction.estimate.T_map_odom, other, atol=1e-6)
    scattered = [
        correction.add(pose(500.0 * k, 999.0), COVARIANCE, pose(20.0)) for k in range(1, 20)
    ]
    assert set(scattered) == {Verdict.OUTSIDE} and correction.outside == 19


def test_a_degree_far_from_the_origin_of_odometry_is_a_degree_of_the_robot() -> None:
    """Were the filter's error told at that origin, 1 km away, it would be 17 m of the robot."""
    correction, far = Correction(), pose(1000.0)
    correction.add(T_MAP_ODOM @ far, COVARIANCE, far)
    turned = T_MAP_ODOM @ far @ pose(0.0, 0.0, np.radians(2.0))
    correction.add(turned, COVARIANCE, far @ pose(3.0))
    assert correction.estimate is not None
    shift = correction.estimate.T_map_odom @ far - T_MAP_ODOM @ far
    assert np.linalg.norm(shift[:3, 3]) < 3.0


ANGLES = st.floats(-3.0, 3.0)
METRES = st.floats(-50.0, 50.0)


@given(METRES, METRES, ANGLES, METRES, METRES, ANGLES, st.floats(0.01, 5.0))
def test_a_glide_comes_nearer_by_no_more_than_it_may(
    x: float, y: float, yaw: float, x2: float, y2: float, yaw2: float, most: float
) -> None:
    a, b = pose(x, y, yaw), pose(x2, y2, yaw2)
    c = glide(a, b, most, most / 5.0)
    turn = Rotation.from_matrix((inverse(a) @ c)[:3, :3]).magnitude()
    assert np.linalg.norm(c[:3, 3] - a[:3, 3]) <= most + 1e-9 and turn <= most / 5.0 + 1e-6
    for _ in range(10_000):
        if np.array_equal(c, b):
            break
        c = glide(c, b, 1.0, 0.5)
    np.testing.assert_array_equal(c, b)


S = 1_000_000_000


def test_a_restart_is_told_from_a_robot_that_moves() -> None:
    for speed, hz in ((0.5, 20), (2.0, 5), (30.0, 20), (0.0, 1000)):
        detector = JumpDetector()
        said = [detector.jumped(k * S // hz, pose(speed * k / hz)) for k in range(100)]
        assert not any(said), (speed, hz, said)
        k, restarted = 100, detector.jumped(100 * S // hz, pose(-50.0))
        assert restarted is not None and 'jumped' in restarted, (speed, hz)
        assert detector.jumped((k + 1) * S // hz, pose(-50.0 + speed / hz)) is None


def test_a_turn_or_stamps_that_go_back_are_a_restart_and_a_pause_is_not() -> None:
    detector = JumpDetector()
    assert detector.jumped(0, pose(0.0)) is None
    assert 'deg' in (detector.jumped(S // 20, pose(0.0, 0.0, 3.0)) or '')
    assert detector.jumped(10 * S, pose(8.0, 0.0, 1.0)) is None  # 10 s without a sample
    assert detector.jumped(10 * S - S // 10, pose(900.0)) is None  # late, of before
    assert 'went back' in (detector.jumped(2 * S, pose(8.0)) or '')
