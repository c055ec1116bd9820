# SPDX-License-Identifier: MIT
"""Deterministic replay of a real bag in a real map, as library and as command."""

import json

import cv2
import numpy as np
import pytest
from replay_helpers import command, moved, TRUTH

from selavpr_model.config import ScoreConfig
from selavpr_model.data.pose_tables import read_table
from selavpr_model.evaluation.predictions import read_csv
from selavpr_model.maps.storage.store import open_map
from selavpr_model.poses import position_quaternion
from selavpr_model.records import State
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag
from selavpr_ros.replay.offline import run_with, Scoring
from selavpr_ros.replay.request import Request

FP32 = ('--precision', 'fp32')  # else it is measured first


@pytest.fixture(scope='module')
def bag(street, tmp_path_factory):
    """Eight places of `street_map` seen darker and from 1 m to the side."""
    path = tmp_path_factory.mktemp('bags') / 'drive'
    write_bag(path, [moved(frame) for frame in street[:8]], 'png')
    return path


@pytest.fixture(scope='module')
def replayed(bag, extractor, street_map, tmp_path_factory):
    out = tmp_path_factory.mktemp('replay')
    request = Request(bag, street_map, out, TRUTH, extractor=extractor.config)
    return out, run_with(request, extractor, open_map(street_map))


def test_each_frame_finds_its_place(replayed):
    out, summary = replayed
    rows = read_csv(out / 'predictions.csv')
    assert [row.place_ids[0] for row in rows] == list(range(8))
    assert summary['recall_at_1'] == summary['global']['recall_at_1'] == 100.0
    assert (summary['frames'], summary['processed'], summary['dropped_by_reason']) == (8, 8, {})
    assert (summary['in_map_frames'], summary['outside_map_frames']) == (8, 0)


def test_poses_and_closures_come_with_the_state(replayed):
    out, summary = replayed
    rows = read_csv(out / 'predictions.csv')
    localized = [row for row in rows if row.state == State.LOCALIZED]
    assert len(localized) >= 4
    assert all((row.pose is not None) == (row.state == State.LOCALIZED) for row in rows)
    assert all(row.reason for row in rows)
    closures = {'published': len(localized), 'correct': len(localized), 'wrong': 0, 'unknown': 0}
    assert summary['loop_closures'] == closures
    assert summary['pose_error']['median_m'] == pytest.approx(1.0, abs=0.01)


def test_the_result_says_what_made_it(replayed, extractor):
    out, summary = replayed
    assert json.loads((out / 'summary.json').read_text()) == json.loads(json.dumps(summary))
    assert summary['fingerprint'] == extractor.identity.fingerprint
    assert summary['map']['places'] == 12
    stages = summary['latency_ms']
    assert list(stages)[-1] == 'total' and all(v['p50'] <= v['p95'] for v in stages.values())
    assert json.loads((out / 'config.json').read_text())['truth'] == TRUTH
    assert '</html>' in (out / 'report.html').read_text()


def test_what_counts_as_the_same_place_is_a_choice(bag, street_map, replayed):
    rows = read_csv(replayed[0] / 'predictions.csv')
    frames = BagFrames(bag, pose_topic=TRUTH)
    scoring = Scoring(frames, open_map(street_map), ScoreConfig(position_m=0.5))
    localized = [(row.stamp_ns, row.place_ids[0]) for row in rows if row.pose]
    summary = scoring.summary(scoring.scores(rows), {}, localized)
    assert (summary['in_map_frames'], summary['outside_map_frames']) == (0, 8)
    assert summary['recall_at_1'] is None
    assert summary['false_accepts'] == summary['loop_closures']['wrong'] == len(localized) > 0


def test_the_command_repeats_itself_byte_for_byte(bag, street_map, replayed, tmp_path, capsys):
    replaying = ['replay', str(bag), '--map', str(street_map), '--truth', TRUTH]
    assert command(*replaying, '--out', str(tmp_path), *FP32) == 0
    shown = capsys.readouterr().out
    assert 'Recall@1' in shown and '100.0 %' in shown and 'report.html' in shown
    first = (replayed[0] / 'predictions.csv').read_bytes()
    assert (tmp_path / 'predictions.csv').read_bytes() == first


def test_without_true_poses_there_are_answers_and_a_trajectory_but_no_scores(
    bag, street_map, replayed, tmp_path, capsys
):
    out = tmp_path / 'o'
    assert command('replay', str(bag), '--map', str(street_map), '--out', str(out), *FP32) == 0
    shown = capsys.readouterr().out
    assert 'Localized' in shown and '--truth TOPIC scores' in shown
    assert not any(word in shown for word in ('Recall', 'False accepts', 'wrong'))
    first = (replayed[0] / 'predictions.csv').read_bytes()
    assert (out / 'predictions.csv').read_bytes() == first
    rows = [row for row in read_csv(out / 'predictions.csv') if row.pose is not None]
    trajectory = read_table(out / 'trajectory.txt').rows
    assert [r.stamp_ns for r in trajectory] == [r.stamp_ns for r in rows]
    assert 'Not scored, most matches' in (out / 'report.html').read_text()


