# SPDX-License-Identifier: MIT
"""What we write for other programs: read back by us, and by them where they are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import shutil
import subprocess
import sys

from folder_helpers import folder
from map_helpers import some_features, some_map, some_place
import numpy as np
import pytest
from typer.testing import CliRunner

from selavpr_model.cli.map import map_app
from selavpr_model.data.datasets import open_dataset
from selavpr_model.data.formats.colmap import read_cameras, read_images
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.data.pose_tables import read_table
from selavpr_model.errors import MapDataError
from selavpr_model.evaluation.export import models, pairs, trajectory
from selavpr_model.evaluation.predictions import Prediction
from selavpr_model.maps.storage.store import save_map
from selavpr_model.poses import pose_matrix, position_quaternion
from selavpr_model.records import Camera, State

EVO = shutil.which('evo_ape', path=str(Path(sys.executable).parent)) or shutil.which('evo_ape')
K = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])


@pytest.fixture
def place_map():
    return some_map(6)


def posed(place_map):
    return [p for p in place_map.places if p.pose is not None]


def test_a_trajectory_is_exact_to_the_nanosecond_and_read_back(tmp_path, place_map):
    count = trajectory.write_tum(tmp_path / 't.txt', trajectory.mapped(place_map.places))
    rows = read_table(tmp_path / 't.txt').rows
    places = posed(place_map)
    assert count == len(rows) == len(places) == 5
    assert [r.stamp_ns for r in rows] == [p.stamp_ns for p in places]
    assert np.allclose([r.pose for r in rows], [p.pose for p in places])


def test_only_localized_answers_are_in_a_trajectory(tmp_path):
    pose = position_quaternion(pose_matrix((1, 2, 3), (0, 0, 0, 1)))
    answers = [
        Prediction(2_000_000_001, State.LOCALIZED, pose=pose),
        Prediction(1_000_000_000, State.LOST),
        Prediction(500_000_000, State.LOCALIZED, pose=pose),
    ]
    assert trajectory.write_tum(tmp_path / 't.txt', trajectory.answered(answers)) == 2
    lines = (tmp_path / 't.txt').read_text().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ['0.500000000', '2.000000001']
    assert trajectory.true({7: None, 8: np.eye(4)}) == [(8, (0, 0, 0, 0, 0, 0, 1))]


@pytest.mark.skipif(EVO is None, reason='evo_ape is not installed (requirements/dev.txt)')
def test_evo_accepts_our_trajectories(tmp_path):
    for name, side in (('a.txt', 0.0), ('b.txt', 0.5)):
        samples = [
            (1_700_000_000_123_456_789 + k * 10**9,
             position_quaternion(pose_matrix((k, k * k, side), (0, 0, 0.1, 1))))
            for k in range(8)
        ]  # fmt: skip
        trajectory.write_tum(tmp_path / name, samples)
    command = [str(EVO), 'tum', str(tmp_path / 'a.txt'), str(tmp_path / 'b.txt')]
    done = subprocess.run(command, capture_output=True, text=True)
    values = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert done.returncode == 0, done.stderr
    assert float(values['rmse']) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('camera', 'model'),
    [
        (Camera(K, np.zeros(5), (640, 480)), 'PINHOLE'),
        (Camera(K, np.array([-0.1, 0.02, 0.001, 0.002, 0.0]), (640, 480)), 'OPENCV'),
        (Camera(K, np.array([-0.1, 0.02, 0, 0, 0.3]), (640, 480)), 'FULL_OPENCV'),
        (Camera(K, np.array([0.1, 0.2, 0.3, 0.4]), (640, 480), 'equidistant'), 'OPENCV_FISHEYE'),
        (None, 'PINHOLE'),
    ],
)
def test_a_model_of_colmap_is_read_back(tmp_path, place_map, camera, model):
    if camera is not None:
        place_map.cameras = {'summer': camera}
    assert models.write_colmap(tmp_path / 'sparse', place_map) == 5
    images = read_images(tmp_path / 'sparse' / 'images.txt')
    places = posed(place_map)
    assert [i.name for i in images] == [p.name for p in places]
    assert np.allclose([i.row.pose for i in images], [p.pose for p in places])
    assert f' {model} ' in (tmp_path / 'sparse' / 'cameras.txt').read_text()
    read = read_cameras(tmp_path / 'sparse')[1]
    if camera is not None:
        assert np.allclose(read.K, K) and read.size == (640, 480)
        assert np.allclose(read.distortion[:4], camera.distortion[:4])


@pytest.mark.skipif(
    importlib.util.find_spec('pycolmap') is None,
    reason='pycolmap is not installed (requirements/dev.txt)',
)
def test_pycolmap_reads_our_model(tmp_path, place_map):
    import pycolmap

    models.write_colmap(tmp_path, place_map)
    found = {i.name: i for i in pycolmap.Reconstruction(str(tmp_path)).images.values()}
    places = posed(place_map)
    assert set(found) == {p.name for p in places}
    for place in places:
        assert np.allclose(found[place.name].projection_center(), place.pose[:3, 3])


def test_kapture_is_read_back(tmp_path, place_map):
    assert models.write_kapture(tmp_path, place_map) == 5
    places = posed(place_map)
    folder(tmp_path / 'sensors' / 'records_data', *(p.name for p in places))
    frames = ImageFolder(tmp_path)
    assert np.allclose([row.pose for row in frames.rows], [p.pose for p in places])
    assert [row.stamp_ns for row in frames.rows] == [p.stamp_ns for p in places]


def test_pairs_and_predictions(tmp_path):
    answers = [('q1.jpg', ['a.jpg', 'b.jpg', 'c.jpg']), ('q2.jpg', ['b.jpg'])]
    assert pairs.write_pairs(tmp_path / 'pairs.txt', answers, most=2) == 3
    assert (tmp_path / 'pairs.txt').read_text() == 'q1.jpg a.jpg\nq1.jpg b.jpg\nq2.jpg b.jpg\n'
    paths = Path('q/1.jpg'), [Path('r/2.jpg'), Path('r/3.jpg')], [Path('r/3.jpg')]
    pairs.write_predictions(tmp_path, [paths])
    lines = (tmp_path / 'preds' / '000.txt').read_text().splitlines()
    # as its users read it: lines[1], lines[4:lines.index('', 4)], what follows Positives paths:
    assert lines[1] == 'q/1.jpg' and lines[4 : lines.index('', 4)] == ['r/2.jpg', 'r/3.jpg']
    assert lines[lines.index('Positives paths:') + 1 :] == ['r/3.jpg']


def test_the_order_of_an_evaluation_is_written_for_hloc(tmp_path):
    for name in ('query', 'ref'):
        folder(tmp_path / name, *(f'{k}.png' for k in range(3)))
    data = open_dataset(tmp_path)
    pairs.write_orders(tmp_path / 'o', data, [np.array([k, 0]) for k in range(3)], tmp_path)
    lines = (tmp_path / 'o' / 'pairs.txt').read_text().splitlines()
    assert lines[2:4] == ['query/1.png ref/1.png', 'query/1.png ref/0.png']
    text = (tmp_path / 'o' / 'preds' / '002.txt').read_text()
    assert text.index(str(tmp_path / 'query' / '2.png')) < text.index(str(tmp_path / 'ref'))


@pytest.mark.parametrize('kind', ['tum', 'colmap', 'kapture'])
def test_the_command_exports_a_map(tmp_path, place_map, kind):
    save_map(place_map, tmp_path / 'map')
    out = tmp_path / 'out'
    words = ['export', str(tmp_path / 'map'), '--format', kind, '--out', str(out)]
    result = CliRunner().invoke(map_app, words)
    assert result.exit_code == 0, result.exception
    assert '5 of 6 places' in result.output and out.exists()


def test_a_map_without_poses_has_none_to_export(tmp_path):
    bare = some_map(0)
    bare.add(some_features(3), some_place(3))
    assert bare.places[0].pose is None
    with pytest.raises(MapDataError, match='got none of 1; build the map with poses'):
        models.write_colmap(tmp_path, bare)
