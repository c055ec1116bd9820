# SPDX-License-Identifier: MIT
"""Files that give the poses of images: real ones, and wrong ones made up."""

from __future__ import annotations

import logging
import math

from folder_helpers import folder
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.data import pose_files
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.data.pose_tables import read_table
from selavpr_model.errors import SourceError

from where import SHARED

shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f'{SHARED} is not there')
NUMBER = st.floats(-1e6, 1e6).map(lambda v: round(v, 6))
ANGLE = st.floats(-3.1, 3.1).map(lambda v: round(v, 6))


def forward(pose: np.ndarray) -> np.ndarray:
    return pose[:3, 2]


@shared
def test_a_real_table_without_header_gives_cameras_that_look_where_they_drive():
    frames = ImageFolder(SHARED / 'campus_gray')
    poses = np.array([row.pose for row in frames.rows])
    steps = np.diff(poses[:, :3, 3], axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    along = (poses[:-1, :3, 2] * steps).sum(axis=1)
    assert len(frames) == 72 and np.median(along) > 0.99
    assert np.allclose(poses[:, :3, 1], (0, 0, -1))  # the image's down is the map's down


@shared
def test_a_real_table_with_header_and_quaternions_is_taken_as_it_stands():
    frames = ImageFolder(SHARED / 'circuits' / 'hacienda')
    first = frames[0]
    assert np.allclose(first.pose[:3, 3], (27.5949, -0.7418, 93.8658))
    assert np.allclose(first.pose[:3, :3] @ first.pose[:3, :3].T, np.eye(3))
    assert first.image.shape == (240, 320, 3) and first.name == '0000.jpg'


@shared
def test_real_pose_matrices_are_found_and_depth_maps_are_no_images():
    frames = ImageFolder(SHARED / 'sevenscenes_redkitchen')
    wanted = np.loadtxt(SHARED / 'sevenscenes_redkitchen' / '000004.pose.txt')
    assert len(frames) == 500 and frames[2].name == '000004.jpg'
    assert np.array_equal(frames[2].pose, wanted)


@shared
def test_a_real_table_without_positions_is_refused_with_its_columns():
    with pytest.raises(SourceError, match='got file, video, frame, floor'):
        ImageFolder(SHARED / 'ietower', poses='frames.csv')
    assert not ImageFolder(SHARED / 'ietower', poses='none').has_poses


@given(NUMBER, NUMBER, ANGLE)
def test_yaw_turns_the_view_counter_clockwise_from_x(x, y, yaw):
    pose = pose_files.level_pose(x, y, 0.0, yaw)
    assert np.allclose(forward(pose), (math.cos(yaw), math.sin(yaw), 0))
    assert np.allclose(pose[:3, 0], (math.sin(yaw), -math.cos(yaw), 0))  # right of the view
    assert np.allclose(pose[:3, 3], (x, y, 0)) and np.isclose(np.linalg.det(pose[:3, :3]), 1)


@pytest.mark.parametrize(
    'text',
    [
        'a.jpg,1,2,0.5\nb.jpg,3,4,0.6\n',
        'file,x,y,yaw\na.jpg,1,2,0.5\nb.jpg,3,4,0.6\n',
        '# yaw [rad]; image;pos_x [m];pos_y;lap\n0.5;a.jpg;1;2;0\n0.6;b.jpg;3;4;0\n',
        'name yaw_deg tx ty\na 28.64788975654116 1 2\n\nb 34.37746770784939 3 4\n',
        '\ufefffile\tx\ty\tz\tqx\tqy\tqz\tqw\n'
        'a.jpg\t1\t2\t0\t-0.352703\t0.612866\t-0.612866\t0.352703\n',
    ],
)
def test_tables_are_read_with_any_delimiter_header_and_unit(tmp_path, text):
    frames = ImageFolder(folder(tmp_path, 'a.jpg', 'b.jpg', csv=text))
    expected = pose_files.level_pose(1, 2, 0, 0.5)
    assert np.allclose(frames[0].pose[:3, 3], expected[:3, 3])
    if 'yaw' in text or 'qx' not in text:
        assert np.allclose(frames[0].pose, expected)
        assert np.allclose(frames[1].pose, pose_files.level_pose(3, 4, 0, 0.6))


def test_poses_of_a_body_are_carried_to_its_camera(tmp_path):
    base_camera = pose_files.T_BASE_OPTICAL.copy()
    base_camera[:3, 3] = (0.5, 0, 1.2)
    text = 'file,x,y,z,qx,qy,qz,qw\na.png,1,2,0,0,0,0.70710678,0.70710678\n'
    path = folder(tmp_path, 'a.png', csv=text)
    pose = ImageFolder(path, base_camera=base_camera)[0].pose
    assert np.allclose(pose[:3, 3], (1, 2.5, 1.2)) and np.allclose(forward(pose), (0, 1, 0))


def test_a_tum_trajectory_is_matched_by_the_stamps_in_the_names(tmp_path):
    names = ['1305031102.100000.png', '1305031102.205000.png', '1305031109.000000.png']
    lines = ['# stamp x y z qx qy qz qw', '1305031102.1 1 0 0 0 0 0 1']
    lines += ['1305031102.2 2 0 0 0 0 0 1', '1305031102.21 4 0 0 0 0 0 1']
    frames = ImageFolder(folder(tmp_path, *names, txt='\n'.join(lines)))
    first, second, third = frames
    assert frames.pose_source.startswith('poses.txt (TUM trajectory')
    assert first.stamp_ns == 1305031102100000000 and first.pose[0, 3] == 1
    assert second.pose[0, 3] == pytest.approx(3)  # half way between its neighbours
    assert third.pose is None


def test_a_trajectory_of_another_time_is_refused(tmp_path):
    path = folder(tmp_path, '1305039999.5.png', txt='1305031102.1 1 0 0 0 0 0 1\n')
    times = r'images are of 1305039999\.500 to .*, poses of 1305031102\.100 to 1305031102\.100 s'
    with pytest.raises(SourceError, match=f'got 0 of 1 with a pose: {times}'):
        ImageFolder(path)


def test_utm_names_give_position_and_compass_heading(tmp_path):
    name = '@0312345.67@4512345.67@33@T@41.1@14.2@id@@90@@@@2013@@.jpg'
    frame = ImageFolder(folder(tmp_path / 'images', name).parent)[0]
    assert np.allclose(frame.pose[:2, 3], (312345.67, 4512345.67))
    assert np.allclose(forward(frame.pose), (1, 0, 0))  # compass 90 is east


def test_poses_without_a_heading_are_said_to_be_so(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        frame = ImageFolder(folder(tmp_path, '@10.5@20.25@.jpg'))[0]
    assert np.allclose(frame.pose[:2, 3], (10.5, 20.25))
    assert 'without a heading' in caplog.text


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'got an empty file'),
        ('a.jpg,1\n', '2 columns without one'),
        ('file,east,up\na.jpg,1,2\n', 'got file, east, up; rename'),
        ('file,x,y\na.jpg,1,2\nb.jpg,one,2\n', r"csv:3: x: expected a number, got 'one'"),
        ('file,x,y\na.jpg,1\n', r'csv:2: expected 3 columns, got 2'),
        ('file,x,y,z,qx,qy,qz,qw\na.jpg,0,0,0,0,0,0,2\n', r'csv:2: expected a unit quaternion'),
        ('a.jpg,1,2\na.jpg,1,2\n', "'a.jpg' twice"),
        ('z.jpg,1,2\n', "it has 'z.jpg' and 0 more"),
        ('file,stamp,x,y\na.jpg,nan,1,2\n', "csv:2: stamp: expected seconds .* got 'nan'"),
        ('file,stamp,x,y\na.jpg,1e40,1,2\n', r"got '1e40'"),
    ],
)
def test_a_wrong_table_is_named_with_line_and_cure(tmp_path, text, message):
    with pytest.raises(SourceError, match=message):
        ImageFolder(folder(tmp_path, 'a.jpg', 'b.jpg', csv=text))