def test_a_wrong_topic_is_one_line_with_the_valid_ones(bag, street_map, tmp_path, capsys):
    replaying = ['replay', str(bag), '--map', str(street_map), '--truth', '/gps']
    assert command(*replaying, '--out', str(tmp_path)) == 1
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and "'/gps'" in said and TRUTH in said


def test_what_is_no_recording_is_told_apart_and_what_is_one_is_said(tmp_path, capsys):
    (tmp_path / 'vid.mp4').write_bytes(b'video')
    (tmp_path / 'x.xyz').write_bytes(b'other')
    (tmp_path / 'map.db').write_bytes(b'version https://git-lfs.github.com/spec/v1\noid sha256:0')
    problems = {
        'nope': 'does not exist; expected a folder of images, a bag',
        'map.db': 'is a pointer of git LFS; run git lfs pull',
        'vid.mp4': 'cannot be opened as a video',
        'x.xyz': 'or a video (.mp4, .avi), got another file',
    }
    for words in (('map', 'build'), ('slam',)):
        for name, problem in problems.items():
            assert command(*words, str(tmp_path / name), '--out', str(tmp_path / 'o')) == 1
            said = capsys.readouterr().err
            assert problem in said and said.count('\n') == 1


@pytest.mark.parametrize('text', ['1,2,3', '0,0,0,0,0,0,0', 'here'])
def test_a_bad_camera_pose_is_refused(bag, street_map, tmp_path, capsys, text):
    replaying = ['replay', str(bag), '--map', str(street_map), '--truth', TRUTH]
    assert command(*replaying, '--out', str(tmp_path), '--base-camera', text) == 1
    assert 'expected x,y,z,qx,qy,qz,qw' in capsys.readouterr().err


def test_a_map_is_built_from_a_bag_or_a_folder(bag, shared_data, tmp_path, capsys):
    assert (
        command('map', 'build', str(bag), '--out', str(tmp_path / 'a'), '--distance-m', '40') == 0
    )
    from_bag = open_map(tmp_path / 'a')
    assert 2 <= len(from_bag) < 8 and from_bag.source['kind'] == 'bag'
    folder = str(shared_data('campus_gray'))
    assert (
        command('map', 'build', folder, '--out', str(tmp_path / 'b'), '--distance-m', '60', *FP32)
        == 0
    )
    from_folder = open_map(tmp_path / 'b')
    assert from_folder.source['kind'] == 'folder' and len(from_folder) >= 2
    assert capsys.readouterr().out.count('calibration') == 2


@pytest.fixture(scope='module')
def photographs(street, tmp_path_factory):
    """The drive as a folder of images with a TUM file, and one file that is damaged."""
    folder = tmp_path_factory.mktemp('photographs')
    rows = []
    for frame in (moved(each) for each in street[:8]):
        stamp = f'{frame.stamp_ns / 1e9:.9f}'
        cv2.imwrite(str(folder / f'{frame.stamp_ns}.png'), frame.image[..., ::-1])
        rows.append(f'{stamp} ' + ' '.join(map(repr, position_quaternion(frame.pose))))
    (folder / 'truth.tum').write_text('\n'.join(rows) + '\n')
    (folder / f'{frame.stamp_ns + 1}.png').write_bytes(b'\x89PNG')
    return folder


def test_a_folder_is_replayed_as_a_bag_is(photographs, replayed, street_map, tmp_path, capsys):
    asked = ['replay', str(photographs), '--map', str(street_map), '--out', str(tmp_path), *FP32]
    assert command(*asked, '--truth', 'truth.tum') == 0
    assert '1 left out (1 undecodable)' in capsys.readouterr().out.replace('\n', ' ')
    rows, of_bag = (read_csv(out / 'predictions.csv') for out in (tmp_path, replayed[0]))
    assert [r.place_ids for r in rows] == [r.place_ids for r in of_bag]
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert (summary['recall_at_1'], summary['dropped_by_reason']) == (100.0, {'undecodable': 1})


def test_a_video_is_replayed_and_a_folder_is_not_played_live(
    street, photographs, street_map, tmp_path, capsys
):
    height, width = street[0].image.shape[:2]
    film = tmp_path / 'x.avi'
    video = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*'MJPG'), 2, (width, height))
    for frame in street[:4]:
        video.write(np.ascontiguousarray(frame.image[..., ::-1]))
    video.release()
    asked = ['--map', str(street_map), '--out', str(tmp_path / 'o'), *FP32]
    assert command('replay', str(film), *asked) == 0
    rows = read_csv(tmp_path / 'o' / 'predictions.csv')
    assert [row.place_ids[0] for row in rows] == list(range(4))
    capsys.readouterr()
    assert command('replay', str(photographs), '--live', *asked) == 1
    said = capsys.readouterr().err
    assert '--live: expected a bag' in said and said.count('\n') == 1
