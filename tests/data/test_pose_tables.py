# SPDX-License-Identifier: MIT
"""Tables of poses as people have them: the right value of each kind, or the reason."""

from __future__ import annotations

import math

from folder_helpers import folder
import numpy as np
import pytest

from selavpr_model.data import pose_files
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import SourceError
from selavpr_model.poses import inverse, pose_matrix, position_quaternion

from where import SHARED

CASES = SHARED.parent / 'cases' / 'files'
cases = pytest.mark.skipif(not CASES.is_dir(), reason=f'{CASES} is not there')
CAMERA = pose_matrix((9.5, -2.5, 1.5), (0.1, -0.2, 0.3, 0.9))
"""T_map_camera of the image in most tests."""


def numbers(values) -> str:
    return ' '.join(f'{v:.9g}' for v in values)


def quaternion_first(pose: np.ndarray) -> str:
    """qw qx qy qz tx ty tz."""
    x, y, z, qx, qy, qz, qw = position_quaternion(pose)
    return numbers((qw, qx, qy, qz, x, y, z))


def one(tmp_path, text: str, name: str = 'a.png', poses: str = 'poses.txt', **more):
    """The pose of the one image of a folder with this table."""
    path = folder(tmp_path / 'one', name)
    (path / poses).write_text(text)
    return ImageFolder(path, poses, **more).rows[0].pose


def test_world_to_camera_of_colmap_is_turned_round_as_text_and_as_csv(tmp_path):
    cells = f'7 {quaternion_first(inverse(CAMERA))} 1 a.png'
    assert np.allclose(one(tmp_path, f'{cells}\n1 2 -1\n', poses='images.txt'), CAMERA)
    csv = 'IMAGE_ID,QW,QX,QY,QZ,TX,TY,TZ,CAMERA_ID,NAME\n' + cells.replace(' ', ',')
    assert np.allclose(one(tmp_path, csv, poses='poses.csv'), CAMERA)


def test_world_to_device_of_kapture_is_turned_round(tmp_path):
    row = f'1553180224360915899 cam {quaternion_first(inverse(CAMERA))}'.replace(' ', ', ')
    text = f'# kapture format: 1.1\n# timestamp, device_id, qw, qx, qy, qz, tx, ty, tz\n{row}\n'
    assert np.allclose(one(tmp_path, text, '1553180224360915899.png'), CAMERA)


def test_results_of_hloc_are_told_by_their_unit_quaternion(tmp_path):
    text = f'query/a.png {quaternion_first(inverse(CAMERA))}\n'
    assert np.allclose(one(tmp_path, text), CAMERA)


def test_cambridge_landmarks_have_a_centre_and_the_rotation_of_the_world(tmp_path):
    qw, qx, qy, qz, *_ = quaternion_first(inverse(CAMERA)).split()
    head = 'Visual Landmark Dataset V1\nImageFile, Camera Position [X Y Z W P Q R]\n\n'
    text = f'{head}seq1/a.png 9.5 -2.5 1.5 {qw} {qx} {qy} {qz}\n'
    assert np.allclose(one(tmp_path, text), CAMERA)


@pytest.mark.parametrize('kind', ['poses.txt', 'poses.csv'])
def test_the_order_of_a_quaternion_is_never_guessed(tmp_path, kind):
    row = 'a.png 2 5 1.5 0.966 0 0.259 0\n'
    text = row if kind.endswith('txt') else row.replace(' ', ',')
    with pytest.raises(SourceError, match=r'order of the quaternion cannot be known.*first line'):
        one(tmp_path, text, poses=kind)
    first = one(tmp_path, f'file x y z qw qx qy qz\n{row}')
    assert np.allclose(first, pose_matrix((2, 5, 1.5), (0, 0.259, 0, 0.966)))
    last = one(tmp_path, f'file x y z qx qy qz qw\n{row}')
    assert np.allclose(last, pose_matrix((2, 5, 1.5), (0.966, 0, 0.259, 0)))


def test_a_comment_that_names_the_order_is_obeyed(tmp_path):
    row = '1305031102.1 2 5 1.5 0.966 0 0.259 0'
    name = '1305031102.1.png'
    assert np.allclose(
        one(tmp_path, f'# timestamp(s) tx ty tz qw qx qy qz\n{row}\n', name),
        pose_matrix((2, 5, 1.5), (0, 0.259, 0, 0.966)),
    )
    assert np.allclose(
        one(tmp_path, f'# timestamp(s) tx ty tz qx qy qz qw\n{row}\n', name),
        pose_matrix((2, 5, 1.5), (0.966, 0, 0.259, 0)),
    )


