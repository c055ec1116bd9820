# SPDX-License-Identifier: MIT
from dataclasses import replace
import logging
import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from replay_helpers import copy_bag

from selavpr_model.errors import SourceError
from selavpr_model.poses import pose_matrix
from selavpr_model.records import Camera, Frame
from selavpr_ros.bags.files import is_bag
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag

BASE_CAMERA = pose_matrix((0.3, 0.0, 1.2), (-0.5, 0.5, -0.5, 0.5))
SECOND = 10**9


def frames(count=5, odom=False, pose=True):
    rng = np.random.default_rng(3)
    for i in range(count):
        T = pose_matrix((i, 2.0, 0.0), (0, 0, math.sin(0.1 * i), math.cos(0.1 * i)))
        image = rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)
        yield Frame(
            1_700_000_000 * SECOND + i * SECOND // 10 + 1, image, 'cam',
            T @ BASE_CAMERA if pose else None, T if odom else None,
        )  # fmt: skip


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'png'])
def test_a_written_bag_gives_back_the_same_frames(tmp_path, storage, encoding):
    write_bag(tmp_path / 'bag', frames(odom=True), encoding, storage, BASE_CAMERA)
    bag = BagFrames(tmp_path / 'bag')
    assert is_bag(tmp_path / 'bag') and len(bag) == 5
    for read, written in zip(bag, frames(odom=True), strict=True):
        assert read.stamp_ns == written.stamp_ns
        assert np.array_equal(read.image, written.image)
        assert read.camera_frame == 'cam'
        assert np.allclose(read.pose, written.pose)
        assert np.allclose(read.odom, written.odom)
    assert [f.name for f in bag] == [f'{i:06d}' for i in range(5)]


def test_the_camera_of_the_images_comes_along_where_it_is_calibrated(tmp_path, caplog):
    K = np.array([[20.0, 0.0, 15.0], [0.0, 21.0, 12.0], [0.0, 0.0, 1.0]])
    camera = Camera(K, np.array([0.1, -0.2, 0.0, 0.0]), (30, 24), 'equidistant')
    write_bag(tmp_path / 'bag', [replace(f, camera=camera) for f in frames(2)])
    bag = BagFrames(tmp_path / 'bag')
    for found in (bag.camera, *(f.camera for f in bag)):
        assert found is not None and found.size == (30, 24) and found.model == 'equidistant'
        np.testing.assert_array_equal(found.K, K)
        np.testing.assert_array_equal(found.distortion, camera.distortion)
    write_bag(tmp_path / 'none', [replace(f, camera=replace(camera, K=0 * K)) for f in frames(2)])
    assert BagFrames(tmp_path / 'none').camera is None and 'calibrate' in caplog.text
    other = replace(camera, size=(30, 30))  # the images are not its whole picture
    write_bag(tmp_path / 'cut', [replace(f, camera=other) for f in frames(2)])
    assert [f.camera for f in BagFrames(tmp_path / 'cut')] == [None, None]


def test_grey_images_become_three_equal_channels(tmp_path):
    write_bag(tmp_path / 'bag', frames(2), 'mono8')
    for frame in BagFrames(tmp_path / 'bag'):
        assert np.array_equal(frame.image, frame.image[..., :1].repeat(3, axis=2))


def test_truth_needs_no_image_and_agrees_with_the_frames(tmp_path):
    write_bag(tmp_path / 'bag', frames(), base_camera=BASE_CAMERA)
    bag = BagFrames(tmp_path / 'bag')
    truth = bag.truth()
    assert all(np.array_equal(truth[f.stamp_ns], f.pose) for f in bag)


def test_a_wrong_topic_lists_the_valid_ones(tmp_path):
    write_bag(tmp_path / 'bag', frames())
    with pytest.raises(SourceError, match=r"'/lidar'.*/camera/image/compressed \(.*Image, 5\)"):
        BagFrames(tmp_path / 'bag', image_topic='/lidar')
    with pytest.raises(SourceError, match=r"'/gps'.*/ground_truth/pose \(.*PoseStamped, 5\)"):
        BagFrames(tmp_path / 'bag', pose_topic='/gps')


