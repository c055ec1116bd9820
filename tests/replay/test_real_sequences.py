# SPDX-License-Identifier: MIT
"""Real image sequences as bags: a map of every other frame, the others through the live node."""

from dataclasses import replace

import pytest

from selavpr_model.config import KeyframeConfig, ReplayConfig, ScoreConfig, TemporalConfig
from selavpr_model.data.image_folder import ImageFolder
from selavpr_model.evaluation.predictions import read_csv, write_csv
from selavpr_model.maps.building.builder import build_map
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_ros.bags.reader import BagFrames
from selavpr_ros.bags.writer import write_bag
from selavpr_ros.replay.live import play
from selavpr_ros.replay.offline import answer, run_with
from selavpr_ros.replay.request import Request

SEQUENCES = {
    # name: (frames used, encoding, what is the same place)
    'campus_gray': (slice(0, 48, 2), 'mono8', ScoreConfig(position_m=7.0)),
    'sevenscenes_redkitchen': (
        slice(0, 240, 10), 'jpeg', ScoreConfig(position_m=0.75, heading_deg=45.0),
    ),
}  # fmt: skip
EVERY_FRAME = KeyframeConfig(distance_m=0.0, angle_deg=0.0, time_s=0.0)
LOCK_STEP = ReplayConfig(rate=0.0, answer_timeout_s=30.0)
SECOND = 10**9


@pytest.fixture(scope='module', params=SEQUENCES)
def drive(request, shared_data, extractor, tmp_path_factory):
    """(bag, map, folder with the results, summary) of one sequence, replayed and played live."""
    chosen, encoding, score = SEQUENCES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    images = ImageFolder(shared_data(request.param))
    numbers = range(len(images))[chosen]
    frames = [replace(images[n], stamp_ns=(i + 1) * SECOND) for i, n in enumerate(numbers)]
    write_bag(folder / 'mapped', frames[::2], encoding)
    write_bag(folder / 'driven', frames[1::2], encoding)
    mapped = BagFrames(folder / 'mapped')
    place_map = build_map(mapped, extractor, folder / 'map', keyframes=EVERY_FRAME, progress=False)
    asked = Request(
        folder / 'driven', folder / 'map', folder / 'out', '/ground_truth/pose', play=play,
        score=score, extractor=extractor.config, replay=LOCK_STEP,
    )  # fmt: skip
    return asked.source, place_map, asked.out, run_with(asked, extractor, place_map)


def test_the_live_node_finds_the_neighbours_of_every_frame(drive):
    bag, _, out, summary = drive
    rows = read_csv(out / 'predictions_live.csv')
    assert [row.stamp_ns for row in rows] == list(BagFrames(bag).truth())
    assert (len(rows), summary['dropped_by_reason']) == (12, {})
    # frame 2i + 1 lies between the places i and i + 1
    near = [abs(row.place_ids[0] - i - 0.5) < 2 for i, row in enumerate(rows)]
    assert sum(near) >= 10
    assert summary['recall_at_5'] >= 90.0


def test_the_live_node_says_what_the_replay_says(drive):
    agreed = drive[3]['live_agreement']
    assert (agreed['equal'], agreed['compared'], agreed['differing_stamps']) == (12, 12, [])


def test_reading_the_bag_again_gives_the_same_bytes(drive, extractor, tmp_path):
    bag, place_map, out, _ = drive
    again = answer(
        BagFrames(bag), PlaceRecognizer(extractor, place_map, temporal=TemporalConfig())
    )
    write_csv(tmp_path / 'again.csv', again.predictions)
    assert (tmp_path / 'again.csv').read_bytes() == (out / 'predictions.csv').read_bytes()
