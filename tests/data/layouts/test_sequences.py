# SPDX-License-Identifier: MIT
"""Recordings as published, each as a small tree of its layout."""

from __future__ import annotations

import json
import math
from pathlib import Path
import sqlite3
import struct
import zlib

import cv2
from folder_helpers import folder, image
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sequence_helpers import binary_model, exif_jpeg

from selavpr_model.data import pose_files
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import SourceError
from selavpr_model.poses import inverse, pose_matrix, position_quaternion

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
    # nose up by 0.2 in NED: looks east and up
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


NAMES = ['seq1/a.jpg', 'seq1/b.jpg', 'seq2/a.jpg']


def model_text(path: Path) -> None:
    path.mkdir(parents=True)
    rows = [
        f'{k + 1} {joined(first_w(inverse(pose)))} 1 {name}\n12 13.5 -1\n'
        for k, (name, pose) in enumerate(zip(NAMES, POSES, strict=True))
    ]
    (path / 'images.txt').write_text('# Image list\n' + ''.join(rows))
    (path / 'cameras.txt').write_text('# cameras\n1 SIMPLE_RADIAL 32 24 30 16 12 0.01\n')


@pytest.mark.parametrize('kind', ['txt', 'bin'])
@pytest.mark.parametrize('model', ['sparse/0', 'sparse', 'sfm_superpoint'])
def test_colmap_and_hloc(tmp_path, kind, model):
    for name in (*NAMES, 'extra.jpg'):
        file = tmp_path / 'images' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), image()[..., ::-1])
    if kind == 'txt':
        model_text(tmp_path / model)
    else:
        binary_model(tmp_path / model, NAMES, POSES, (32, 24), [30, 16, 12, 0.01])
    frames = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in frames.rows[:3]], POSES)
    assert frames.rows[3].pose is None and frames.files[3].name == 'extra.jpg'
    assert frames[0].camera.K[0, 2] == 16 and frames[0].camera.distortion[0] == 0.01
    explicit = ImageFolder(tmp_path / 'images' / 'seq1', tmp_path / model / f'images.{kind}')
    assert np.allclose([row.pose for row in explicit.rows], POSES[:2])


def test_a_colmap_model_without_its_images_says_so(tmp_path):
    model_text(tmp_path / 'sparse' / '0')
    with pytest.raises(SourceError, match=r"expected its images \('seq1/a.jpg' and 2 more\)"):
        ImageFolder(tmp_path)


def test_kapture_with_a_rig(tmp_path):
    sensors = tmp_path / 'sensors'
    folder(sensors / 'records_data' / 'cam', *(f'{k}.jpg' for k in range(3)))
    stamps = [1553180224360915899 + 10**9 * k for k in range(3)]
    records = [f'{s}, cam0, cam/{k}.jpg' for k, s in enumerate(stamps)]
    (sensors / 'records_camera.txt').write_text('# kapture format: 1.1\n' + '\n'.join(records))
    rig = f'# rig\nrig, cam0, {joined(first_w(inverse(OFFSET)), ", ")}\n'
    (sensors / 'rigs.txt').write_text(rig)
    poses = [joined(first_w(inverse(p)), ', ') for p in POSES]
    rows = [f'{s}, rig, {pose}' for s, pose in zip(stamps, poses, strict=True)]
    (sensors / 'trajectories.txt').write_text(
        '# timestamp, device_id, qw, ...\n' + '\n'.join(rows)
    )
    frames = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in frames.rows], [p @ OFFSET for p in POSES])
    assert frames[1].stamp_ns == stamps[1]


@pytest.mark.parametrize('suffix', ['', '.jpg'])
def test_nerfstudio_turns_its_axes(tmp_path, suffix):
    folder(tmp_path / 'images', *(f'{k}.jpg' for k in range(3)))
    axes = np.diag([1.0, -1, -1, 1])
    frames = [
        {'file_path': f'images/{k}{suffix}', 'transform_matrix': (p @ axes).tolist()}
        for k, p in enumerate(POSES)
    ]
    values = {'fl_x': 30, 'fl_y': 31, 'cx': 16, 'cy': 12, 'w': 32, 'h': 24, 'frames': frames}
    (tmp_path / 'transforms.json').write_text(json.dumps(values))
    found = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in found.rows], POSES)
    assert found[0].camera.K[1, 1] == 31


