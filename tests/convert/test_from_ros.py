# SPDX-License-Identifier: MIT
"""Stamps, poses and cameras of messages become ours."""

from __future__ import annotations

from convert_helpers import encode, picture
from geometry_msgs.msg import Pose, PoseWithCovarianceStamped, TransformStamped
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo

from selavpr_model.errors import InputError
from selavpr_ros.convert import camera_info, from_ros, to_ros


def test_stamps_survive_to_the_nanosecond():
    ns = 1_795_417_059_018_433_598
    assert from_ros.stamp_ns(to_ros.header(ns, 'map')) == ns
    assert from_ros.stamp_ns(to_ros.time(ns)) == ns
    assert from_ros.stamp_ns(to_ros.image(picture(), ns, 'a')) == ns


@given(ns=st.integers(-(2**62), 2**62))
def test_a_stamp_that_ros_cannot_hold_becomes_zero(ns: int):
    inside = 0 <= ns < 2**31 * 10**9
    assert from_ros.stamp_ns(to_ros.time(ns)) == (ns if inside else 0)


def test_poses_are_read_from_every_message_that_holds_one():
    pose = Pose()
    pose.position.x, pose.orientation.z, pose.orientation.w = 2.0, 1.0, 0.0
    turned = np.array([[-1, 0, 0, 2], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    odometry, stamped, transform = Odometry(), PoseWithCovarianceStamped(), TransformStamped()
    odometry.pose.pose = stamped.pose.pose = pose
    transform.transform.translation.x = 2.0
    transform.transform.rotation = pose.orientation
    for msg in (pose, odometry, stamped, transform):
        np.testing.assert_allclose(from_ros.pose_matrix(msg), turned, atol=1e-12)


@pytest.mark.parametrize(
    'values', [(0,) * 7, (float('nan'), 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 3)]
)
def test_a_pose_that_was_never_filled_in_is_refused(values: tuple[float, ...]):
    with pytest.raises(InputError, match='unit quaternion'):
        from_ros.checked_pose(values)


def test_camera_info_gives_the_camera_and_an_uncalibrated_one_is_refused():
    info = CameraInfo(width=640, height=480, distortion_model='plumb_bob', d=[0.1] * 5)
    with pytest.raises(InputError, match='calibrate'):
        camera_info.camera(info)
    info.k = [500.0, 0, 320, 0, 500, 240, 0, 0, 1]
    camera = camera_info.camera(info)
    assert camera.size == (640, 480) and camera.K[0, 2] == 320 and len(camera.distortion) == 5


def test_rosbags_messages_are_read_as_well():
    from rosbags.typesys import get_typestore, Stores

    types = get_typestore(Stores.ROS2_JAZZY).types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](5, 7), 'cam')
    rows = encode(picture(), 'bgr8')
    msg = types['sensor_msgs/msg/Image'](header, 24, 32, 'bgr8', 0, 96, rows.ravel())
    np.testing.assert_array_equal(from_ros.rgb_image(msg), picture())
    assert from_ros.stamp_ns(msg) == 5_000_000_007 and from_ros.frame_id(msg) == 'cam'


@pytest.mark.parametrize(
    ('model', 'd', 'told'),
    [
        ('plumb_bob', [0.1, 0.2, 0.3], '0 or 4 or 5 or 8 or 12 or 14 coefficients'),
        ('plumb_bob', [0.1] * 6, 'coefficients, got 6'),
        ('equidistant', [0.1] * 5, 'coefficients, got 5'),
        ('plumb_bob', [0.1, float('nan'), 0.0, 0.0], 'D is not finite'),
        ('plumb_bob', [0.1, float('inf'), 0.0, 0.0], 'D is not finite'),
        ('plumb_bob', [1e300] * 4, 'finite distortion'),
        ('x' * 10**6, [1e300] * 4, 'is not known'),
    ],
)
def test_a_lens_that_no_model_describes_is_refused(model: str, d: list[float], told: str) -> None:
    """OpenCV raised deep inside the recognition of a frame."""
    K = [300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]
    info = CameraInfo(width=320, height=240, k=K, d=d, distortion_model=model)
    with pytest.raises(InputError, match=told) as caught:
        camera_info.camera(info)
    assert len(str(caught.value)) < 300
