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


GEO = 'filename,latitude,longitude,altitude,heading\n'


def test_latitude_and_longitude_become_metres_with_their_origin(tmp_path):
    text = f'{GEO}a.png,55.70,13.190,50,0\nb.png,55.71,13.190,52,90\n'
    path = folder(tmp_path, 'a.png', 'b.png', csv=text)
    frames = ImageFolder(path)
    first, second = (row.pose for row in frames.rows)
    assert np.allclose(first[:3, 3], 0) and np.allclose(first[:3, 2], (0, 1, 0))
    assert np.allclose(second[:3, 3], (0, 1113.37, 1.90), atol=0.01)
    assert np.allclose(second[:3, 2], (1, 0, 0))
    assert frames.report.origin == {'latitude': 55.70, 'longitude': 13.19, 'altitude': 50.0}


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


def test_roll_and_pitch_in_degrees_are_converted(tmp_path):
    wanted = pose_files.euler_pose((1, 2, 3), np.radians((5, 10, 90)))
    for head in ('roll_deg,pitch_deg,yaw_deg', 'roll [deg],pitch [deg],yaw [deg]'):
        text = f'file,x,y,z,{head}\na.png,1,2,3,5,10,90\n'
        assert np.allclose(one(tmp_path, text, poses='poses.csv'), wanted)
    only = one(tmp_path, 'file,x,y,pitch,yaw\na.png,1,2,0.2,0\n', poses='poses.csv')
    assert np.allclose(only, pose_files.euler_pose((1, 2, 0), (0, 0.2, 0)))


def test_the_order_of_colmap_without_its_ids_is_refused(tmp_path):
    with pytest.raises(SourceError, match='order of COLMAP, whose poses are world-to-camera'):
        one(tmp_path, 'file,qw,qx,qy,qz,tx,ty,tz\na.png,1,0,0,0,1,2,3\n', poses='poses.csv')


@pytest.mark.parametrize('time', ['2024-01-31T12:30:00.5Z', '2024-01-31 13:30:00.5+01:00'])
def test_dates_are_times(tmp_path, time):
    text = f'time,lat,lon,ele\n{time},52.5,13.4,30\n'
    pose = one(tmp_path, text, '1706704200.5.png', poses='poses.csv')
    assert np.allclose(pose[:3, 3], 0)


def test_a_topic_that_rostopic_wrote_as_csv_is_read(tmp_path):
    parts = [f'position.{c}' for c in 'xyz'] + [f'orientation.{c}' for c in 'xyzw']
    head = ','.join(f'field.pose.pose.{part}' for part in parts)
    text = f'%time,field.header.seq,{head}\n1700000000500000000,1,1,2,3,0,0,0.6,0.8\n'
    pose = one(tmp_path, text, '1700000000500000000.png', poses='poses.csv')
    assert np.allclose(pose, pose_matrix((1, 2, 3), (0, 0, 0.6, 0.8)))


def test_numbers_before_matrices_are_those_of_images(tmp_path):
    path = folder(tmp_path, *(f'{k:010d}.png' for k in range(3)))
    rows = ['0 1 0 0 5 0 1 0 6 0 0 1 7', '2 1 0 0 8 0 1 0 9 0 0 1 1']
    (path / 'p.txt').write_text('\n'.join(rows))
    poses = [row.pose for row in ImageFolder(path, 'p.txt').rows]
    assert poses[1] is None and poses[2][0, 3] == 8


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


def test_a_matrix_that_is_no_rotation_is_refused(tmp_path):
    text = '1 0 0 5 0 2 0 5 0 0 1 5\n'
    with pytest.raises(SourceError, match='expected rows of a rotation and a position'):
        one(tmp_path, text)


@pytest.mark.parametrize('suffix', ['.json', '.npz', '.kml', '.gpx', '.g2o', '.xlsx'])
def test_what_is_no_table_is_named(tmp_path, suffix):
    with pytest.raises(SourceError, match=f'got {suffix}; give the folder'):
        one(tmp_path, '{}', poses=f'p{suffix}')


def test_decimal_commas_are_named(tmp_path):
    with pytest.raises(SourceError, match=r'write 1\.5, not 1,5'):
        one(tmp_path, '1000,5 1,0 2,0 3,0 0,0 0,0 0,0 1,0\n')


def test_commas_without_a_header_ask_for_the_column_that_is_there(tmp_path):
    with pytest.raises(SourceError, match='"stamp x y z qx qy qz qw"'):
        one(tmp_path, '1000.5, 1, 2, 3, 0, 0, 0, 1\n')


def test_degrees_and_minutes_ask_for_decimal_degrees(tmp_path):
    with pytest.raises(SourceError, match='expected a number of decimal degrees'):
        one(tmp_path, 'image,lat,lon\n0.png,33 51 30 S,70 40 10 W\n')
