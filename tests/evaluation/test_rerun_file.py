# SPDX-License-Identifier: MIT
"""A recording for rerun holds what was put into it, frame by frame."""

from __future__ import annotations

import builtins

import cv2
from map_helpers import some_image, some_map
import numpy as np
import pytest

from selavpr_model.errors import MissingPackageError
from selavpr_model.evaluation.export.rerun_file import PIECE, position, RerunFile
from selavpr_model.records import Candidate, ClosureKind, Recognition, State

FRAMES = PIECE + 5
STAMP = 1_700_000_000_000_000_001
BELIEF = np.array([0.1, 0.2, 0.3, 0.1, 0.0, 0.0005])


@pytest.fixture(scope='module')
def entities(tmp_path_factory):
    pytest.importorskip('rerun.chunk', reason='see requirements/rerun.txt')
    from rerun_helpers import read_back

    path = tmp_path_factory.mktemp('rerun') / 'out.rrd'
    with RerunFile(path, 'summer in winter') as recording:
        write(recording)
    return read_back(path)


def write(recording):
    places = some_map(6).places
    recording.places(places)
    recording.track('truth', [np.eye(4), places[1].pose])
    for k in range(FRAMES):
        recording.at(k, STAMP + k)
        recording.image('camera', some_image(k, 400, 1000))
        candidate = Candidate(places[1], 1, 0.7, 0, k, confidence=0.5)
        sure = Recognition(STAMP + k, State.LOCALIZED, (candidate,), f'because {k}')
        recording.answer(sure if k else Recognition(STAMP, State.LOST, (), 'nothing alike'))
        recording.belief(places, BELIEF if k else None)
        recording.moved('answers', [k, 0.0, 0.0])
    recording.closure(ClosureKind.VERIFIED, [[0, 0, 0], [1, 2, 3]], '5_1', 'alike')


def test_images_are_there_at_their_times_and_sizes(entities):
    camera = entities['/camera']
    assert camera['frame'] == list(range(FRAMES))
    assert [s.value for s in camera['stamp']] == [STAMP + k for k in range(FRAMES)]
    blob = np.array(camera['EncodedImage:blob'][3][0], np.uint8)
    shown = cv2.imdecode(blob, cv2.IMREAD_COLOR)[..., ::-1]
    assert shown.shape == (256, 640, 3)
    expected = cv2.resize(some_image(3, 400, 1000), (640, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(float) - expected).mean() < 4.0


def test_answers_say_state_and_reason_and_numbers_only_where_there_are_some(entities):
    texts = entities['/answers']['TextLog:text']
    assert texts[:2] == [['LOST: nothing alike'], ['LOCALIZED: because 1']]
    assert entities['/numbers/state']['Scalars:scalars'][:2] == [[0.0], [2.0]]
    matches = entities['/numbers/matches']
    assert (matches['frame'][0], matches['Scalars:scalars'][-1]) == (1, [FRAMES - 1.0])
    assert '/confidence/frame' not in entities


def test_the_map_its_ways_and_closures_lie_where_they_are(entities):
    places = [p for p in some_map(6).places if p.pose is not None]
    (points,) = entities['/map/places']['Points3D:positions']
    assert points == [position(p.pose) for p in places]
    assert entities['/map/places']['Points3D:labels'] == [[p.name for p in places]]
    assert entities['/map/truth']['LineStrips3D:strips'] == [[[[0, 0, 0], points[1]]]]
    second = entities['/map/answers/0001']['LineStrips3D:strips'][-1][0]
    assert second == [[float(x), 0, 0] for x in range(PIECE - 1, FRAMES)]
    line = entities['/map/closures/verified/5_1']['LineStrips3D:strips']
    assert line == [[[[0, 0, 0], [1, 2, 3]]]]
    assert entities['/closures']['TextLog:text'] == [['VERIFIED 5_1: alike']]


def test_the_belief_is_drawn_where_it_is_and_place_3_has_no_pose(entities):
    assert entities['/belief/on_map']['Scalars:scalars'][0] == [pytest.approx(0.7005)]
    assert entities['/belief/best_place']['Scalars:scalars'][0] == [0.3]
    belief = entities['/map/belief']
    assert belief['Points3D:positions'][0] == [[k, 2 * k, 0.5] for k in range(3)]
    radii = belief['Points3D:radii'][0]
    assert radii == sorted(radii) and belief['frame'][0] == 1


def test_without_the_package_the_line_that_installs_it_is_said(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.partition('.')[0] == 'rerun':
            raise ModuleNotFoundError(f'No module named {name!r}', name='rerun')
        return real(name, *rest, **options)

    monkeypatch.setattr('importlib.import_module', lambda name: without(name))
    with pytest.raises(MissingPackageError, match=r"pip install 'selavpr\[rerun\]'"):
        RerunFile(tmp_path / 'out.rrd', 'title')
