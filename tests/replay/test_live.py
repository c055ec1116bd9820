# SPDX-License-Identifier: MIT
"""The real node in its own process, fed over DDS."""

from dataclasses import replace

import pytest
from replay_helpers import moved, TRUTH

from selavpr_model.config import GeometryConfig, ReplayConfig
from selavpr_model.errors import SourceError
from selavpr_model.evaluation.predictions import agreement, Prediction, read_csv
from selavpr_model.maps.storage.store import open_map
from selavpr_model.records import State
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag
from selavpr_ros.config import NodeConfig
from selavpr_ros.replay.live import play
from selavpr_ros.replay.offline import run_with
from selavpr_ros.replay.request import Request


@pytest.fixture(scope='module')
def bag(street, tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'drive'
    write_bag(path, [moved(frame) for frame in street[:8]], 'jpeg')
    return path


def run(bag, extractor, street_map, out, rate, timeout_s=20.0, geometry=False):
    request = Request(
        bag, street_map, out, TRUTH, play=play, extractor=extractor.config,
        replay=ReplayConfig(rate=rate, answer_timeout_s=timeout_s),
        geometry=GeometryConfig(enabled=geometry, keyframes=1),
    )  # fmt: skip
    return run_with(request, extractor, open_map(street_map))


def test_image_by_image_the_node_answers_as_the_replay(bag, extractor, street_map, tmp_path):
    summary = run(bag, extractor, street_map, tmp_path, rate=0.0)
    agreed = summary['live_agreement']
    assert (agreed['compared'], agreed['equal'], agreed['differing_stamps']) == (8, 8, [])
    assert agreed['largest_similarity_difference'] < 1e-5
    assert summary['processed'] == 8 and summary['dropped_by_reason'] == {}
    for name in ('false_accepts', 'recall_at_5', 'verdicts', 'loop_closures'):
        assert summary[name] == summary['deterministic'][name]
    live = read_csv(tmp_path / 'predictions_live.csv')
    offline = read_csv(tmp_path / 'predictions.csv')
    assert [p.stamp_ns for p in live] == [p.stamp_ns for p in offline]
    for a, b in zip(live, offline, strict=True):
        assert (a.names, a.global_ranks, a.reject) == (b.names, b.global_ranks, b.reject)
        assert (a.pose is None) == (b.pose is None)
        if a.pose and b.pose:
            assert a.pose == pytest.approx(b.pose, abs=1e-9)
    assert any(p.state == State.LOCALIZED for p in live)


def test_geometry_says_the_same_live_and_replayed(extractor, street, street_map, tmp_path):
    later = [moved(frame) for frame in street[:4]]
    camera = replace(street[0].camera, size=later[0].image.shape[1::-1])
    write_bag(tmp_path / 'bag', [replace(frame, camera=camera) for frame in later])
    assert open_map(street_map).cameras
    summary = run(tmp_path / 'bag', extractor, street_map, tmp_path, rate=0.0, geometry=True)
    agreed = summary['live_agreement']
    assert (agreed['compared'], agreed['equal']) == (4, 4)
    assert summary['latency_ms']['verify']['p50'] > 0
    live = read_csv(tmp_path / 'predictions_live.csv')
    offline = read_csv(tmp_path / 'predictions.csv')
    assert [(p.state, p.reject) for p in live] == [(p.state, p.reject) for p in offline]


def test_too_fast_for_the_node_drops_are_counted_and_the_rest_agrees(
    bag, extractor, street_map, tmp_path
):
    summary = run(bag, extractor, street_map, tmp_path, rate=300.0, timeout_s=5.0)
    assert summary['frames'] == summary['processed'] + sum(summary['dropped_by_reason'].values())
    assert summary['frames'] == 8 and summary['dropped_by_reason']
    agreed = summary['live_agreement']
    assert agreed['equal'] == agreed['compared'] == summary['processed'] >= 1


def test_a_node_without_a_usable_map_is_an_error_with_its_words(bag, extractor, tmp_path):
    configs = {'': NodeConfig(), 'extractor': extractor.config}
    with pytest.raises(SourceError, match=r'not active after.*nowhere'):
        play(BagFrames(bag), tmp_path / 'nowhere', configs, ReplayConfig(start_timeout_s=15.0),
             tmp_path)  # fmt: skip


def test_agreement_names_the_frames_that_differ():
    a = [Prediction(i, State.LOST, place_ids=(1,), names=('',), similarities=(0.5,),
                    global_ranks=(0,), matches=(7,), ranks=(0,)) for i in range(4)]  # fmt: skip
    b = [a[0], replace(a[1], matches=(8,)), replace(a[2], state=State.AMBIGUOUS)]
    result = agreement(a, b)
    assert (result['compared'], result['equal'], result['differing_stamps']) == (3, 1, [1, 2])
