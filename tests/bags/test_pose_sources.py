# SPDX-License-Identifier: MIT
"""Poses out of every kind of topic, by whichever clock they share with the images."""

from __future__ import annotations

import math

from bag_helpers import (
    drive,
    fix,
    header,
    IMAGE,
    image,
    make,
    odometry,
    pose,
    pose_stamped,
    ROS2,
    START,
    STEP,
    transform,
    write,
)
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.data.formats.geo import FLATTENING, Origin, SEMI_MAJOR_M
from selavpr_model.errors import SourceError
from selavpr_model.poses import pose_matrix
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.recordings import origin_of

HOUR = 3600 * 10**9


def images(count=6, stamp=START):
    return [(IMAGE, START + i * STEP, image(stamp and stamp + i * STEP, i)) for i in range(count)]


def static(parent, child, x):
    return ('/tf_static', START, transform(0, parent, child, x))


def positions(bag):
    return [None if f.pose is None else f.pose[:3, 3].round(6).tolist() for f in bag]


def test_the_child_frame_of_odometry_is_followed_to_the_camera(tmp_path):
    """base_link is at 0.5 of lidar, the camera at 0.2 of base_link."""
    path = write(tmp_path / 'bag', [
        static('lidar', 'base_link', 0.5), static('base_link', 'cam', 0.2), *images(),
        *[('/odom', START + i * STEP, odometry(START + i * STEP, i, 'lidar')) for i in range(6)],
    ])  # fmt: skip
    frames = list(BagFrames(path))
    assert [f.pose[0, 3] for f in frames] == pytest.approx([i + 0.7 for i in range(6)])
    assert [f.odom[0, 3] for f in frames] == pytest.approx([i + 0.7 for i in range(6)])
    given = BagFrames(path, base_camera=pose_matrix((0.1, 0, 0), (0, 0, 0, 1)))
    assert next(iter(given)).pose[0, 3] == pytest.approx(0.6)  # lidar to base, base to camera


def test_a_child_frame_that_nothing_joins_to_the_camera_is_said(tmp_path, caplog):
    path = write(tmp_path / 'bag', [
        static('base_link', 'cam', 0.2), *images(),
        *[('/odom', START + i * STEP, odometry(START + i * STEP, i, 'imu')) for i in range(6)],
    ])  # fmt: skip
    assert positions(BagFrames(path))[1] == [1.2, 2.0, 0.0]
    assert "poses of 'imu', from which no /tf_static leads to 'cam'" in caplog.text


def test_poses_from_tf_follow_the_moving_and_the_fixed_transforms(tmp_path):
    moving = [
        entry
        for i in range(6)
        for entry in (
            ('/tf', START + i * STEP, transform(START + i * STEP, 'map', 'odom', 10.0)),
            ('/tf', START + i * STEP, transform(START + i * STEP, 'odom', 'base_link', float(i))),
        )
    ]
    path = write(tmp_path / 'bag', [static('base_link', 'cam', 0.2), *images(), *moving])
    assert [p[0] for p in positions(BagFrames(path, pose_topic='tf:map'))] == pytest.approx(
        [10.2 + i for i in range(6)]
    )
    given = BagFrames(path, pose_topic='tf:map', base_camera=np.eye(4))
    assert positions(given)[0][0] == pytest.approx(10.0)
    with pytest.raises(SourceError, match=r"/tf has no frame 'earth'; its roots are map"):
        BagFrames(path, pose_topic='tf:earth')
    back = BagFrames(path, pose_topic='tf:odom')
    assert positions(back)[3][0] == pytest.approx(3.2)


def test_a_bag_with_poses_on_tf_alone_says_how_to_take_them(tmp_path, caplog):
    moving = [('/tf', START, transform(START, 'map', 'base_link', 1.0))]
    bag = BagFrames(write(tmp_path / 'bag', [*images(), *moving]))
    assert positions(bag) == [None] * 6
    assert '--poses tf:map' in caplog.text
    with pytest.raises(SourceError, match=r"'/tf' has transforms; .*--poses tf:map"):
        BagFrames(tmp_path / 'bag', pose_topic='/tf')
    with pytest.raises(SourceError, match='does not lead from'):
        path = write(
            tmp_path / 'torn', [*images(), ('/tf', START, transform(START, 'm', 'x', 1.0))]
        )
        BagFrames(path, pose_topic='tf:m')


def test_the_last_path_gives_its_poses_by_their_own_stamps(tmp_path):
    def planned(count, shift):
        poses = [pose_stamped(START + i * STEP, i + shift) for i in range(count)]
        return make(ROS2, 'nav_msgs/Path', header(ROS2, START, 'map'), poses)

    path = write(
        tmp_path / 'bag',
        [*images(), ('/path', START, planned(3, 0.0)), ('/path', START + 1, planned(6, 0.5))],
    )
    assert BagFrames(path).pose_topic == ''  # a path may be planned, so it is never guessed
    found = positions(BagFrames(path, pose_topic='/path'))
    assert [p[0] for p in found] == [i + 0.5 for i in range(6)]


