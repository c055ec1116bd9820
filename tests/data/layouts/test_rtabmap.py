# SPDX-License-Identifier: MIT
"""RTAB-Map's databases, made after the schema and the serialisation of its source."""

from __future__ import annotations

import sqlite3
import struct

from folder_helpers import image
import numpy as np
import pytest
from rtabmap_helpers import D, database, floats, K, mono, OFFSET, packed, POSES, stereo

from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.errors import SourceError
from selavpr_ros.bags.recordings import open_recording

CALIBRATIONS = {
    'camera': ('0.21.4', mono(), 5),
    'rectified camera with P': ('0.23.0', mono(D=(), extra=np.eye(3)), 0),
    'stereo pair': ('0.20.0', stereo(), 5),
    'floats with a size': ('0.17.6', floats(30, 31, 16, 12, 32, 24), 0),
    'floats without': ('0.11.1', floats(30, 31, 16, 12), 0),
    'pair in floats': ('0.16.3', floats(30, 31, 16, 12, 0.1, 32, 24), 0),
    'old pair in floats': ('0.11.1', floats(30, 31, 16, 12, 0.1), 0),
}


@pytest.mark.parametrize('kind', CALIBRATIONS)
@pytest.mark.parametrize('optimised', [True, False])
def test_poses_of_the_base_are_carried_to_the_camera(tmp_path, kind, optimised):
    version, calibration, terms = CALIBRATIONS[kind]
    path = database(tmp_path / 'rtabmap.db', calibration, version, optimised)
    frames = ImageFolder(path)
    assert np.allclose([row.pose for row in frames.rows], [p @ OFFSET for p in POSES], atol=1e-5)
    assert ('optimised poses' if optimised else 'odometry') in frames.report.poses
    first = frames[0]
    assert first.stamp_ns == 1700000001_500000000
    assert np.allclose(first.camera.K.ravel(), K) and first.camera.size == (32, 24)
    assert np.allclose(first.camera.distortion[:terms], D[:terms])
    assert np.array_equal(first.image, image(0))
    assert len(open_recording(path, '')) == 3, 'commands take the file, too'


def test_a_fisheye_keeps_its_four_terms(tmp_path):
    terms = (0.1, 0.2, 0, 0, 0.3, 0.4)
    camera = ImageFolder(database(tmp_path / 'x.db', mono(D=terms)))[0].camera
    assert camera.model == 'equidistant'
    assert camera.distortion.tolist() == [0.1, 0.2, 0.3, 0.4]


def test_of_several_cameras_the_first_is_taken_and_that_is_said(tmp_path):
    other = mono(local=np.eye(4)[:3].astype(np.float32).tobytes())
    frames = ImageFolder(database(tmp_path / 'x.db', mono() + other, cameras=2))
    assert np.allclose(frames.rows[1].pose, POSES[1] @ OFFSET, atol=1e-5)
    assert np.array_equal(frames[1].image, image(1))
    assert 'the first of 2 cameras' in frames.report.notes[0]


@pytest.mark.parametrize('calibration', [b'', None, mono(local=b'')])
def test_without_a_mounting_no_pose_is_guessed(tmp_path, calibration):
    path = database(tmp_path / 'x.db', calibration)
    with pytest.raises(SourceError, match='no calibration that says where its camera is'):
        ImageFolder(path)
    given = ImageFolder(path, base_camera=OFFSET)
    assert np.allclose(given.rows[2].pose, POSES[2] @ OFFSET, atol=1e-5)
    bare = ImageFolder(path, 'none')
    assert not bare.has_poses and len(bare) == 3 and bare[2].stamp_ns == 1700000003_500000000


@pytest.mark.parametrize(
    ('calibration', 'version', 'said'),
    [
        (mono()[:-5], '0.21.4', 'calibration of'),
        (mono() + b'rest', '0.21.4', 'calibration of'),
        (struct.pack('<4i', 0, 21, 4, 7) + mono()[16:], '0.21.4', 'kind 7'),
        (struct.pack('<11i', 0, 21, 4, 0, 32, 24, -9, 0, 0, 0, 0), '0.21.4', 'counts'),
        (
            struct.pack('<11i', 0, 21, 4, 0, 32, 24, 1 << 30, 0, 0, 0, 0),
            '0.21.4',
            'calibration of',
        ),
        (floats(1, 2, 3), '0.17.0', 'expected 18 numbers a camera, got 15'),
        (mono(), 'nonsense', "expected the version of RTAB-Map in Admin, got 'nonsense'"),
        (mono(), '0.8.11', '0.10 or later, got 0.8.11'),
    ],
)
def test_a_damaged_calibration_or_another_version_is_one_line(
    tmp_path, calibration, version, said
):
    path = database(tmp_path / 'x.db', calibration, version)
    with pytest.raises(SourceError, match=said) as failed:
        ImageFolder(path)
    assert '\n' not in str(failed.value) and 'x.db' in str(failed.value)


def test_optimised_poses_that_do_not_fit_their_ids_are_refused(tmp_path):
    path = database(tmp_path / 'x.db', mono())
    connection = sqlite3.connect(path)
    for broken in (packed(np.zeros(11, np.float32)), b'no zlib at all, but longer'):
        connection.execute('UPDATE Admin SET opt_poses = ?', (broken,))
        connection.commit()
        with pytest.raises(SourceError, match='optimised poses'):
            ImageFolder(path)
    connection.close()


def test_a_database_of_something_else_is_one_line(tmp_path):
    sqlite3.connect(tmp_path / 'x.db').execute('CREATE TABLE t (a)').connection.close()
    with pytest.raises(SourceError, match='no such table: Admin'):
        ImageFolder(tmp_path / 'x.db')