def test_opensfm_takes_the_largest_reconstruction(tmp_path):
    folder(tmp_path / 'images', 'a.jpg', 'b.jpg', 'c.jpg')
    shots = {}
    for name, pose in zip(('a.jpg', 'b.jpg'), POSES, strict=False):
        back = inverse(pose)
        turn = Rotation.from_matrix(back[:3, :3]).as_rotvec().tolist()
        shots[name] = {'rotation': turn, 'translation': back[:3, 3].tolist(), 'camera': 'x'}
    other = {'shots': {'c.jpg': shots['a.jpg']}}
    lla = {'latitude': 52.5, 'longitude': 13.4, 'altitude': 30.0}
    parts = [other, {'shots': shots, 'reference_lla': lla}]
    (tmp_path / 'reconstruction.json').write_text(json.dumps(parts))
    frames = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in frames.rows[:2]], POSES[:2])
    assert frames.rows[2].pose is None and '1 shots of 1 other' in frames.report.notes[0]
    assert frames.report.origin == {'lat': 52.5, 'lon': 13.4, 'alt': 30.0}


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_photographs_say_where_they_were_taken(tmp_path, suffix):
    exif_jpeg(tmp_path / f'a{suffix}', (52.5, 13.4, 30.0), direction=90.0)
    exif_jpeg(tmp_path / f'b{suffix}', (52.501, 13.4, 32.0), direction=None)
    cv2.imwrite(str(tmp_path / f'c{suffix}'), image())
    frames = ImageFolder(tmp_path)
    first, second, third = (row.pose for row in frames.rows)
    assert np.allclose(first[:3, 3], 0) and np.allclose(first[:3, 2], (1, 0, 0))
    assert np.allclose(second[:3, 3], (0, 111.27, 2.0), atol=0.02) and third is None
    assert frames.report.origin == pytest.approx({'lat': 52.5, 'lon': 13.4, 'alt': 30.0})
    south = tmp_path / 'south'
    south.mkdir()
    exif_jpeg(south / f'a{suffix}', (-33.9, -151.2, -3.0), direction=0.0)
    assert ImageFolder(south).report.origin == pytest.approx(
        {'lat': -33.9, 'lon': -151.2, 'alt': -3.0}, abs=1e-6
    )


def database(path: Path, optimised: bool) -> None:
    """RTAB-Map's tables as far as they are read."""
    connection = sqlite3.connect(path)
    connection.execute('CREATE TABLE Node (id INTEGER, stamp FLOAT, pose BLOB)')
    connection.execute('CREATE TABLE Data (id INTEGER, image BLOB, calibration BLOB)')
    connection.execute('CREATE TABLE Admin (version TEXT, opt_ids BLOB, opt_poses BLOB)')
    K = np.array([30.0, 0, 16, 0, 31, 12, 0, 0, 1])
    header = struct.pack('<11i', 0, 21, 0, 0, 32, 24, 9, 0, 0, 0, 12)
    calibration = header + K.tobytes() + OFFSET[:3].astype(np.float32).tobytes()
    for k, pose in enumerate(POSES):
        drift = pose.copy()
        drift[0, 3] += 5
        kept = (drift if optimised else pose)[:3].astype(np.float32).tobytes()
        jpg = cv2.imencode('.jpg', image(k)[..., ::-1])[1].tobytes()
        connection.execute('INSERT INTO Node VALUES (?, ?, ?)', (k + 1, 1700000000.5 + k, kept))
        connection.execute('INSERT INTO Data VALUES (?, ?, ?)', (k + 1, jpg, calibration))
    if optimised:
        ids = np.arange(1, 4, dtype=np.int32)
        poses = np.array([p[:3] for p in POSES], np.float32)
        packed = [
            zlib.compress(a.tobytes()) + struct.pack('<3i', 1, a.size, 0) for a in (ids, poses)
        ]
        connection.execute('INSERT INTO Admin VALUES (?, ?, ?)', ('0.21.0', *packed))
    connection.commit()
    connection.close()


@pytest.mark.parametrize('optimised', [True, False])
def test_a_database_of_rtabmap(tmp_path, optimised):
    database(tmp_path / 'rtabmap.db', optimised)
    frames = ImageFolder(tmp_path / 'rtabmap.db')
    assert np.allclose([row.pose for row in frames.rows], [p @ OFFSET for p in POSES], atol=1e-5)
    assert ('optimised poses' if optimised else 'odometry') in frames.report.poses
    first = frames[0]
    assert first.stamp_ns == 1700000000_500000000 and first.camera.K[1, 1] == 31
    assert np.abs(first.image.astype(int) - image(0)).mean() < 10


def test_an_rtabmap_database_without_tables_is_one_line(tmp_path):
    sqlite3.connect(tmp_path / 'x.db').execute('CREATE TABLE t (a)').connection.close()
    with pytest.raises(SourceError, match='no such table: Node'):
        ImageFolder(tmp_path / 'x.db')


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