def test_satellite_positions_are_east_north_up_and_keep_their_origin(tmp_path, caplog):
    north = 1.0 / 111_132.0  # degrees a metre at 45 degrees, about
    fixes = [
        ('/fix', START + i * STEP, fix(START + i * STEP, 45.0 + 3 * i * north, 9.0))
        for i in range(6)
    ]
    bad = [('/fix', START, fix(START, 45.0, 9.0, -1)), ('/fix', START, fix(START, math.nan, 9.0))]
    bag = BagFrames(write(tmp_path / 'bag', [*images(), *bad, *fixes]), pose_topic='/fix')
    frames = list(bag)
    assert [f.pose[1, 3] for f in frames] == pytest.approx([3.0 * i for i in range(6)], abs=0.02)
    assert frames[3].pose[:3, 2] == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)  # it looks north
    told = origin_of(bag, bag.path)
    assert told['origin'] == {'latitude': 45.0, 'longitude': 9.0, 'altitude': 40.0}
    assert 'no fix (2)' in caplog.text and 'no heading' in caplog.text


@given(st.floats(-89, 89), st.floats(-179, 179), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))
def test_east_and_north_are_where_they_should_be(latitude, longitude, dlat, dlon):
    """Against the lengths of a degree on the ellipsoid, to the curvature over a kilometre."""
    x, y, z = Origin(latitude, longitude).enu(latitude + dlat, longitude + dlon, 0.0)
    middle = math.radians(latitude + dlat / 2)
    eccentricity2 = FLATTENING * (2 - FLATTENING)
    flat = 1 - eccentricity2 * math.sin(middle) ** 2
    degree = math.radians(SEMI_MAJOR_M * (1 - eccentricity2) / flat**1.5)
    across = math.radians(SEMI_MAJOR_M / math.sqrt(flat)) * math.cos(math.radians(latitude + dlat))
    assert y == pytest.approx(dlat * degree, abs=0.02 + 0.2 * abs(math.tan(middle)))
    assert x == pytest.approx(dlon * across, abs=0.02)
    assert abs(z) < 0.5


@pytest.mark.parametrize('kind', ['PoseWithCovarianceStamped', 'TransformStamped', 'Pose'])
def test_other_kinds_of_pose_topics(tmp_path, kind):
    def message(i):
        stamp = START + i * STEP
        if kind == 'Pose':  # it has no stamp: the time of recording is taken
            return pose(float(i))
        if kind == 'TransformStamped':
            return transform(stamp, 'world', 'cam', float(i)).transforms[0]
        covered = make(ROS2, 'geometry_msgs/PoseWithCovariance', pose(float(i)), np.zeros(36))
        return make(ROS2, f'geometry_msgs/{kind}', header(ROS2, stamp, 'map'), covered)

    path = write(
        tmp_path / 'bag', [*images(), *[('/p', START + i * STEP, message(i)) for i in range(6)]]
    )
    found = positions(BagFrames(path, pose_topic='/p'))
    assert [p[0] for p in found] == [float(i) for i in range(6)]


@pytest.mark.parametrize('stamp', [0, START - 3 * HOUR, START + 90 * 10**9])
def test_poses_of_another_clock_are_joined_by_the_time_of_recording(tmp_path, stamp, caplog):
    poses = [
        ('/p', START + i * STEP, pose_stamped(stamp and stamp + i * STEP, float(i)))
        for i in range(6)
    ]
    bag = BagFrames(write(tmp_path / 'bag', [*images(), *poses]))
    assert [p[0] for p in positions(bag)] == [float(i) for i in range(6)]
    assert 'the times of recording join them' in caplog.text


def test_images_without_stamps_take_the_time_of_recording(tmp_path, caplog):
    poses = drive()[1::2]
    bag = BagFrames(write(tmp_path / 'bag', [*images(stamp=0), *poses]))
    assert [f.stamp_ns for f in bag] == [START + i * STEP for i in range(6)]
    assert [p[0] for p in positions(bag)] == [float(i) for i in range(6)]
    assert 'header.stamp of 6 of 6 images' in caplog.text
    messages = list(bag.serialized())
    assert [m.stamp_ns for m in messages] == [START + i * STEP for i in range(6)]


def test_one_image_without_a_stamp_is_put_between_the_others(tmp_path):
    late = images(stamp=START - 5 * STEP)
    late[2] = (IMAGE, START + 2 * STEP, image(0, 2))
    bag = BagFrames(write(tmp_path / 'bag', late))
    assert [f.stamp_ns for f in bag] == [START + (i - 5) * STEP for i in range(6)]


def test_poses_that_were_asked_for_and_are_of_another_drive_are_an_error(tmp_path, caplog):
    other = [('/p', START + HOUR + i, pose_stamped(START + HOUR + i, 1.0)) for i in range(6)]
    path = write(tmp_path / 'bag', [*images(), *other])
    said = r'0 of 6 images have a pose .*1700000000\.000 to .*the poses of /p.* 1700003600\.000 to'
    with pytest.raises(SourceError, match=said):
        BagFrames(path, pose_topic='/p')
    assert positions(BagFrames(path)) == [None] * 6  # found, not asked for
    assert '0 of 6 images have a pose' in caplog.text
    assert len(list(BagFrames(path, pose_topic='none'))) == 6


def test_poses_that_are_none_are_left_out_and_said(tmp_path, caplog):
    zero = make(ROS2, 'geometry_msgs/PoseStamped', header(ROS2, START + 3, 'map'),
                pose(0.0, q=(0.0, 0.0, 0.0, 0.0)))  # fmt: skip
    bad = [('/pose', START, zero), ('/pose', START, pose_stamped(START + 4, 1e200))]
    bag = BagFrames(write(tmp_path / 'b', [*drive(), *bad]))
    assert [p[0] for p in positions(bag)] == [float(i) for i in range(6)]
    assert 'unit quaternion (1)' in caplog.text and 'below 1e+08 m (1)' in caplog.text
