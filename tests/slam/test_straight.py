# SPDX-License-Identifier: MIT
"""A map is made straight: by the command, at the end of a drive, and beside it."""

import json

from map_helpers import IDENTITY, some_features
import numpy as np
import pytest
from replay_helpers import command
from scipy.spatial.transform import Rotation

from selavpr_model.config import GraphConfig, MapConfig
from selavpr_model.evaluation.trajectory_error import ape_m
from selavpr_model.graph.map_graph import straighten
from selavpr_model.maps.links import no_links
from selavpr_model.maps.place_map import ODOMETRY, PlaceMap
from selavpr_model.maps.storage.store import open_map, save_map
from selavpr_model.poses import inverse
from selavpr_model.records import ClosureKind, LoopClosure, Place, PoseKind
from selavpr_model.slam.growth import Growth
from selavpr_model.slam.straight import (
    apply,
    measured,
    optimize,
    optimize_map,
    sketch,
    Straightener,
)

LAP, COUNT = 40, 80  # keyframes, a metre apart
SIGMA = np.diag([0.1**2] * 3 + [np.radians(1.0) ** 2] * 3)


def moved(x, y, degrees):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('z', degrees, degrees=True).as_matrix()
    T[:3, 3] = x, y, 0.0
    return T


def way(turn, start=None):
    poses = [np.eye(4) if start is None else start]
    for _ in range(COUNT - 1):
        poses.append(poses[-1] @ moved(1.0, 0.0, turn))
    return np.array(poses)


TRUE, DRIFTED = way(9.0), way(9.2)
FRAME = moved(100.0, 5.0, 70.0)  # T_other_map


def add(place_map, row, pose, session='a', segment=0):
    number = len(place_map)
    place_map.add(some_features(number), Place(number, row * 10**9, session=session, pose=pose))
    place_map.odometry.set(number, pose, segment)


def grown(poses=DRIFTED, closed=True):
    """Two laps; with closures of the second lap with the first one."""
    made = PlaceMap.empty(IDENTITY, MapConfig(thumbnail_px=0, frame_id=ODOMETRY))
    for row, pose in enumerate(poses):
        add(made, row, pose)
    for row in range(LAP, COUNT, 4) if closed else ():
        made.link(row - LAP, row, np.eye(4), SIGMA, metric=True)
    return made


def error(place_map, rows=range(COUNT)):
    return ape_m({r: place_map.places[r].pose for r in rows}, dict(enumerate(TRUE)))


def test_a_map_is_made_straight_and_says_what_was_done():
    made = grown()
    assert error(made) > 0.45
    report = optimize(made, GraphConfig())
    assert error(made) < 0.15 and report.moved_m > 0.5
    assert (report.links, report.refused, report.aligned) == (10, 0, ())
    again = made.poses.copy()
    optimize(made, GraphConfig())
    assert made.poses == pytest.approx(again, abs=1e-3), 'a straight map stays'


def test_a_wrong_closure_is_refused_and_joins_no_places():
    made = grown()
    made.link(10, 30, np.eye(4), SIGMA, metric=True)
    report = optimize(made, GraphConfig())
    assert report.refused == 1 and 10 not in made.joined and error(made) < 0.15


def test_without_closures_a_map_is_left_as_it_is():
    made = grown(closed=False)
    report = optimize(made, GraphConfig())
    assert (made.poses == DRIFTED).all() and (report.links, report.moved_m) == (0, 0.0)


def test_given_poses_and_earlier_rows_stay():
    made = grown()
    for row in range(LAP):  # as if the first lap had been surveyed
        made.odometry._added.pop(row)
    made.move(TRUE[:LAP])
    optimize(made, GraphConfig())
    assert (made.poses[:LAP] == TRUE[:LAP]).all()
    apart = np.linalg.norm((made.poses - TRUE)[LAP::4, :3, 3], axis=1)
    assert apart.max() < 0.3
    other = grown()
    optimize(other, GraphConfig(), first_free=LAP)
    assert (other.poses[:LAP] == DRIFTED[:LAP]).all() and (
        other.poses[LAP:] != DRIFTED[LAP:]
    ).any()