def test_a_bag_without_images_names_itself_what_it_has_and_what_it_needs(tmp_path):
    write_bag(tmp_path / 'bag', frames())
    none = copy_bag(tmp_path / 'bag', tmp_path / 'none')
    said = (
        r'none: expected images, got none; .*/ground_truth/pose \(.*PoseStamped, 5\).*; record .*'
    )
    with pytest.raises(SourceError, match=said + 'sensor_msgs/msg/Image or'):
        BagFrames(none)
    write_bag(tmp_path / 'still', frames(pose=False))
    with pytest.raises(SourceError, match=r"no pose topic '/gps'; .*record .*/Odometry$"):
        BagFrames(tmp_path / 'still', pose_topic='/gps')


def test_two_cameras_are_not_guessed_between(tmp_path):
    write_bag(tmp_path / 'bag', frames())
    two = copy_bag(tmp_path / 'bag', tmp_path / 'two', '/front/image', '/rear/image')
    with pytest.raises(SourceError, match=r'two: .*got 2; .*name one of them with --image-topic'):
        BagFrames(two)
    assert len(list(BagFrames(two, 'rear/image'))) == 5


def test_no_bag_and_a_bag_without_images_say_so(tmp_path):
    with pytest.raises(SourceError, match='found nothing there'):
        BagFrames(tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SourceError, match='not a readable bag'):
        BagFrames(tmp_path / 'empty')


def test_a_truncated_bag_is_a_source_error(tmp_path):
    write_bag(tmp_path / 'bag', frames(50), 'rgb8')
    storage = next((tmp_path / 'bag').glob('*.mcap'))
    storage.write_bytes(storage.read_bytes()[:5000])
    with pytest.raises(SourceError, match='expected images, got none; the bag has no topic'):
        list(BagFrames(tmp_path / 'bag'))


def test_an_undecodable_image_is_counted_and_the_rest_is_read(tmp_path, monkeypatch):
    write_bag(tmp_path / 'bag', frames(3), 'png')
    storage = next((tmp_path / 'bag').glob('*.mcap'))
    data = storage.read_bytes()
    damaged = data.replace(b'\x89PNG', b'\x00\x00\x00\x00', 1)
    assert damaged != data
    storage.write_bytes(damaged)
    bag = BagFrames(tmp_path / 'bag')
    assert len(list(bag)) == 2
    assert bag.dropped == {'undecodable': 1}


def test_odometry_serves_as_pose_only_where_there_is_nothing_better(tmp_path):
    write_bag(tmp_path / 'both', frames(odom=True))
    write_bag(tmp_path / 'odom', frames(odom=True, pose=False))
    assert BagFrames(tmp_path / 'both').pose_topic == '/ground_truth/pose'
    assert BagFrames(tmp_path / 'odom').pose_topic == '/odom'
    bare = BagFrames(tmp_path / 'both', pose_topic='none')
    assert all(f.pose is None and f.odom is not None for f in bare)


def test_a_missing_camera_transform_is_said(tmp_path, caplog):
    write_bag(tmp_path / 'bag', frames())
    with caplog.at_level(logging.WARNING):
        BagFrames(tmp_path / 'bag', base_frame='other_base')
    assert "no /tf_static from 'other_base' to 'cam'" in caplog.text


stamps = st.lists(st.integers(0, 2 * SECOND), min_size=1, max_size=5, unique=True).map(sorted)


@settings(deadline=None, max_examples=25)
@given(stamps)
def test_stamps_survive_to_the_nanosecond(tmp_path_factory, times):
    path = tmp_path_factory.mktemp('bags') / 'bag'
    image = np.zeros((2, 2, 3), np.uint8)
    write_bag(path, [Frame(t + 1, image) for t in times], 'rgb8')
    assert [f.stamp_ns for f in BagFrames(path)] == [t + 1 for t in times]
