# SPDX-License-Identifier: MIT
"""`selavpr slam`: a recording driven in SLAM mode, scored and written."""

import csv
from dataclasses import replace
import json
import warnings

import numpy as np
import pytest
from replay_helpers import command, copy_bag

from selavpr_model.config import ScoreConfig
from selavpr_model.evaluation.slam_plot import drive_figure
from selavpr_model.evaluation.slam_score import Run, same_by_pose, score
from selavpr_model.evaluation.trust import Trust
from selavpr_model.evaluation.trust_plots import write_plots
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import ClosureKind, LoopClosure, Place, PoseKind, Reject
from selavpr_ros.bags.writer import write_bag
from selavpr_ros.replay.slam import write_closures
from selavpr_ros.replay.tables import slam_rows


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


def driven(*places):
    """Keyframes at these positions, (x, z) in m; the last closed with the first, and refused."""
    poses = {i: np.eye(4) for i in range(len(places))}
    for i, (x, z) in enumerate(places):
        poses[i][[0, 2], 3] = x, z
    kinds = (ClosureKind.VERIFIED, ClosureKind.REJECTED)
    closures = [closure(kind, 0, len(places) - 1) for kind in kinds]
    return Run(closures, {i: i for i in poses}, {}), poses


def words_of(figure):
    (axes,) = figure.axes
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    return axes.get_xlabel(), axes.get_ylabel(), legend


def test_the_picture_says_what_is_drawn_in_which_unit_and_fits_the_drive():
    run, spots = driven((0, 0), (50, 0), (100, 0.5), (100, 20), (0, 20))
    figure = drive_figure(run, spots, spots)
    both = {'verified closures: 1', 'rejected closures: 1'}
    assert words_of(figure) == ('x (m)', 'z (m)', {'odometry', 'truth', *both})
    width, height = figure.get_size_inches()
    assert height < 0.5 * width, 'a long drive needs a low picture'
    assert words_of(drive_figure(run, spots, {}))[2] == {'odometry', *both}
    moved = {i: pose + 0.5 * np.eye(4, k=3) for i, pose in spots.items()}
    assert words_of(drive_figure(run, spots, {}, moved))[2] == {'odometry', 'map', *both}
    assert words_of(drive_figure(run, spots, {}, spots))[2] == {'odometry', *both}


def test_without_odometry_closures_are_arcs_over_the_frames_or_lie_on_the_truth():
    run, spots = driven((0, 0), (0, 5), (0, 10))
    figure = drive_figure(run, spots, {})
    assert 'frame' in words_of(figure)[0] and 'keyframes' in words_of(figure)[2]
    (arc, *_) = [line for line in figure.axes[0].lines if line.get_label().startswith('verified')]
    assert arc.get_xdata()[[0, -1]].tolist() == [0.0, 2.0] and arc.get_ydata().max() > 0.9
    _, true = driven((0, 0), (3, 4), (6, 0))
    assert words_of(drive_figure(run, spots, true))[:2] == ('x (m)', 'z (m)')


def test_pictures_of_no_candidate_say_so_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        write_plots(tmp_path, Trust(0.9))
    assert len(list(tmp_path.iterdir())) == 3


def test_the_table_speaks_in_words(tmp_path):
    run, poses = driven((0, 0), (50, 0), (100, 0))
    rows = slam_rows(score(run, same_by_pose(list(poses.values()), ScoreConfig())), tmp_path)
    assert rows['verified closures'] == 1 and rows['  their frames'] == '2 with 0'
    assert rows['  precision'] == '0.0 %' and rows['  recall'] == '-'
    assert not [name for name in rows if '_' in name]


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
    assert command(*slam, *camera, '--truth', 'none') == 0
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert (summary['keyframes'], summary['verified']) == (4, 0) and 'recall' not in summary
    assert command(*slam, *camera, *truth, *far) == 0
    assert len(open_map(tmp_path / 'out' / 'map')) == 1, 'no second keyframe is that far off'


@pytest.mark.parametrize('unit', ['-1', '0', 'nan', 'inf'])
def test_a_unit_that_is_no_length_is_refused(tmp_path, capsys, unit):
    assert command('slam', str(tmp_path), '--out', str(tmp_path / 'o'), '--unit-m', unit) == 1
    assert 'unit-m: expected a length in m above 0' in capsys.readouterr().err


def test_the_command_writes_map_closures_score_and_picture(few, tmp_path, capsys):
    out = tmp_path / 'out'
    assert command('slam', str(few), '--out', str(out), '--precision', 'fp32') == 0
    shown = capsys.readouterr().out
    assert 'verified closures' in shown and '_verified' not in shown and 'None' not in shown
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['keyframes'] == 42 and summary['false_verified'] == 0
    assert summary['recall'] >= 0.5
    rows = list(csv.DictReader((out / 'closures.csv').open()))
    verified = [row for row in rows if row['kind'] == 'VERIFIED']
    assert {row['pose_type'] for row in rows} == {'NONE'}, 'the camera is not calibrated'
    assert len(verified) == summary['verified'] and all(row['reason'] for row in rows)
    assert len(open_map(out / 'map')) == 42
    assert (out / 'drive.png').stat().st_size > 5000