def stranger(made, segments=(0,), closed=(0,)):
    """A second run in the frame of its own odometry; closed: the segments with closures."""
    made.unaligned_sessions.add('b')
    share = COUNT // len(segments)
    for k, row in enumerate(range(0, share * len(segments))):
        segment = segments[k // share]
        start = len(made)
        add(made, row, FRAME @ moved(300.0 * segment, 0.0, 0.0) @ TRUE[row], 'b', segment)
        if segment in closed and row % 4 == 0:
            made.link(row, start, np.eye(4), SIGMA, metric=True)
    return made


def test_a_session_is_aligned_by_metric_closures_and_has_poses_then():
    made = stranger(grown(TRUE))
    assert np.isnan(made.positions[COUNT:]).all()
    report = optimize(made, GraphConfig())
    assert report.aligned == ('b',) and made.unaligned_sessions == set()
    assert np.abs(made.poses[COUNT:] - TRUE).max() < 0.1 and np.isfinite(made.positions).all()


def test_a_session_with_a_stretch_that_nothing_aligns_stays_in_its_own_frame_whole():
    made = stranger(grown(TRUE), segments=(0, 1))
    before = made.poses.copy()
    report = optimize(made, GraphConfig())
    assert report.aligned == () and made.unaligned_sessions == {'b'}
    assert made.poses == pytest.approx(before, abs=1e-6)
    both = stranger(grown(TRUE), segments=(0, 1), closed=(0, 1))
    assert optimize(both, GraphConfig()).aligned == ('b',)
    assert np.abs(both.poses[COUNT:] - TRUE).max() < 0.1


def test_where_odometry_breaks_while_a_solution_is_computed_the_session_stays_in_its_own_frame():
    made = stranger(grown(TRUE))
    drawn = sketch(made)
    solution = straighten(drawn.graph, GraphConfig())
    add(made, 2 * COUNT, moved(0.0, 0.0, 0.0), 'b', segment=1)  # it starts anew at its origin
    assert apply(made, drawn, solution) == [] and made.unaligned_sessions == {'b'}
    assert np.isnan(made.positions[COUNT:]).all()
    going_on = stranger(grown(TRUE))
    add(going_on, 2 * COUNT, FRAME @ TRUE[-1] @ moved(1.0, 0.0, 9.0), 'b')
    assert apply(going_on, drawn, solution) == ['b'] and np.isfinite(going_on.positions).all()


def closure(kind, pose=None, covariance=None):
    before, after = (Place(i, i) for i in range(2))
    return LoopClosure(ClosureKind.VERIFIED, before, after, 0.9, 100, 'why', pose_kind=kind,
                       pose=pose, covariance=covariance)  # fmt: skip


def test_what_geometry_has_not_measured_is_as_wide_as_keyframes_are_apart():
    config, turned = GraphConfig(), moved(0.6, 0.8, 20.0)
    pose, C, metric = measured(closure(PoseKind.METRIC, turned, SIGMA), 1.2, config)
    assert metric and (pose == turned).all() and (C == SIGMA).all()
    pose, C, metric = measured(
        closure(PoseKind.ROTATION_AND_DIRECTION, turned, SIGMA), 1.2, config
    )
    assert not metric and (pose[:3, 3] == 0).all() and (pose[:3, :3] == turned[:3, :3]).all()
    assert np.diag(C) == pytest.approx([1.44] * 3 + [np.radians(1.0) ** 2] * 3)
    pose, C, metric = measured(closure(PoseKind.NONE), 0.1, config)
    assert not metric and (pose == np.eye(4)).all()
    assert np.diag(C) == pytest.approx([0.25] * 3 + [np.radians(10.0) ** 2] * 3)


def beside(config):
    """A drive kept straight on the way; the row at which its poses changed first."""
    made = PlaceMap.empty(IDENTITY, MapConfig(thumbnail_px=0, frame_id=ODOMETRY))
    keeper, changed = Straightener(made, config, 0), None
    for row, pose in enumerate(DRIFTED):
        keeper.step()
        if changed is None and row and not np.allclose(made.poses, DRIFTED[:row]):
            changed = row
        last = made.places[-1].pose @ inverse(DRIFTED[row - 1]) @ pose if row else pose
        number = len(made)
        made.add(some_features(number), Place(number, row * 10**9, session='a', pose=last))
        made.odometry.set(number, pose, 0)
        if row >= LAP and row % 4 == 0:
            keeper.link(row - LAP, row, closure(PoseKind.METRIC, np.eye(4), SIGMA), 1.0)
    return made, keeper, changed


def test_beside_the_drive_it_is_applied_a_fixed_number_of_keyframes_later():
    made, keeper, changed = beside(GraphConfig(wait_keyframes=7))
    assert changed == LAP + 1 + 7 and error(made) < 0.3
    ways = np.linalg.norm(np.diff(made.poses[:, :3, 3], axis=0), axis=1)
    assert ways == pytest.approx(np.ones(COUNT - 1), abs=0.2), 'nothing is torn apart'
    same = beside(GraphConfig(wait_keyframes=7))[0]
    assert (same.poses == made.poses).all(), 'a replay repeats it'
    assert keeper.finish().links == 10 and error(made) < 0.15


def test_where_it_is_switched_off_poses_stay_those_of_odometry():
    made, keeper, changed = beside(GraphConfig(enabled=False))
    assert changed is None and keeper.finish() is None
    assert made.poses == pytest.approx(DRIFTED) and len(made.links) == 10


def test_the_command_replaces_the_map_or_writes_another(tmp_path, capsys):
    save_map(grown(), tmp_path / 'map')
    out = str(tmp_path / 'out')
    assert command('map', 'optimize', str(tmp_path / 'map'), '--out', out) == 0
    assert error(open_map(out)) < 0.15 < error(open_map(tmp_path / 'map'))
    assert '10, 0 refused' in capsys.readouterr().out
    assert command('map', 'optimize', str(tmp_path / 'map'), '--out', out) == 1
    told = ['--json', str(tmp_path / 'told.json')]
    assert command('map', 'optimize', str(tmp_path / 'map'), *told) == 0
    assert json.loads((tmp_path / 'told.json').read_text())['links'] == 10
    opened = open_map(tmp_path / 'map')
    assert opened.revision == 2 and error(opened) < 0.15
    assert optimize_map(tmp_path / 'map').moved_m < 0.01


def test_a_drive_takes_places_of_earlier_ones_that_are_one_for_one():
    """By their poses in the frame of the map, else by the closures that join them."""
    made = stranger(grown(TRUE))
    assert COUNT in Growth(made)._belief._around(np.array([0]))[0], (
        'by its link with a run of unknown frame'
    )
    made.move(np.concatenate([TRUE, TRUE]))
    made.unaligned_sessions, made.links = set(), no_links()
    again = Growth(made)
    assert COUNT in again._belief._around(np.array([0]))[0], 'by their poses in one frame'
    assert again._beside(COUNT)[0] == COUNT + 1, 'the row before it is of another run'


def test_a_closure_that_the_graph_refuses_joins_nothing_in_the_drive_either():
    made = grown()
    drive = Growth(made)
    drive._straightener = Straightener(made, GraphConfig(wait_keyframes=1), 0)  # all is its own
    made.link(10, 30, np.eye(4), SIGMA, metric=True)
    far = closure(PoseKind.METRIC, np.eye(4), SIGMA)
    drive._straightener.link(12, 32, far, 1.0)
    drive._join()  # as each of them was verified
    assert 30 in drive._belief._around(np.array([10]))[0] and 32 in drive._judge._links[12]
    drive._straighten()
    add(made, COUNT, DRIFTED[-1] @ moved(1.0, 0.0, 9.2))
    drive._straighten()
    assert made.links['weight'][-2:].max() < 0.5
    assert 30 not in drive._belief._around(np.array([10]))[0] and not drive._judge._links[12] & {
        32
    }
    assert LAP in drive._belief._around(np.array([0]))[0] and LAP in drive._judge._links[0], (
        'right ones hold'
    )
