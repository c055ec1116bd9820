# SPDX-License-Identifier: MIT
"""Maps and models of other programs, each as a small tree of its layout."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
from folder_helpers import folder, image
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sequence_helpers import binary_model, exif_jpeg

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


def test_kapture_with_a_rig_in_a_rig(tmp_path):
    sensors = tmp_path / 'sensors'
    folder(sensors / 'records_data', '0.jpg', '1.jpg')
    (sensors / 'records_camera.txt').write_text('7, cam, 0.jpg\n8, other, 1.jpg\n')
    offset = joined(first_w(inverse(OFFSET)), ', ')
    # the last two hold each other, and have no pose
    pairs = ['car, head', 'head, cam', 'other, ring', 'ring, other']
    (sensors / 'rigs.txt').write_text('\n'.join(f'{pair}, {offset}' for pair in pairs))
    pose = joined(first_w(inverse(POSES[1])), ', ')
    (sensors / 'trajectories.txt').write_text(f'7, car, {pose}\n')
    first, second = ImageFolder(tmp_path).rows
    assert np.allclose(first.pose, POSES[1] @ OFFSET @ OFFSET) and second.pose is None


def test_nerfstudio_takes_its_scale_back(tmp_path):
    folder(tmp_path / 'images', '1.jpg')
    pose = POSES[1] @ np.diag([1.0, -1, -1, 1])
    pose[:3, 3] *= 0.5
    frame = {'file_path': 'images/1.jpg', 'transform_matrix': pose.tolist()}
    values = {'applied_scale': 0.5, 'applied_transform': np.eye(3, 4).tolist(), 'frames': [frame]}
    (tmp_path / 'transforms.json').write_text(json.dumps(values))
    found = ImageFolder(tmp_path, base_camera=OFFSET)
    assert np.allclose(found.rows[0].pose, POSES[1] @ OFFSET)
    assert 'applied_scale 0.5' in ' '.join(found.report.notes)
    assert 'applied_transform' in ' '.join(found.report.notes)
    (tmp_path / 'transforms.json').write_text(json.dumps(values | {'applied_scale': 0}))
    with pytest.raises(SourceError, match='applied_scale: expected a number above 0, got 0'):
        ImageFolder(tmp_path)


def test_opensfm_of_panoramas_with_its_origin_beside(tmp_path):
    folder(tmp_path / 'images', 'a.jpg')
    shot = {'rotation': [0, 0, 0], 'translation': [0, 0, 0], 'camera': 'x'}
    part = {'cameras': {'x': {'projection_type': 'spherical'}}, 'shots': {'a.jpg': shot}}
    (tmp_path / 'reconstruction.json').write_text(json.dumps([part]))
    origin = {'latitude': 47.0, 'longitude': 8.0, 'altitude': 400.0}
    (tmp_path / 'reference_lla.json').write_text(json.dumps(origin))
    report = ImageFolder(tmp_path).report
    assert report.origin == origin and report.notes[0].startswith('panoramas')


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
    assert frames.report.origin == {'latitude': 52.5, 'longitude': 13.4, 'altitude': 30.0}


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_photographs_say_where_they_were_taken(tmp_path, suffix):
    exif_jpeg(tmp_path / f'a{suffix}', (52.5, 13.4, 30.0), direction=90.0)
    exif_jpeg(tmp_path / f'b{suffix}', (52.501, 13.4, 32.0), direction=None)
    cv2.imwrite(str(tmp_path / f'c{suffix}'), image())
    frames = ImageFolder(tmp_path)
    first, second, third = (row.pose for row in frames.rows)
    assert np.allclose(first[:3, 3], 0) and np.allclose(first[:3, 2], (1, 0, 0))
    assert np.allclose(second[:3, 3], (0, 111.27, 2.0), atol=0.02) and third is None
    assert frames.report.origin == pytest.approx(
        {'latitude': 52.5, 'longitude': 13.4, 'altitude': 30.0}
    )
    south = tmp_path / 'south'
    south.mkdir()
    exif_jpeg(south / f'a{suffix}', (-33.9, -151.2, -3.0), direction=0.0)
    assert ImageFolder(south).report.origin == pytest.approx(
        {'latitude': -33.9, 'longitude': -151.2, 'altitude': -3.0}, abs=1e-6
    )
