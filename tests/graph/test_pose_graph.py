# SPDX-License-Identifier: MIT
"""The pose graph: exact where the edges are, robust where they are wrong."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from selavpr_model.evaluation.trajectory_error import ape_m, fitted
from selavpr_model.graph.pose_graph import Edges, joined_edges, residuals, solve, uncertainty
from selavpr_model.graph.rotations import exp, log, log_derivative
from selavpr_model.poses import inverse

PLACE = np.diag([1.0] * 3 + [np.radians(10.0) ** 2] * 3)


def turned(degrees, x=1.0):
    T = np.eye(4)
    T[:3, :3], T[0, 3] = Rotation.from_euler('z', degrees, degrees=True).as_matrix(), x
    return T


def way(step, count):
    poses = [np.eye(4)]
    for _ in range(count - 1):
        poses.append(poses[-1] @ step)
    return np.array(poses)


def odometry(poses):
    motions = np.stack([inverse(a) @ b for a, b in pairwise(poses)])
    count = len(motions)
    C = np.diag([0.05**2] * 3 + [np.radians(0.5) ** 2] * 3)
    return Edges(np.arange(count), np.arange(1, count + 1), motions, np.tile(C, (count, 1, 1)),
                 np.ones(count, bool))  # fmt: skip


def same_place(pairs):
    first, second = np.array(pairs).T
    count = len(first)
    return Edges(first, second, np.tile(np.eye(4), (count, 1, 1)), np.tile(PLACE, (count, 1, 1)),
                 np.zeros(count, bool))  # fmt: skip


def held(count):
    return np.arange(count) == 0


def error(poses, truth):
    return ape_m(dict(enumerate(poses)), dict(enumerate(truth)))


@pytest.fixture
def laps():
    """Two laps of 80 m with a heading that drifts by 0.15 degrees a metre; true, by odometry."""
    return way(turned(4.5), 160), way(turned(4.5 + 0.15), 160)


LOOPS = [(i - 80, i) for i in range(80, 160, 5)]


def test_derivatives_of_the_residuals_are_those_of_differences():
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = exp(rng.normal(size=(3, 3))), rng.normal(size=(3, 3))
    motion = np.tile(turned(30.0), (2, 1, 1))
    ends = np.array([0, 1]), np.array([1, 2])
    edges = Edges(*ends, motion, np.tile(PLACE, (2, 1, 1)), np.ones(2, bool))
    at, *sides = residuals(poses, edges)
    for vertices, J in zip(ends, sides, strict=True):
        for axis in range(6):
            moved, step = poses.copy(), 1e-6
            for edge, vertex in enumerate(vertices):
                moved = poses.copy()
                if axis < 3:
                    moved[vertex, axis, 3] += step
                else:
                    moved[vertex, :3, :3] = (
                        exp(step * np.eye(3)[None, axis - 3]) @ moved[vertex, :3, :3]
                    )
                slope = (residuals(moved, edges)[0][edge] - at[edge]) / step
                assert J[edge, :, axis] == pytest.approx(slope, abs=1e-4)


def test_the_logarithm_has_the_derivative_it_says_also_near_nothing_and_near_half_a_turn():
    for v in ([1e-9, 0, 0], [0.3, -0.2, 0.1], [0.0, 3.1, 0.0]):
        v, d = np.array([v], float), 1e-7 * np.array([[0.3, -0.5, 0.8]])
        moved = log(exp(d) @ exp(v)) - v
        assert moved == pytest.approx(np.einsum('nij,nj->ni', log_derivative(v), d), abs=1e-10)


def test_where_nothing_closes_nothing_moves(laps):
    _, drifted = laps
    solved = solve(drifted, odometry(drifted), held(160))
    assert solved.poses == pytest.approx(drifted, abs=1e-9) and (solved.weights == 1.0).all()


def test_closures_take_the_drift_away_and_the_first_pose_stays(laps):
    truth, drifted = laps
    solved = solve(drifted, joined_edges(odometry(drifted), same_place(LOOPS)), held(160))
    assert error(drifted, truth) > 1.2 and error(solved.poses, truth) < 0.2
    assert solved.poses[0] == pytest.approx(np.eye(4)) and (solved.weights == 1.0).all()


@pytest.mark.parametrize('seed', range(5))
def test_wrong_closures_lose_all_their_weight_and_right_ones_none(laps, seed):
    truth, drifted = laps
    rng = np.random.default_rng(seed)
    wrong = []
    while len(wrong) < 8:  # half of the right ones; some as far apart as the track is wide
        a, b = sorted(rng.choice(160, 2, replace=False).tolist())
        if np.linalg.norm(truth[a, :3, 3] - truth[b, :3, 3]) > 8.0:
            wrong.append((a, b))
    edges = joined_edges(odometry(drifted), same_place(LOOPS + wrong))
    solved = solve(drifted, edges, held(160))
    assert (solved.weights[159 : 159 + len(LOOPS)] == 1.0).all()
    assert (solved.weights[159 + len(LOOPS) :] == 0.0).all()
    assert error(solved.poses, truth) < 0.25


def test_fixed_vertices_stay_and_what_hangs_on_nothing_stays_near(laps):
    truth, drifted = laps
    fixed = np.arange(160) < 80
    later = truth[79] @ inverse(drifted[79]) @ drifted[80:]
    start = np.concatenate([truth[:80], later])
    edges = joined_edges(odometry(start), same_place(LOOPS))
    solved = solve(start, edges, fixed)
    assert (solved.poses[:80] == truth[:80]).all() and error(solved.poses, truth) < 0.4
    alone = solve(start, same_place([(0, 1)]), fixed)
    assert alone.poses == pytest.approx(start) and len(alone.weights) == 1


def test_the_uncertainty_of_a_chain_grows_with_the_root_of_its_length():
    poses = way(turned(0.0), 11)
    edges = odometry(poses)
    solution = solve(poses, edges, held(11))
    along = [uncertainty(solution, edges, held(11), k)[0, 0] for k in (1, 10)]
    assert along == pytest.approx([0.05**2, 10 * 0.05**2], rel=1e-3)


def test_the_error_is_that_of_evo():
    from evo.core.metrics import APE, PoseRelation
    from evo.core.trajectory import PosePath3D

    rng = np.random.default_rng(1)
    truth = way(turned(7.0), 40)
    found = turned(50.0, x=9.0) @ truth
    found[:, :3, 3] += rng.normal(0.0, 0.3, (40, 3))
    ape, mine = APE(PoseRelation.translation_part), PosePath3D(poses_se3=list(found))
    reference = PosePath3D(poses_se3=list(truth))
    mine.align(reference)
    ape.process_data((reference, mine))
    assert error(found, truth) == pytest.approx(ape.get_all_statistics()['rmse'], abs=1e-9)
    assert fitted(truth[:, :3, 3], truth[:, :3, 3]) == pytest.approx(np.eye(4), abs=1e-9)
    assert ape_m({0: truth[0], 1: truth[1]}, {0: truth[0], 1: truth[1]}) is None
