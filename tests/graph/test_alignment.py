# SPDX-License-Identifier: MIT
"""Two runs get one frame only where enough metric closures agree on it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from selavpr_model.config import GraphConfig
from selavpr_model.graph.alignment import align, Sighting
from selavpr_model.graph.map_graph import MapGraph, straighten, turned_around
from selavpr_model.graph.rotations import log
from selavpr_model.maps.links import link, no_links
from selavpr_model.poses import inverse

CONFIG = GraphConfig()
SIGMA = np.diag([0.1**2] * 3 + [np.radians(1.0) ** 2] * 3)


def pose(x, y, degrees, z=0.0):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('z', degrees, degrees=True).as_matrix()
    T[:3, 3] = x, y, z
    return T


FRAME = pose(100.0, -30.0, 70.0)  # of the run in the map
ROAD = [pose(5.0 * k, 0.1 * k * k, 4.0 * k) for k in range(12)]  # keyframes in the map


def seen(k, rng, frame=FRAME, sigma=0.1):
    """A closure of the keyframe on the road near one of the map."""
    near = pose(0.4, -0.2, 3.0)
    noise = pose(*rng.normal(0.0, sigma, 2), rng.normal(0.0, 10.0 * sigma))
    own = inverse(frame) @ ROAD[k] @ near
    return Sighting(ROAD[k], near @ noise, SIGMA, own, k)


def test_agreeing_closures_give_the_frame_and_how_well_it_is_known():
    rng = np.random.default_rng(0)
    found = align([seen(k, rng) for k in range(0, 12, 2)], CONFIG)
    off = inverse(FRAME) @ found.T_map_run
    middle = np.r_[(inverse(FRAME) @ ROAD[5])[:3, 3], 1.0]
    assert np.linalg.norm((off @ middle - middle)[:3]) < 0.3
    assert np.degrees(np.linalg.norm(log(off[None, :3, :3]))) < 1.0
    sigma = np.sqrt(np.diag(found.covariance))
    assert (sigma[:3] > 0.03).all() and (sigma[:3] < 0.5).all() and found.agreeing == 6


def test_the_frame_is_that_of_the_larger_part_and_wrong_ones_do_not_move_it():
    rng = np.random.default_rng(1)
    right = [seen(k, rng) for k in range(0, 10)]
    wrong = [seen(k, rng, pose(*rng.normal(0, 80, 2), rng.uniform(0, 360))) for k in range(4)]
    found = align([*wrong, *right], CONFIG)
    assert found.agreeing == 10
    off = inverse(FRAME) @ found.T_map_run
    assert np.degrees(np.linalg.norm(log(off[None, :3, :3]))) < 1.0


@pytest.mark.parametrize('count', [0, 1, 2])
def test_fewer_than_three_align_nothing(count):
    rng = np.random.default_rng(2)
    found = align([seen(5 * k, rng) for k in range(count)], CONFIG)
    assert found.T_map_run is None and '3 needed' in found.reason


def test_closures_that_do_not_agree_or_lie_in_one_spot_align_nothing():
    rng = np.random.default_rng(3)
    frames = [pose(*rng.normal(0, 80, 2), rng.uniform(0, 360)) for _ in range(8)]
    apart = align([seen(k, rng, frame) for k, frame in enumerate(frames)], CONFIG)
    assert apart.T_map_run is None and 'half of them needed' in apart.reason
    spot = [seen(4, rng) for _ in range(5)]
    once = align(spot, CONFIG)
    assert once.T_map_run is None and once.agreeing == 5  # all of one keyframe
    near = align([Sighting(s.place, s.seen, s.covariance, s.own, k) for k, s in enumerate(spot)],
                 CONFIG)  # fmt: skip
    assert near.T_map_run is None and 'within' in near.reason


def two_runs(metric=True):
    """The road in the map, and the same road in the frame of another run, with five closures."""
    rng = np.random.default_rng(4)
    own = [inverse(FRAME) @ T for T in ROAD]
    poses = np.array([*ROAD, *own])
    tracks = np.repeat([0, 1], 12)
    links = [no_links()]
    for k in range(0, 12, 3):
        noise = pose(*rng.normal(0.0, 0.05, 2), 0.0)
        T, C = np.eye(4) @ noise, SIGMA
        if k % 2:
            T, C = turned_around(T, C)
            links.append(link(12 + k, k, T, C, metric))
        else:
            links.append(link(k, 12 + k, T, C, metric))
    aligned, fixed = np.array([True, False]), np.zeros(24, bool)
    return MapGraph(poses, tracks, poses, aligned, fixed, np.concatenate(links))


def test_a_run_is_laid_into_the_map_whichever_end_a_closure_begins_at():
    made = straighten(two_runs(), CONFIG)
    assert made.alignments[1].T_map_run is not None
    apart = np.linalg.norm((made.poses[:12] - made.poses[12:])[:, :3, 3], axis=1)
    assert apart.max() < 0.3


def test_without_metric_closures_both_stay_in_frames_of_their_own():
    graph = two_runs(metric=False)
    made = straighten(graph, CONFIG)
    assert made.alignments[1].T_map_run is None and made.poses == pytest.approx(graph.poses)


def test_a_motion_turned_around_twice_is_itself_with_its_covariance():
    rng = np.random.default_rng(5)
    A = rng.normal(size=(6, 6))
    T, C = pose(1.0, 2.0, 40.0, 0.3), A @ A.T
    back, other = turned_around(*turned_around(T, C))
    assert back == pytest.approx(T) and other == pytest.approx(C)
    draws = rng.multivariate_normal(np.zeros(6), 1e-6 * C, 4000)
    ends = []
    for d in draws:
        moved = T.copy()
        moved[:3, 3] += d[:3]
        moved[:3, :3] = Rotation.from_rotvec(d[3:]).as_matrix() @ T[:3, :3]
        one, two = inverse(moved), inverse(T)
        turn = Rotation.from_matrix(one[:3, :3] @ two[:3, :3].T).as_rotvec()
        ends.append(np.r_[one[:3, 3] - two[:3, 3], turn])
    measured, said = np.cov(np.array(ends).T), 1e-6 * turned_around(T, C)[1]
    assert np.abs(measured - said).max() < 0.1 * np.abs(said).max()