EUROC = (
    '#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], '
    'q_RS_z [], v_RS_R_x [m s^-1]\n1403715273262142000,1,2,3,0.5,-0.5,0.5,0.5,0\n'
)


def test_the_poses_of_an_imu_need_the_camera_in_it(tmp_path):
    name = '1403715273262142976.png'
    with pytest.raises(SourceError, match=r'poses of the IMU .*--base-camera'):
        one(tmp_path, EUROC, name)
    offset = pose_matrix((0.1, 0.2, 0.3), (0, 0, 1, 0))
    pose = one(tmp_path, EUROC, name, base_camera=offset)
    assert np.allclose(pose, pose_matrix((1, 2, 3), (-0.5, 0.5, 0.5, 0.5)) @ offset)


def kitti(count: int) -> str:
    turn = pose_matrix((0, 0, 0), (0, 0.6, 0, 0.8))
    rows = []
    for k in range(count):
        turn[0, 3] = k
        rows.append(numbers(turn[:3].reshape(-1)))
    return '\n'.join(rows) + '\n'


def test_row_k_of_a_table_without_names_is_of_image_k(tmp_path):
    path = folder(tmp_path, *(f'{k:06d}.png' for k in range(12)))
    (path / 'p.txt').write_text(kitti(12))
    frames = ImageFolder(path, 'p.txt')
    assert [row.pose[0, 3] for row in frames.rows] == list(range(12))
    assert np.allclose(frames.rows[3].pose[:3, 2], (0.96, 0, 0.28))
    assert [f.stamp_ns for f in frames][:3] == [0, 10**9, 2 * 10**9]


def test_some_images_of_a_longer_table_are_found_by_their_numbers(tmp_path):
    path = folder(tmp_path, '000003.png', '000007.png')
    (path / 'p.txt').write_text(kitti(9))
    assert [row.pose[0, 3] for row in ImageFolder(path, 'p.txt').rows] == [3, 7]
    (path / 'p.txt').write_text(kitti(7))
    with pytest.raises(SourceError, match=r'7 poses for 2 images .*frame numbers'):
        ImageFolder(path, 'p.txt')


def test_frame_numbers_are_no_times(tmp_path):
    path = folder(tmp_path / 'image_0', *(f'{k:06d}.png' for k in range(3)))
    rows = [f'{0.1 * k:.1f} {k} 0 0 0 0 0 1' for k in range(40)]
    (path / 'p.txt').write_text('\n'.join(rows))
    with pytest.raises(SourceError, match=r'40 poses of 0.000 to 3.900 s for 3 images.*times.txt'):
        ImageFolder(path, 'p.txt')
    (tmp_path / 'times.txt').write_text('0.0\n1.05\n2.1\n')
    frames = ImageFolder(path, 'p.txt')
    assert np.allclose([row.pose[0, 3] for row in frames.rows], (0, 10.5, 21))
    assert [f.stamp_ns for f in frames] == [0, 1_050_000_000, 2_100_000_000]
    assert any('times.txt' in note for note in frames.report.notes)


def test_dates_of_kitti_raw_are_times(tmp_path):
    path = folder(tmp_path / 'data', '0000000000.png', '0000000001.png')
    dates = '2011-09-26 13:02:25.964389445\n2011-09-26 13:02:26.064389445\n'
    (tmp_path / 'timestamps.txt').write_text(dates)
    stamps = [f.stamp_ns for f in ImageFolder(path)]
    assert stamps == [1317042145964389445, 1317042146064389445]


GEO = 'filename,latitude,longitude,altitude,heading\n'


def test_latitude_and_longitude_become_metres_with_their_origin(tmp_path):
    text = f'{GEO}a.png,55.70,13.190,50,0\nb.png,55.71,13.190,52,90\n'
    path = folder(tmp_path, 'a.png', 'b.png', csv=text)
    frames = ImageFolder(path)
    first, second = (row.pose for row in frames.rows)
    assert np.allclose(first[:3, 3], 0) and np.allclose(first[:3, 2], (0, 1, 0))
    assert np.allclose(second[:3, 3], (0, 1113.37, 1.90), atol=0.01)
    assert np.allclose(second[:3, 2], (1, 0, 0))
    assert frames.report.origin == {'lat': 55.70, 'lon': 13.19, 'alt': 50.0}


