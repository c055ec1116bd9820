# SPDX-License-Identifier: MIT
"""Recordings as published, each as a small tree of its layout."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
from folder_helpers import folder
import numpy as np
import pytest
from sequence_helpers import exif_jpeg

from selavpr_model.data import pose_files
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import SourceError
from selavpr_model.poses import pose_matrix, position_quaternion

POSES = [pose_matrix((k, 2 * k, -k), (0.1 * k, -0.2, 0.3, 0.9)) for k in range(3)]
OFFSET = pose_matrix((0.1, 0.2, 0.3), (0.5, -0.5, 0.5, 0.5))
"""Of a camera in its body."""


def first_w(pose: np.ndarray) -> tuple[float, ...]:
    x, y, z, qx, qy, qz, qw = position_quaternion(pose)
    return qw, qx, qy, qz, x, y, z


def joined(values, mark: str = ' ') -> str:
    return mark.join(f'{v:.12g}' if isinstance(v, float) else str(v) for v in values)


def matrix_text(pose: np.ndarray) -> str:
    return '\n'.join(joined(map(float, row)) for row in pose) + '\n'


def poses_of(path: Path, **more) -> np.ndarray:
    return np.array([row.pose for row in ImageFolder(path, **more).rows])


@pytest.mark.parametrize('name', ['frame-{:06d}.color.png', 'frame-{:06d}.png', '{:06d}.jpg'])
def test_seven_scenes(tmp_path, name):
    names = [name.format(k) for k in range(3)]
    folder(tmp_path, *names, 'frame-000000.depth.png')
    for file, pose in zip(names, POSES, strict=True):
        stem = file.split('.')[0]
        (tmp_path / f'{stem}.pose.txt').write_text(matrix_text(pose))
    frames = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in frames.rows], POSES)
    assert frames.report.left_out == {'depth maps': 1}


def test_seven_scenes_whose_poses_are_of_other_images(tmp_path):
    folder(tmp_path, 'a.png')
    (tmp_path / 'frame-000007.pose.txt').write_text(matrix_text(POSES[0]))
    with pytest.raises(SourceError, match=r"such as 'frame-000007.pose.txt' for 'a.png'"):
        ImageFolder(tmp_path)
    assert not ImageFolder(tmp_path, 'none').has_poses


def test_scannet_with_a_lost_frame(tmp_path):
    folder(tmp_path / 'color', '0.jpg', '1.jpg', '10.jpg')
    (tmp_path / 'pose').mkdir()
    for k, pose in zip((0, 1, 10), (POSES[0], np.full((4, 4), -np.inf), POSES[2]), strict=True):
        (tmp_path / 'pose' / f'{k}.txt').write_text(matrix_text(pose))
    frames = ImageFolder(tmp_path)
    assert frames.rows[1].pose is None and (frames.report.posed, frames.report.lost) == (2, 1)
    assert np.allclose(frames.rows[2].pose, POSES[2]) and frames[2].name == '10.jpg'


def test_tum_rgbd(tmp_path):
    folder(tmp_path / 'rgb', '1305031102.10.png', '1305031102.20.png', '1305031102.30.png')
    lines = [f'1305031102.{k}0 rgb/1305031102.{k}0.png' for k in (1, 2, 4)]
    (tmp_path / 'rgb.txt').write_text('# color images\n' + '\n'.join(lines))
    truth = [joined((1305031102.0 + 0.1 * k, *position_quaternion(POSES[k]))) for k in (1, 2)]
    (tmp_path / 'groundtruth.txt').write_text('# ground truth\n' + '\n'.join(truth))
    frames = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in frames.rows], POSES[1:])
    assert frames.report.left_out == {'named, but not there': 1, 'not in rgb.txt': 1}


def test_tum_rgbd_that_windows_listed(tmp_path):
    folder(tmp_path / 'rgb', '1305031102.10.png')
    (tmp_path / 'rgb.txt').write_text('1305031102.10 rgb\\1305031102.10.png\r\n')
    pose = joined((1305031102.1, *position_quaternion(POSES[1])))
    (tmp_path / 'groundtruth.txt').write_text(pose + '\r\n')
    assert np.allclose(ImageFolder(tmp_path).rows[0].pose, POSES[1])


@pytest.mark.parametrize('inside', ['', 'image_2'])
def test_kitti_odometry_of_another_camera(tmp_path, inside):
    sequence = tmp_path / 'sequences' / '03'
    folder(sequence / 'image_2', *(f'{k:06d}.png' for k in range(3)))
    (tmp_path / 'poses').mkdir()
    rows = [joined(map(float, pose[:3].reshape(-1))) for pose in POSES]
    (tmp_path / 'poses' / '03.txt').write_text('\n'.join(rows))
    (sequence / 'times.txt').write_text('0.0\n1.037359e-01\n0.2\n')
    (sequence / 'calib.txt').write_text('P2: 700 0 16 42 0 700 12 7 0 0 1 0.01\n')
    frames = ImageFolder(sequence / inside)
    offset = np.eye(4)
    offset[:3, 3] = np.array([-(42 - 0.16) / 700, -(7 - 0.12) / 700, -0.01])
    assert np.allclose([row.pose for row in frames.rows], [pose @ offset for pose in POSES])
    assert [f.stamp_ns for f in frames] == [0, 103735900, 200000000]
    assert frames[0].camera.K[0, 0] == 700 and frames[0].camera.size == (32, 24)


def euroc(tmp_path: Path) -> Path:
    mav = tmp_path / 'mav0'
    folder(mav / 'cam0' / 'data', *(f'14037152732{k}2142976.png' for k in range(3)))
    values = joined(map(float, OFFSET.reshape(-1)), ', ')
    (mav / 'cam0' / 'sensor.yaml').write_text(
        f'sensor_type: camera\nT_BS:\n  cols: 4\n  rows: 4\n  data: [{values}]\n'
        'resolution: [32, 24]\nintrinsics: [30, 31, 16, 12]\n'
        'distortion_model: radial-tangential\ndistortion_coefficients: [-0.2, 0.07, 0, 0]\n'
    )
    (mav / 'state_groundtruth_estimate0').mkdir()
    rows = [
        joined((f'14037152732{k}2142000', *map(float, p[:3, 3]), *first_w(p)[:4], 0.0), ',')
        for k, p in enumerate(POSES)
    ]
    head = '#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], '
    (mav / 'state_groundtruth_estimate0' / 'data.csv').write_text(
        f'{head}q_RS_y [], q_RS_z [], v_RS_R_x [m s^-1]\n' + '\n'.join(rows)
    )
    return mav


def test_euroc_carries_the_imu_to_the_camera(tmp_path):
    mav = euroc(tmp_path)
    frames = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in frames.rows], [p @ OFFSET for p in POSES], atol=1e-3)
    assert frames[0].camera.K[1, 1] == 31 and frames[0].camera.distortion[0] == -0.2
    assert np.allclose(poses_of(mav, base_camera=np.eye(4)), POSES, atol=1e-3)
    (mav / 'state_groundtruth_estimate0' / 'data.csv').unlink()
    report = ImageFolder(tmp_path).report
    assert (report.images, report.posed, report.poses) == (3, 0, 'none')


def test_robotcar_turns_north_east_down_and_the_bayer_pattern(tmp_path):
    stamps = [1446206196878817 + 62500 * k for k in range(3)]
    folder(tmp_path / 'stereo' / 'centre')
    raw = np.zeros((24, 32), np.uint8)
    raw[1::2, ::2] = 200  # the red ones of GBRG
    for stamp in stamps:
        cv2.imwrite(str(tmp_path / 'stereo' / 'centre' / f'{stamp}.png'), raw)
    folder(tmp_path / 'gps')
    head = 'timestamp,ins_status,latitude,longitude,altitude,northing,easting,down,utm_zone'
    rows = [
        f'{s},INS_SOLUTION_GOOD,51.7,-1.2,119,{5735000 + k},{620000 + 2 * k},-110,30U,0,0,0,{0.1},'
        f'{0.2},{math.pi / 2}'
        for k, s in enumerate(stamps)
    ]
    text = f'{head},velocity_north,velocity_east,velocity_down,roll,pitch,yaw\n'
    (tmp_path / 'gps' / 'ins.csv').write_text(text + '\n'.join(rows))
    frames = ImageFolder(tmp_path)
    poses = np.array([row.pose for row in frames.rows])
    assert np.allclose(poses[:, :3, 3], [(2 * k, k, 0) for k in range(3)])
    # nose up by 0.2 with down positive: looks east and up
    assert np.allclose(poses[0, :3, 2], (math.cos(0.2), 0, math.sin(0.2)))
    assert frames[0].stamp_ns == stamps[0] * 1000
    red = frames[1].image.reshape(-1, 3).astype(int).sum(axis=0)
    assert red[0] > 2 * max(red[1], red[2])


def test_nclt(tmp_path):
    stamps = [1326030975726043 + 200000 * k for k in range(3)]
    folder(tmp_path / 'lb3' / 'Cam5', *(f'{s}.tiff' for s in stamps))
    rows = [f'{s},{k},{3 * k},{-0.5},0,0,0.5' for k, s in enumerate(stamps)]
    (tmp_path / 'groundtruth_2012-01-08.csv').write_text('\n'.join(rows))
    poses = poses_of(tmp_path)
    assert np.allclose(poses[:, :3, 3], [(3 * k, k, 0.5) for k in range(3)])
    assert np.allclose(poses[0, :3, 2], (math.sin(0.5), math.cos(0.5), 0))


def test_a_layout_takes_a_table_of_poses_that_is_named(tmp_path):
    folder(tmp_path / 'color', '0.jpg', '1.jpg')
    (tmp_path / 'pose').mkdir()
    (tmp_path / 'pose' / '0.txt').write_text(matrix_text(POSES[0]))
    (tmp_path / 'mine.csv').write_text('file,x,y\n0.jpg,7,0\n1.jpg,8,0\n')
    frames = ImageFolder(tmp_path, 'mine.csv')
    assert [row.pose[0, 3] for row in frames.rows] == [7, 8]
    bare = ImageFolder(tmp_path, 'none')
    assert len(bare) == 2 and not bare.has_poses and bare.report.poses == 'none'


def test_the_images_of_a_calibrated_camera_stay_as_stored(tmp_path, caplog):
    frames = [{'file_path': 'a.jpg', 'transform_matrix': np.eye(4).tolist()}]
    values = {'fl_x': 30, 'cx': 16, 'cy': 12, 'w': 32, 'h': 24, 'frames': frames}
    (tmp_path / 'transforms.json').write_text(json.dumps(values))
    exif_jpeg(tmp_path / 'a.jpg', None, orientation=6)
    assert ImageFolder(tmp_path)[0].image.shape == (24, 32, 3)
    assert 'images are used as stored' in caplog.text
    values |= {'w': 24, 'h': 32}
    (tmp_path / 'transforms.json').write_text(json.dumps(values))
    assert ImageFolder(tmp_path)[0].image.shape == (32, 24, 3)


def test_level_poses_are_those_of_pose_files():
    assert np.allclose(pose_files.euler_pose((1, 2, 3), (0, 0, 0.5)),
                       pose_files.level_pose(1, 2, 3, 0.5))  # fmt: skip
