# SPDX-License-Identifier: MIT
"""`--rerun`: what a replay and a SLAM run show, read back from the recording."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from replay_helpers import command, moved, TRUTH

from selavpr_model.evaluation.predictions import read_csv
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import State
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag

pytest.importorskip('rerun.chunk', reason='see requirements/rerun.txt')
FP32 = ('--precision', 'fp32')  # else it is measured first


def read(path):
    from rerun_helpers import read_back

    return read_back(path)


def test_a_replay_is_recorded_and_its_answers_stay_the_same(street, street_map, tmp_path):
    bag = tmp_path / 'drive'
    write_bag(bag, [moved(frame) for frame in street[:6]], 'png')
    words = ['replay', str(bag), '--map', str(street_map), '--truth', TRUTH, *FP32]
    recorded = tmp_path / 'out.rrd'
    assert command(*words, '--out', str(tmp_path / 'a')) == 0
    assert command(*words, '--out', str(tmp_path / 'b'), '--rerun', str(recorded)) == 0
    first, second = (tmp_path / name / 'predictions.csv' for name in 'ab')
    assert first.read_bytes() == second.read_bytes()
    rows, seen = read_csv(second), read(recorded)
    texts = [text for (text,) in seen['/answers']['TextLog:text']]
    assert texts == [f'{row.state.name}: {row.reason}' for row in rows]
    assert seen['/numbers/matches']['Scalars:scalars'] == [[row.matches[0]] for row in rows]
    assert [s.value for s in seen['/camera']['stamp']] == [row.stamp_ns for row in rows]
    assert len(seen['/matches']['EncodedImage:blob']) == 6
    places = open_map(street_map).places
    (points,) = seen['/map/places']['Points3D:positions']
    np.testing.assert_allclose(points, [p.pose[:3, 3] for p in places], atol=1e-3)
    truth = [pose[:3, 3] for pose in BagFrames(bag, pose_topic=TRUTH).truth().values()]
    np.testing.assert_allclose(seen['/map/truth']['LineStrips3D:strips'][0][0], truth, atol=1e-3)
    localized = [row for row in rows if row.state is State.LOCALIZED]
    assert len(localized) == len(seen['/map/here']['frame']) > 0
    best = [value for (value,) in seen['/belief/best_place']['Scalars:scalars']]
    on_map = [value for (value,) in seen['/belief/on_map']['Scalars:scalars']]
    assert len(best) == 6 and all(0 <= b <= o <= 1 for b, o in zip(best, on_map, strict=True))
    assert on_map[-1] > 0.9  # six frames that all know their place


def test_a_slam_run_is_recorded(street, tmp_path):
    bag, out = tmp_path / 'loop', tmp_path / 'out'
    again = [moved(frame) for frame in street[:4]]
    write_bag(bag, [*street, *again], 'png')
    recorded = tmp_path / 'slam.rrd'
    words = ['slam', str(bag), '--out', str(out), '--truth', TRUTH, *FP32]
    assert command(*words, '--rerun', str(recorded)) == 0
    seen = read(recorded)
    summary = json.loads((out / 'summary.json').read_text())
    assert len(seen['/camera']['frame']) == len(open_map(out / 'map')) == summary['keyframes']
    written = list(csv.DictReader((out / 'closures.csv').open()))
    drawn = [entity for entity in seen if entity.startswith('/map/closures/')]
    assert len(seen.get('/closures', {'frame': []})['frame']) == len(written)
    pairs = {(r['kind'].lower(), f'{r["key_to"]}_{r["key_from"]}') for r in written}
    assert {tuple(entity.split('/')[3:]) for entity in drawn} == pairs
    assert '/map/track/0000' in seen and len(seen['/belief/on_map']['frame']) > 0


@pytest.mark.parametrize('name', ['out.txt', 'no/out.rrd', '.'])
def test_a_name_that_rerun_does_not_open_is_refused(street_map, tmp_path, capsys, name):
    words = ['replay', str(tmp_path), '--map', str(street_map), '--out', str(tmp_path / 'o')]
    assert command(*words, '--rerun', str(tmp_path / name)) == 1
    assert '--rerun: expected a file NAME.rrd' in capsys.readouterr().err