def test_places_without_a_fix_and_off_the_earth_are_told_apart(tmp_path):
    text = f'{GEO}a.png,0,0,0,0\nb.png,55.71,13.190,52,90\n'
    frames = ImageFolder(folder(tmp_path / 'x', 'a.png', 'b.png', csv=text))
    assert frames.rows[0].pose is None and frames.rows[0].lost
    with pytest.raises(SourceError, match=r'got 456000, 5.4.*; are they swapped'):
        one(tmp_path, f'{GEO}a.png,456000,5429380,0,0\n', poses='poses.csv')


def test_degrees_in_columns_of_metres_are_refused(tmp_path):
    rows = '\n'.join(f'{n}.png,{52.0001 + k / 1e4:.5f},{13.30012 + k / 1e4:.5f}'
                     for k, n in enumerate('abc'))  # fmt: skip
    for text in (rows, f'file,x,y\n{rows}'):
        with pytest.raises(SourceError, match='look like latitude and longitude'):
            one(tmp_path, text, poses='poses.csv')
    short = 'a.png,2.51,3.25\nb.png,2.61,3.25\nc.png,2.71,3.25\n'
    assert one(tmp_path, short, poses='poses.csv')[0, 3] == 2.51


def test_a_compass_heading_turns_clockwise_from_north(tmp_path):
    text = 'image,easting,northing,heading\na.png,456000,5429380,90\n'
    pose = one(tmp_path, text, poses='poses.csv')
    assert np.allclose(pose[:3, 2], (1, 0, 0)) and np.allclose(pose[:2, 3], (456000, 5429380))


@pytest.mark.parametrize(
    ('head', 'value', 'message'),
    [
        ('yaw', '90', 'expected radians, got up to 90; name the column yaw_deg'),
        ('heading', '1.5', 'may be degrees or radians; name the column heading_deg'),
    ],
)
def test_an_angle_of_unknown_unit_is_refused(tmp_path, head, value, message):
    with pytest.raises(SourceError, match=message):
        one(tmp_path, f'file,x,y,{head}\na.png,1,2,{value}\n', poses='poses.csv')


@pytest.mark.parametrize(
    ('head', 'value', 'yaw'),
    [
        ('yaw_deg', '90', math.pi / 2),
        ('yaw [deg]', '90', math.pi / 2),
        ('yaw (rad)', '7.5', 7.5),
        ('heading_deg', '30', math.radians(60)),
        ('heading_rad', '1.5', math.pi / 2 - 1.5),
    ],
)
def test_an_angle_with_its_unit_is_converted(tmp_path, head, value, yaw):
    pose = one(tmp_path, f'file,x,y,{head}\na.png,1,2,{value}\n', poses='poses.csv')
    assert np.allclose(pose, pose_files.level_pose(1, 2, 0, yaw))


def test_roll_and_pitch_are_not_dropped(tmp_path):
    text = 'file,x,y,z,roll,pitch,yaw\na.png,1,2,3,0.1,0.2,0.3\n'
    pose = one(tmp_path, text, poses='poses.csv')
    assert np.allclose(pose, pose_files.euler_pose((1, 2, 3), (0.1, 0.2, 0.3)))
    assert pose[2, 2] == pytest.approx(-math.sin(0.2))  # nose down


def test_two_columns_of_one_meaning_are_refused(tmp_path):
    with pytest.raises(SourceError, match='one column of x'):
        one(tmp_path, 'file,x,y,easting\na.png,1,2,3\n', poses='poses.csv')


@pytest.mark.parametrize('value', ['nan', '-inf', ''])
def test_rows_without_numbers_are_lost_frames(tmp_path, value):
    text = f'file,x,y,yaw\na.png,{value},2,0\nb.png,1,2,0\n'
    frames = ImageFolder(folder(tmp_path, 'a.png', 'b.png', csv=text))
    assert frames.rows[0].pose is None and frames.report.lost == 1
    assert '1 where the tracker was lost' in frames.report.words()


def test_all_frames_lost_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r'of 1 the tracker was lost.*--poses none'):
        one(tmp_path, 'file,x,y,yaw\na.png,nan,2,0\n', poses='poses.csv')


