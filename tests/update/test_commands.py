# SPDX-License-Identifier: MIT
"""`selavpr map update` and `map prune` on a bag, and what `map info` then tells."""

import json
from pathlib import Path
import shutil

import numpy as np
import pytest
from replay_helpers import command

from selavpr_model.maps.storage.store import open_map
from selavpr_ros.bags.writer import write_bag


@pytest.fixture(scope='module')
def bag(evening, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('bags') / 'evening'
    write_bag(out, evening, base_camera=np.eye(4))
    return out


@pytest.fixture(scope='module')
def updated(summer_map, bag, tmp_path_factory) -> Path:
    path = Path(shutil.copytree(summer_map, tmp_path_factory.mktemp('maps') / 'map'))
    assert command(*words('update', path, bag, '--session', 'evening', '--novelty', '0.05')) == 0
    return path


def words(*arguments: object) -> list[str]:
    return ['map', *map(str, arguments)]


def test_update_replaces_the_map_in_place(updated, summer_map):
    place_map = open_map(updated)
    assert place_map.sessions == {'summer', 'evening'}
    assert place_map.map_id == open_map(summer_map).map_id


def test_the_same_command_again_adds_nothing(updated, bag, capsys):
    revision = open_map(updated).revision
    assert (
        command(*words('update', updated, bag, '--session', 'evening', '--novelty', '0.05')) == 0
    )
    assert open_map(updated).revision == revision
    assert 'was added before' in capsys.readouterr().out


def test_prune_measures_its_loss_on_a_drive_and_info_tells_both(updated, bag, tmp_path, capsys):
    out, report = tmp_path / 'small', tmp_path / 'loss.json'
    arguments = words(
        'prune', updated, '--keep', '0.5', '--drive', bag, '--out', out, '--json', report
    )
    assert command(*arguments) == 0
    told = json.loads(report.read_text())
    assert told['places'] == len(open_map(out)) == round(len(open_map(updated)) / 2)
    assert told['drive']['frames'] == 40 and told['loss']['asked'] > 10
    assert told['drive']['localized_before'] > 0.5
    assert open_map(out).source['pruned'][0] == told
    capsys.readouterr()
    assert command(*words('info', out)) == 0
    shown = ' '.join(capsys.readouterr().out.replace('│', ' ').split())  # without the frame
    for text in ('looks of session evening', 'LOCALIZED before', 'of way', 'gaps'):
        assert text in shown, shown


def test_update_by_a_source_that_is_no_recording_leaves_the_map(updated, tmp_path, capsys):
    before = open_map(updated).revision
    assert command(*words('update', updated, tmp_path / 'nowhere')) == 1
    assert 'does not exist' in capsys.readouterr().err
    assert open_map(updated).revision == before
