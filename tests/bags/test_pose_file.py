# SPDX-License-Identifier: MIT
"""Poses of a file beside a bag, and what a map calls the frame of a bag's poses."""

from __future__ import annotations

from bag_helpers import fix, IMAGE, image, odometry, START, STEP, transform, write
import numpy as np
import pytest

from selavpr_model.errors import SourceError
from selavpr_model.poses import pose_matrix
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.recordings import map_frame_of, open_recording, origin_of

LATE = 5 * 10**9
"""ns that the recorder's clock is ahead of the camera's."""


def images(count=6, late=0):
    return [(IMAGE, START + late + i * STEP, image(START + i * STEP, i)) for i in range(count)]


def seconds(ns):
    return f'{ns // 10**9}.{ns % 10**9:09d}'


def tum(path, count=6, start=START, step=STEP):
    rows = [f'{seconds(start + i * step)} {i} 2 0 0 0 0 1\n' for i in range(count)]
    path.write_text('# timestamp x y z qx qy qz qw\n' + ''.join(rows))
    return path


def xs(bag):
    return [None if f.pose is None else round(float(f.pose[0, 3]), 6) for f in bag]


def test_a_trajectory_beside_a_bag_gives_the_poses_of_its_images(tmp_path):
    path = write(tmp_path / 'bag', images())
    told = tum(tmp_path / 'truth.txt', step=2 * STEP)
    bag = open_recording(path, str(told))
    assert xs(bag) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert bag.report.words() == (
        '6 images, 6 with a pose from truth.txt (TUM trajectory, stamp x y z qx qy qz qw), 6 poses'
    )
    assert list(bag.truth().values())[2][1, 3] == 2.0
    inside = tum(path / 'inside.csv')
    assert xs(open_recording(path, inside.name)) == [0, 1, 2, 3, 4, 5]


def test_the_camera_in_the_body_is_given_where_the_file_is_of_a_body(tmp_path):
    path, told = write(tmp_path / 'bag', images()), tum(tmp_path / 'body.txt')
    ahead = pose_matrix((0.5, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    assert xs(open_recording(path, str(told), base_camera=ahead))[0] == 0.5


def test_odometry_of_the_bag_stays_odometry(tmp_path):
    moving = [
        ('/odom', START + i * STEP, odometry(START + i * STEP, 7.0 + i, '')) for i in range(6)
    ]
    path = write(tmp_path / 'bag', [*images(), *moving])
    frames = list(open_recording(path, str(tum(tmp_path / 'truth.txt'))))
    assert [f.pose[0, 3] for f in frames] == pytest.approx([0, 1, 2, 3, 4, 5])
    assert [f.odom[0, 3] for f in frames] == pytest.approx([7, 8, 9, 10, 11, 12])


def test_times_of_the_recorder_join_a_file_of_its_clock(tmp_path):
    path = write(tmp_path / 'bag', images(late=LATE))
    assert xs(open_recording(path, str(tum(tmp_path / 'a.txt', start=START + LATE)))) == [
        0, 1, 2, 3, 4, 5,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('1.0 0 0 0 0 0 0 1\n2.0 0 0 0 0 0 0 1\n', '0 of 6 images have a pose'),
        ('a.png,1,2,3,0.5\nb.png,1,2,3,0.5\n', 'expected poses with times'),
        ('1 0 0 0 0 1 0 0 0 0 1 0\n', 'expected poses with times'),
        ('', 'empty file'),
    ],
)
def test_a_file_of_other_times_or_without_is_refused(tmp_path, text, said):
    path = write(tmp_path / 'bag', images())
    (tmp_path / 'poses.txt').write_text(text)
    with pytest.raises(SourceError, match=said) as failed:
        open_recording(path, str(tmp_path / 'poses.txt'))
    assert 'poses.txt' in str(failed.value) and '\n' not in str(failed.value)


def test_a_file_that_is_not_there_is_no_topic(tmp_path):
    path = write(tmp_path / 'bag', images())
    with pytest.raises(SourceError, match='expected a file of poses here or in'):
        open_recording(path, 'nowhere.txt')


@pytest.mark.parametrize(
    ('poses', 'frame'),
    [('tf:odom', 'odom'), ('tf:map', 'map'), ('/odom', 'odom'), ('none', 'map'), ('/fix', 'map')],
)
def test_a_map_calls_its_frame_as_the_poses_do(tmp_path, poses, frame):
    moving = [
        entry
        for time in (START + i * STEP for i in range(6))
        for entry in (
            ('/tf', time, transform(time, 'map', 'odom', 10.0)),
            ('/tf', time, transform(time, 'odom', 'base_link', 1.0)),
            ('/odom', time, odometry(time, 1.0, 'base_link')),
            ('/fix', time, fix(time, 45.0 + (time - START) * 1e-14, 9.0)),
        )
    ]
    path = write(tmp_path / 'bag', [*images(), *moving])
    bag = BagFrames(path, pose_topic=poses, base_camera=np.eye(4))
    assert map_frame_of(bag) == frame
    told = origin_of(bag, path)
    assert (told['images'], told['posed']) == (6, 0 if poses == 'none' else 6)
    assert ('origin' in told) == (poses == '/fix')
