# SPDX-License-Identifier: MIT
"""The demo's parts, on a few of its own images."""

import json

import pytest

from selavpr_model.errors import SourceError
from selavpr_model.evaluation.predictions import read_csv
from selavpr_model.maps.storage.store import open_map
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag
from selavpr_ros.replay import demo
from selavpr_ros.replay.live import play

from where import ROOT

DEMO = ROOT / 'demo'


@pytest.fixture(scope='module')
def small_demo(tmp_path_factory):
    """About 12 images of each run, as the demo has them."""
    if not (DEMO / 'winter').is_dir():
        pytest.skip('demo/ is not here')
    folder = tmp_path_factory.mktemp('demo')
    for run in (demo.MAPPED, demo.DRIVEN):
        bag = BagFrames(DEMO / run, pose_topic=demo.TRUTH)
        frames = list(bag)[:: max(1, len(bag) // 12)]
        write_bag(folder / run, frames, 'jpeg', base_camera=bag.base_camera)
    (folder / 'world.json').write_text((DEMO / 'world.json').read_text())
    return folder


@pytest.fixture(scope='module')
def shown(small_demo, tmp_path_factory):
    out = tmp_path_factory.mktemp('out')
    return out, demo.run(out, small_demo, play, rate=0.0)


def test_the_demo_writes_what_it_says(shown):
    out, summary = shown
    assert json.loads((out / 'summary.json').read_text()) == json.loads(json.dumps(summary))
    assert {
        'frames',
        'processed',
        'dropped_by_reason',
        'recall_at_1',
        'recall_at_5',
        'recall_at_10',
        'false_accepts',
        'lost_outside_map_fraction',
        'loop_closures',
        'latency_ms',
        'fingerprint',
        'live_agreement',
        'expected_calibration_error',
        'false_verified_closures',
        'verified_closure_recall',
        'trust',
        'host',
        'note',
    } <= set(summary)
    assert summary['frames'] == len(read_csv(out / 'predictions.csv'))
    assert (out / 'report.html').stat().st_size > 50_000


def test_node_and_replay_agree_on_the_demo(shown):
    agreed = shown[1]['live_agreement']
    assert agreed['equal'] == agreed['compared'] == shown[1]['processed'] > 0


def test_the_makers_labels_fit_the_poses(shown):
    labels = shown[1]['labels']
    assert labels['labelled_outside'] == labels['of_these_outside'] > 0


def test_an_unchanged_map_is_used_again_and_a_changed_bag_is_not(
    shown, small_demo, extractor, tmp_path
):
    path, bag = shown[0] / 'map', small_demo / demo.MAPPED
    built = open_map(path)
    again = demo.town_map(path, bag, extractor, rebuild=False)
    assert (again.map_id, again.revision) == (built.map_id, built.revision)
    write_bag(tmp_path / demo.MAPPED, list(BagFrames(bag, pose_topic=demo.TRUTH))[:6])
    other = demo.town_map(path, tmp_path / demo.MAPPED, extractor, rebuild=False)
    assert other.map_id != built.map_id and len(other) <= 6


def test_a_folder_without_the_bags_is_named(tmp_path):
    with pytest.raises(SourceError, match=f'summer/ and winter/ in {tmp_path}'):
        demo.find_data(tmp_path)