def test_few_poses_are_an_error_with_both_ranges_of_time(tmp_path):
    names = [f'{1305031100 + k}.5.png' for k in range(10)]
    path = folder(tmp_path, *names, txt='1305031109.5 1 0 0 0 0 0 1\n1305032000 1 0 0 0 0 0 1\n')
    times = r'images are of 1305031100\.500 to 1305031109\.500 s, poses of 1305031109\.500 to 1305'
    with pytest.raises(SourceError, match=f'got 1 of 10 with a pose: {times}'):
        ImageFolder(path)


def test_images_between_two_poses_close_in_time_are_interpolated(tmp_path):
    path = folder(tmp_path, '1305031102.125.png', '1305031104.5.png', txt=(
        '1305031102.1 1 0 0 0 0 0 1\n1305031102.15 2 0 0 0 0 0 1\n1305031107 9 0 0 0 0 0 1\n'
    ))  # fmt: skip
    first, second = (row.pose for row in ImageFolder(path).rows)
    assert first[0, 3] == pytest.approx(1.5) and second is None


def test_names_in_sub_folders_are_told_apart(tmp_path):
    text = 'file,x,y\nseq1/a.png,1,0\nseq2/a.png,2,0\n'
    path = folder(tmp_path / 'seq2', 'a.png')
    (tmp_path / 'p.csv').write_text(text)
    assert ImageFolder(path, tmp_path / 'p.csv').rows[0].pose[0, 3] == 2
    other = folder(tmp_path / 'seq3', 'a.png')
    with pytest.raises(SourceError, match=r"'a.png' of seq1/a.png and seq2/a.png"):
        ImageFolder(other, tmp_path / 'p.csv')


def test_a_matrix_that_is_no_rotation_is_refused(tmp_path):
    text = '1 0 0 5 0 2 0 5 0 0 1 5\n'
    with pytest.raises(SourceError, match='expected rows of a rotation and a position'):
        one(tmp_path, text)


def test_tables_that_hold_no_poses_beside_the_images_do_no_harm(tmp_path):
    path = folder(tmp_path, 'a.png', csv='file,x,y\na.png,1,2\n')
    (path / 'imu.csv').write_text('t,ax,ay,az\n0,1,2,3\n')
    frames = ImageFolder(path)
    assert frames.rows[0].pose[0, 3] == 1
    (path / 'poses.csv').unlink()
    frames = ImageFolder(path)
    assert not frames.has_poses
    assert 'imu.csv beside the images is not used' in frames.report.notes[0]


@pytest.mark.parametrize('suffix', ['.json', '.npz'])
def test_what_is_no_table_is_named(tmp_path, suffix):
    with pytest.raises(SourceError, match=f'got {suffix}; give the folder'):
        one(tmp_path, '{}', poses=f'p{suffix}')


@cases
@pytest.mark.parametrize('table', ['colmap_images.csv', 'sparse/0/images.txt', ''])
def test_the_real_model_of_colmap_has_its_camera_where_it_was(table):
    frames = ImageFolder(CASES / 'colmap', CASES / 'colmap' / table if table else '')
    assert frames.files[3].name == '03.jpg'
    assert np.allclose(frames.rows[3].pose[:3, 3], (9.64, -2.71, 2.66), atol=0.005)


@cases
@pytest.mark.parametrize('poses', ['', '00_tum.txt', 'poses/00.txt'])
def test_the_real_poses_of_kitti_belong_to_their_images(poses):
    root = CASES / 'kitti'
    frames = ImageFolder(root / 'sequences' / '00' / 'image_0', root / poses if poses else '')
    wanted = np.loadtxt(root / 'poses' / '00.txt').reshape(-1, 3, 4)
    found = np.array([row.pose[:3] for row in frames.rows])
    assert len(frames) == 29 and np.allclose(found, wanted, atol=1e-5)


@cases
def test_the_real_poses_of_seven_scenes_are_found():
    frames = ImageFolder(CASES / '7scenes_seq-01')
    wanted = np.loadtxt(CASES / '7scenes_seq-01' / 'frame-000001.pose.txt')
    assert frames.report.posed == 3 and np.array_equal(frames.rows[1].pose, wanted)
    assert frames.report.left_out == {'depth maps': 3}
