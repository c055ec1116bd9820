# SPDX-License-Identifier: MIT
"""Which pose is of which image: names, times, order; and the real files that people brought."""

from __future__ import annotations

from pathlib import Path

from folder_helpers import folder
import numpy as np
import pytest

from selavpr_model.data.associate import name_stamp
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import SourceError
from selavpr_model.poses import pose_matrix

from where import SHARED

CASES = SHARED.parent / 'cases' / 'files'
cases = pytest.mark.skipif(not CASES.is_dir(), reason=f'{CASES} is not there')


def numbers(values) -> str:
    return ' '.join(f'{v:.9g}' for v in values)


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


@pytest.mark.parametrize(
    ('name', 'stamp'),
    [
        ('left_1305031102.175304.png', 1305031102175304000),
        ('cam0-1403715273262142976.png', 1403715273262142976),
        ('20240131123000.jpg', 1706704200 * 10**9),
        ('1403715273262.png', 1403715273262 * 10**6),
        ('1305031102_1305031103.png', None),
        ('IMG_20240131_123000123.jpg', None),
        ('000123.png', None),
        ('frame-000123.color.png', None),
    ],
)
def test_the_time_in_a_name(name, stamp):
    assert name_stamp(Path(name)) == stamp


def test_times_that_are_not_of_the_images_are_refused(tmp_path):
    path = folder(tmp_path, '000000.png', '000001.png', '000002.png')
    rows = [f'{k} {k} 0 0 0 0 0 1' for k in range(3)]
    (path / 'p.txt').write_text('\n'.join(rows))
    (path / 'times.txt').write_text('0\n1\n')
    with pytest.raises(SourceError, match=r'times.txt: expected one time .* 3 images, got 2'):
        ImageFolder(path, 'p.txt')


def test_degrees_in_utm_names_are_refused(tmp_path):
    names = [f'@{52.5001 + k / 1e3:.5f}@{13.40012 + k / 1e3:.5f}@x@.jpg' for k in range(3)]
    with pytest.raises(SourceError, match='looks like latitude and longitude'):
        ImageFolder(folder(tmp_path, *names))


def test_names_in_sub_folders_are_told_apart(tmp_path):
    text = 'file,x,y\nseq1/a.png,1,0\nseq2/a.png,2,0\n'
    path = folder(tmp_path / 'seq2', 'a.png')
    (tmp_path / 'p.csv').write_text(text)
    assert ImageFolder(path, tmp_path / 'p.csv').rows[0].pose[0, 3] == 2
    other = folder(tmp_path / 'seq3', 'a.png')
    with pytest.raises(SourceError, match=r"'a.png' of seq1/a.png and seq2/a.png"):
        ImageFolder(other, tmp_path / 'p.csv')


def test_tables_that_hold_no_poses_beside_the_images_do_no_harm(tmp_path):
    path = folder(tmp_path, 'a.png', csv='file,x,y\na.png,1,2\n')
    (path / 'imu.csv').write_text('t,ax,ay,az\n0,1,2,3\n')
    frames = ImageFolder(path)
    assert frames.rows[0].pose[0, 3] == 1
    (path / 'poses.csv').unlink()
    frames = ImageFolder(path)
    assert not frames.has_poses
    assert 'imu.csv beside the images is not used' in frames.report.notes[0]


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
