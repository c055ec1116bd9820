# SPDX-License-Identifier: MIT
"""Tables of poses by their headers: units, numbers of frames, names of other programs."""

from __future__ import annotations

import re

from folder_helpers import folder
import numpy as np
import pytest

from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import SourceError


@pytest.mark.parametrize(
    ('head', 'said'),
    [
        ('file,x [mm],y [mm],yaw', "expected positions in metres, got 'x [mm]'"),
        ('file,x_cm,y_cm,yaw', "expected positions in metres, got 'x_cm'"),
        ('file,x,y,altitude (ft),yaw', "expected positions in metres, got 'altitude (ft)'"),
        ('file,latitude [rad],longitude [rad],yaw', 'expected latitude in degrees'),
    ],
)
def test_a_unit_that_is_not_ours_is_refused(tmp_path, head, said):
    row = ','.join(['a.png', *'1234'[: head.count(',')]])
    path = folder(tmp_path, 'a.png', csv=f'{head}\n{row}\n')
    with pytest.raises(SourceError, match=re.escape(said)):
        ImageFolder(path)


@pytest.mark.parametrize(
    ('head', 'value', 'ns'),
    [
        ('time [ms]', '40', 40_000_000),
        ('timestamp_us', '40', 40_000),
        ('time_ns', '40', 40),
        ('stamp', '40', 40_000_000_000),
        ('time (s)', '1700000000.5', 1700000000_500000000),
        ('timestamp [ns]', '1700000000500000000', 1700000000_500000000),
    ],
)
def test_a_time_is_in_the_unit_of_its_column(tmp_path, head, value, ns):
    text = f'file,{head},x [m],y (m),yaw\na.png,{value},1,2,0\n'
    path = folder(tmp_path, 'a.png', csv=text)
    (row,) = ImageFolder(path).rows
    assert row.stamp_ns == ns and row.pose[:2, 3].tolist() == [1.0, 2.0]


def test_a_table_of_frame_numbers_belongs_to_numbered_images(tmp_path):
    rows = ''.join(f'{k},{k},2,0\n' for k in (2, 0, 3))
    names = [f'{k:06d}.png' for k in range(4)]
    frames = ImageFolder(folder(tmp_path, *names, csv=f'frame,x,y,yaw\n{rows}'))
    found = [None if row.pose is None else row.pose[0, 3] for row in frames.rows]
    assert found == [0.0, None, 2.0, 3.0]


def test_what_exiftool_writes_of_a_drone_is_read(tmp_path):
    head = 'SourceFile,GPSLatitude,GPSLongitude,GPSAltitude,GimbalYawDegree'
    text = f'{head}\n./a.png,52.5,13.4,100,-90\n./b.png,52.501,13.4,100,90\n'
    frames = ImageFolder(folder(tmp_path, 'a.png', 'b.png', csv=text))
    first, second = (row.pose for row in frames.rows)
    assert np.allclose(first[:3, 2], (-1, 0, 0)) and np.allclose(second[:3, 2], (1, 0, 0))
    assert np.allclose(second[:3, 3], (0, 111.28, 0), atol=0.01)


def test_a_table_in_another_encoding_says_how_to_save_it(tmp_path):
    path = folder(tmp_path, 'a.png')
    (path / 'p.csv').write_bytes('file,x,y,yaw\na.png,1,2,0\n'.encode('utf-16'))
    with pytest.raises(SourceError, match='save it as UTF-8'):
        ImageFolder(path, path / 'p.csv')