def test_a_row_that_is_not_finite_gives_no_pose(tmp_path, caplog):
    path = folder(tmp_path, 'a.jpg', 'b.jpg', csv='a.jpg,nan,inf,0\nb.jpg,1,2,0\n')
    frames = ImageFolder(path)
    assert frames[0].pose is None and frames[1].pose is not None
    assert '1 of 2 images have no pose' in caplog.text


def test_two_tables_are_not_guessed_between(tmp_path):
    path = folder(tmp_path, 'a.jpg', csv='a.jpg,1,2,0\n')
    (path / 'imu.csv').write_text('t,x,y\n')
    with pytest.raises(SourceError, match=r'imu\.csv, poses\.csv'):
        ImageFolder(path)
    assert ImageFolder(path, poses=path / 'poses.csv').has_poses


def test_a_named_file_of_poses_is_found_here_or_beside_the_images(tmp_path, monkeypatch):
    path = folder(tmp_path, 'a.jpg', csv='a.jpg,1,2,0\n')
    (path / 'poses.csv').rename(path / 'mine.csv')
    monkeypatch.chdir(tmp_path)
    assert ImageFolder(path, poses='mine.csv').rows[0].pose[0, 3] == 1.0
    (tmp_path / 'mine.csv').write_text('a.jpg,7,2,0\n')
    assert ImageFolder(path, poses='mine.csv').rows[0].pose[0, 3] == 7.0
    with pytest.raises(SourceError, match=f'no.csv: expected a file of poses here or in {path}'):
        ImageFolder(path, poses='no.csv')


def test_a_tum_file_with_a_short_line_is_named_with_its_line(tmp_path):
    (tmp_path / 'p.txt').write_text('1 0 0 0 0 0 0 1\n2 0 0\n')
    with pytest.raises(SourceError, match=r'p\.txt:2: .* got 3 numbers'):
        read_table(tmp_path / 'p.txt')


@given(st.integers(10**17, 2**63 - 1))
def test_stamps_in_every_unit_are_exact_nanoseconds(ns):
    assert pose_files.stamp_ns(str(ns)) == ns
    if ns >= 10**18:
        assert pose_files.stamp_ns(f'{ns // 10**9}.{ns % 10**9:09d}') == ns
        assert pose_files.stamp_ns(str(ns // 1000)) == ns // 1000 * 1000
        assert pose_files.stamp_ns(str(ns // 10**6)) == ns // 10**6 * 10**6


@given(st.text(max_size=30))
def test_any_text_is_a_stamp_or_a_source_error(text):
    try:
        assert isinstance(pose_files.stamp_ns(text), int)
    except SourceError as error:
        assert 'expected seconds' in str(error)


def test_a_zero_byte_in_a_table_is_refused(tmp_path):
    path = tmp_path / 'poses.csv'
    path.write_bytes(b'name,x,y\na\0.png,1,2\n')
    with pytest.raises(SourceError, match='zero byte'):
        read_table(path)


@given(text=st.text(max_size=200))
def test_any_text_as_a_table_is_read_or_named(tmp_path_factory, text):
    path = tmp_path_factory.mktemp('table') / 'poses.csv'
    path.write_text(text, encoding='utf-8')
    try:
        assert isinstance(read_table(path).rows, list)
    except SourceError as error:
        assert str(path) in str(error)
