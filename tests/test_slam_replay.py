# SPDX-License-Identifier: MIT
"""`selavpr slam`: a recording driven in SLAM mode, scored and written."""

import csv
from dataclasses import replace
import json

import numpy as np
import pytest
from replay_helpers import command, copy_bag

from selavpr_model.config import ScoreConfig
from selavpr_model.place_map import PlaceMap
from selavpr_model.records import ClosureKind, LoopClosure, Place, PoseKind, Reject
from selavpr_model.slam_score import Run, same_by_pose, score
from selavpr_ros.bag_writer import write_bag
from selavpr_ros.slam_replay import write_closures


def closure(kind, before, after):
    return LoopClosure(kind, Place(before, before), Place(after, after), 0.9, 100, 'why')


def test_a_closure_of_what_is_no_revisit_counts_against_precision_only():
    poses = [np.eye(4) for _ in range(6)]
    for i, x in enumerate((0.0, 10.0, 20.0, 30.0, 0.5, 10.5)):
        poses[i][0, 3] = x
    run = Run(
        [closure(ClosureKind.VERIFIED, 0, 4), closure(ClosureKind.VERIFIED, 2, 3),
         closure(ClosureKind.REJECTED, 1, 5)],
        {i: i for i in range(6)},
        {i: list(range(max(0, i - 2))) for i in range(6)},
    )  # fmt: skip
    made = score(run, same_by_pose(poses, ScoreConfig()))
    assert (made['verified'], made['false_verified'], made['precision']) == (2, 1, 0.5)
    assert made['false_verified_frames'] == [(3, 2)]
    assert (made['revisits'], made['revisits_closed'], made['recall']) == (2, 1, 0.5)
    assert made['rejected_although_right'] == 1


def test_nothing_closed_has_no_precision():
    made = score(Run([], {0: 0}, {0: []}), same_by_pose([None], ScoreConfig()))
    assert made['precision'] is None and made['recall'] is None


def test_a_row_of_the_table_says_all_of_a_closure_but_its_pose(tmp_path):
    seen = replace(closure(ClosureKind.VERIFIED, 3, 9), inliers=70, pose_kind=PoseKind.METRIC)
    ruled_out = replace(closure(ClosureKind.REJECTED, 4, 8), reject=Reject.GEOMETRY)
    turned = replace(closure(ClosureKind.CANDIDATE, 1, 2), pose_kind=PoseKind(1))
    write_closures(tmp_path / 'closures.csv', [seen, ruled_out, turned])
    assert (tmp_path / 'closures.csv').read_text().splitlines() == [
        'kind,key_from,key_to,stamp_from_ns,stamp_to_ns,similarity,matches,inliers,pose_type,'
        'reject,reason',
        'VERIFIED,3,9,3,9,0.900000,100,70,METRIC,0,why',
        'REJECTED,4,8,4,8,0.900000,100,0,NONE,8,why',
        'CANDIDATE,1,2,1,2,0.900000,100,0,ROTATION_AND_DIRECTION,0,why',
    ]


@pytest.fixture
def few(shared_data, tmp_path):
    """Ten images of each round of the corridor, and which of them show one place."""
    import shutil

    import cv2

    folder = tmp_path / 'corridor'
    folder.mkdir()
    truth = shared_data('rtabmap_loop')
    numbers = [*range(5, 35), *range(46, 58)]
    for number in numbers:
        shutil.copy(truth / f'{number}.jpg', folder)
    picture = cv2.imread(str(truth / 'truth.png'), cv2.IMREAD_GRAYSCALE)
    rows = [number - 1 for number in numbers]
    cv2.imwrite(str(folder / 'truth.png'), picture[np.ix_(rows, rows)])
    return folder


def test_one_of_two_cameras_is_driven_and_options_reach_the_session(street, tmp_path, capsys):
    write_bag(tmp_path / 'bag', street[:4], 'png')
    two = copy_bag(tmp_path / 'bag', tmp_path / 'two', '/front/image', '/rear/image')
    slam = ['slam', str(two), '--out', str(tmp_path / 'out'), '--precision', 'fp32']
    assert command(*slam) == 1
    assert '--image-topic' in capsys.readouterr().err
    camera = ['--image-topic', '/rear/image', '--base-camera', '0,0,1,0,0,0,1']
    truth = ['--truth', '/ground_truth/pose', '--device', 'cpu']
    far = ['--distance-m', '1e9', '--time-s', '1e9', '--angle-deg', '180']
    assert command(*slam, *camera, *truth, *far) == 0
    assert len(PlaceMap.open(tmp_path / 'out' / 'map')) == 1, 'no second keyframe is that far off'


@pytest.mark.parametrize('unit', ['-1', '0', 'nan', 'inf'])
def test_a_unit_that_is_no_length_is_refused(tmp_path, capsys, unit):
    assert command('slam', str(tmp_path), '--out', str(tmp_path / 'o'), '--unit-m', unit) == 1
    assert 'unit-m: expected a length in m above 0' in capsys.readouterr().err


def test_the_command_writes_map_closures_score_and_picture(few, tmp_path):
    out = tmp_path / 'out'
    assert command('slam', str(few), '--out', str(out), '--precision', 'fp32') == 0
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['keyframes'] == 42 and summary['false_verified'] == 0
    assert summary['recall'] >= 0.5
    rows = list(csv.DictReader((out / 'closures.csv').open()))
    verified = [row for row in rows if row['kind'] == 'VERIFIED']
    assert {row['pose_type'] for row in rows} == {'NONE'}, 'the camera is not calibrated'
    assert len(verified) == summary['verified'] and all(row['reason'] for row in rows)
    assert len(PlaceMap.open(out / 'map')) == 42
    assert (out / 'drive.png').stat().st_size > 5000
