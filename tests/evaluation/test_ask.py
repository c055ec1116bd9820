# SPDX-License-Identifier: MIT
"""`selavpr ask`: photographs against a real map, one by one."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from replay_helpers import command, moved

from selavpr_model.data.decode import read_rgb
from selavpr_model.errors import SourceError
from selavpr_model.evaluation.ask import photographs

FP32 = ('--precision', 'fp32')


@pytest.fixture(scope='module')
def photos(street, tmp_path_factory):
    """Places 2 and 7 of `street_map`, seen darker and from the side; and something else."""
    path = tmp_path_factory.mktemp('photos')
    for name, frame in (('two.jpg', street[2]), ('seven.png', street[7])):
        cv2.imwrite(str(path / name), moved(frame).image[..., ::-1])
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    cv2.imwrite(str(path / 'zzz.jpg'), noise)
    return path


def test_each_photograph_is_answered_with_place_pose_and_picture(
    street_map, photos, tmp_path, capsys
):
    (tmp_path / 'cut.jpg').write_bytes((photos / 'two.jpg').read_bytes()[:500])
    words = ['ask', str(street_map), str(tmp_path / 'cut.jpg'), str(photos), *FP32]
    assert command(*words, '--out', str(tmp_path / 'o'), '--json', str(tmp_path / 'a.json')) == 0
    rows = {
        row['image'].split('/')[-1]: row for row in json.loads((tmp_path / 'a.json').read_text())
    }
    assert list(rows) == ['seven.png', 'two.jpg', 'zzz.jpg']
    assert (rows['two.jpg']['place_id'], rows['seven.png']['place_id']) == (2, 7)
    assert rows['zzz.jpg']['state'] == 'LOST' and rows['zzz.jpg']['pose'] is None
    for row in rows.values():
        assert (row['pose'] is not None) == (row['state'] == 'LOCALIZED') and row['reason']
    shown = capsys.readouterr().out
    assert '1 of 4 could not be read' in shown and 'zzz.jpg:' in shown
    assert read_rgb(tmp_path / 'o' / 'two_match.jpg').shape[1] == 806
    pairs = (tmp_path / 'o' / 'pairs.txt').read_text().splitlines()
    assert pairs[0].startswith('seven.png ') and len(pairs) >= 10


def test_each_answer_stands_alone(street_map, photos, tmp_path):
    words = ['ask', str(street_map), *FP32, '--json', str(tmp_path / 'a.json')]
    assert command(*words, str(photos / 'two.jpg'), str(photos / 'seven.png')) == 0
    first = json.loads((tmp_path / 'a.json').read_text())
    assert command(*words, str(photos / 'seven.png'), str(photos / 'two.jpg')) == 0
    assert json.loads((tmp_path / 'a.json').read_text()) == first[::-1]


def test_what_is_not_there_is_one_line(street_map, tmp_path, capsys):
    assert command('ask', str(street_map), str(tmp_path / 'no.jpg')) == 1
    assert 'expected a photograph or a folder of them' in capsys.readouterr().err
    (tmp_path / 'cut.jpg').write_bytes(b'\xff\xd8\xff')
    assert command('ask', str(street_map), str(tmp_path / 'cut.jpg'), *FP32) == 1
    assert 'none of 1 can be read' in capsys.readouterr().err
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SourceError, match='none in this folder'):
        photographs([tmp_path / 'empty'])
