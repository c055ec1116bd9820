# SPDX-License-Identifier: MIT
import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.config import ScoreConfig
from selavpr_model.errors import InputError, SourceError
from selavpr_model.evaluation.metrics import recall_of_hits
from selavpr_model.evaluation.predictions import from_recognition, Prediction, read_csv, write_csv
from selavpr_model.evaluation.scoring import (
    count_closures,
    first_rights,
    Judge,
    latency_ms,
    ORDERS,
    summarise,
)
from selavpr_model.poses import inverse, pose_matrix, PoseTrack, position_quaternion
from selavpr_model.records import Candidate, Place, Recognition, Reject, State

text = st.text(st.characters(exclude_categories=['Cs']), max_size=20)
number = st.floats(allow_nan=False, allow_infinity=False)
candidate = st.tuples(
    st.integers(0, 2**63),
    text,
    number,
    st.integers(0, 999),
    st.integers(0, 10**6),
    st.integers(0, 999),
)


@st.composite
def predictions(draw):
    rows = draw(st.lists(candidate, max_size=4))
    columns = list(zip(*rows, strict=True)) or [()] * 6
    return Prediction(
        draw(st.integers(-(2**63), 2**63)),
        draw(st.sampled_from(State)),
        draw(text),
        draw(st.sampled_from([Reject.NONE, Reject.LOW_LOCAL | Reject.PRIOR])),
        draw(st.none() | st.floats(0, 1)),
        *columns,
        pose=draw(st.none() | st.tuples(*[number] * 7)),
    )


@given(st.lists(predictions(), max_size=5))
def test_csv_gives_back_the_very_same_predictions(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp('csv') / 'predictions.csv'
    write_csv(path, rows)
    assert read_csv(path) == rows
    first = path.read_bytes()
    write_csv(path, read_csv(path))
    assert path.read_bytes() == first


def test_damaged_csv_is_named_with_its_line(tmp_path):
    path = tmp_path / 'p.csv'
    write_csv(path, [Prediction(1, State.LOST), Prediction(2, State.LOST)])
    path.write_text(path.read_text().replace('2,LOST', '2,NOWHERE'))
    with pytest.raises(SourceError, match=r'p\.csv, line 3.*NOWHERE'):
        read_csv(path)
    path.write_text('stamp,state\n')
    with pytest.raises(SourceError, match='expected columns stamp_ns'):
        read_csv(path)


def test_lists_of_different_length_are_refused():
    with pytest.raises(InputError, match='expected 1 of each list'):
        Prediction(0, State.LOST, place_ids=(1,))


def test_prediction_holds_the_base_pose_of_the_recognised_camera():
    base_camera = pose_matrix((0.5, 0.0, 1.0), (-0.5, 0.5, -0.5, 0.5))
    base = pose_matrix((10.0, 20.0, 0.0), (0.0, 0.0, 0.6, 0.8))
    found = Candidate(Place(7, 0, 'gate'), 3, 0.9, 1, 42)
    answer = Recognition(5, State.LOCALIZED, (found,), 'fits', base @ base_camera)
    row = from_recognition(answer, base_camera)
    assert np.allclose(row.pose, (10, 20, 0, 0, 0, 0.6, 0.8))
    assert (row.place_ids, row.matches, row.confidence) == ((7,), (42,), None)
    assert row.similarities == (0.9,)


vector = st.tuples(*[st.floats(-1e3, 1e3)] * 3)
quaternion = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(vector, quaternion)
def test_poses_survive_quaternions_and_inversion(xyz, q):
    T = pose_matrix(xyz, q)
    numbers = position_quaternion(T)
    assert np.allclose(pose_matrix(numbers[:3], numbers[3:]), T)
    assert np.allclose(T @ inverse(T), np.eye(4), atol=1e-9)


def test_poses_are_interpolated_and_end_half_a_second_away():
    turned = pose_matrix((2.0, 0.0, 0.0), (0, 0, math.sin(0.4), math.cos(0.4)))
    track = PoseTrack([1000, 0], [turned, np.eye(4)])
    half = track.at(500, max_gap_ns=500)
    assert np.allclose(half, pose_matrix((1, 0, 0), (0, 0, math.sin(0.2), math.cos(0.2))))
    assert np.array_equal(track.at(1400, 500), turned)
    assert track.at(1501, 500) is None
    assert PoseTrack([], []).at(0, 10**9) is None


def straight_map(count=10, step=10.0):
    places = [
        Place(100 + i, 0, pose=pose_matrix((step * i, 0, 0), (0, 0, 0, 1))) for i in range(count)
    ]
    return Judge(places, np.eye(4), ScoreConfig(position_m=5.0, heading_deg=45.0))


def at(x, yaw=0.0):
    return pose_matrix((x, 0, 0), (0, 0, math.sin(yaw / 2), math.cos(yaw / 2)))


def row(stamp, ids, ranks=None, pose=None, state=State.LOST):
    n = len(ids)
    ranks = tuple(range(n)) if ranks is None else ranks
    pose = None if pose is None else position_quaternion(pose)
    state = state if pose is None else State.LOCALIZED
    return Prediction(
        stamp, state, place_ids=ids, names=('',) * n, similarities=(0.5,) * n,
        global_ranks=ranks, matches=tuple(range(90, 90 - n, -1)), ranks=tuple(range(n)),
        pose=pose,
    )  # fmt: skip


def test_inside_the_map_means_a_place_near_enough_and_facing_the_same_way():
    judge = straight_map()
    ids = (100, 101)
    for truth, inside in [(at(4.9), 1), (at(0, 0.7), 1), (at(0, 0.9), 0), (at(95.1), 0)]:
        assert judge.score(row(0, ids), truth).in_map == bool(inside)


def test_summary_counts_every_kind_of_answer():
    judge = straight_map()
    cases = [
        (row(1, (101, 100), (1, 0), pose=at(11)), at(11)),  # right; globally only second
        (row(2, (105, 101), (0, 1), pose=at(50)), at(11)),  # a place far away: false accept
        (row(3, (109,), pose=at(92)), at(120)),  # localized outside the map: false accept
        (row(4, (109,)), at(120)),  # lost outside, as it should
        (row(5, (109,), state=State.AMBIGUOUS), at(120)),
        (row(6, (100, 103), state=State.AMBIGUOUS), at(30)),
        (row(7, (101,), pose=at(11)), None),
    ]
    scores = [judge.score(p, truth) for p, truth in cases]
    summary = summarise(scores, {'no answer': 2})
    assert (summary['frames'], summary['processed']) == (9, 7)
    assert (summary['in_map_frames'], summary['outside_map_frames']) == (3, 3)
    assert summary['false_accept_stamps'] == [2, 3]
    assert summary['lost_outside_map_fraction'] == pytest.approx(1 / 3, abs=1e-4)
    assert summary['localized_fraction_in_map'] == pytest.approx(2 / 3, abs=1e-4)
    assert summary['recall_at_1'] == pytest.approx(33.33)
    assert summary['recall_at_5'] == 100.0
    assert summary['global']['recall_at_1'] == 0.0
    verdicts = {'right': 1, 'wrong': 2, 'ambiguous': 1, 'lost': 0, 'outside': 2, 'unknown': 1}
    assert summary['verdicts'] == verdicts


@given(st.lists(st.permutations([100, 101, 102, 103, 104]), min_size=1, max_size=6))
def test_recall_never_falls_and_orders_agree_at_the_end(orders):
    judge = straight_map()
    ranks = [tuple(sorted(range(5), key=lambda i: order[i])) for order in orders]
    scores = [
        judge.score(row(i, tuple(order), r), at(20))
        for i, (order, r) in enumerate(zip(orders, ranks, strict=True))
    ]
    curves = [recall_of_hits(first_rights(scores, order), range(1, 6)) for order in ORDERS]
    for curve in curves:
        assert list(curve.values()) == sorted(curve.values())
        assert curve[5] == 100.0
    assert curves[2][1] == 100.0 * np.mean([order[0] == 102 for order in orders])


def test_the_sequence_may_reorder_an_answer_but_not_the_recall_of_re_ranking():
    judge = straight_map()
    reordered = dataclasses.replace(row(0, (102, 100), (1, 0)), ranks=(1, 0))
    scores = [judge.score(reordered, at(20))]  # 102 is right, and first only in the answer
    first = {order: int(first_rights(scores, order)[0]) for order in ORDERS}
    assert first == {'global': 1, 'reranked': 1, 'answer': 0}


def test_a_localized_answer_without_a_pose_is_judged_by_its_place():
    judge = straight_map()
    right, wrong = (dataclasses.replace(row(1, (i,)), state=State.LOCALIZED) for i in (101, 107))
    assert judge.score(right, at(11)).verdict == 'right'
    assert judge.score(wrong, at(11)).verdict == 'wrong'


def test_a_place_of_another_map_is_refused():
    with pytest.raises(InputError, match='place 999 is not in the map'):
        straight_map().score(row(0, (999,)), at(0))


def test_closures_are_judged_by_the_true_pose_of_their_frame():
    truth = {1: at(11), 2: at(11), 3: None}
    counts = count_closures([(1, 101), (2, 105), (3, 101)], truth, straight_map())
    assert counts == {'published': 3, 'correct': 1, 'wrong': 1, 'unknown': 1}


def test_latency_is_in_milliseconds_with_the_total_last():
    latency = latency_ms([{'forward': 2_000_000, 'rerank': 1_000_000}] * 3)
    assert latency == {
        'forward': {'p50': 2.0, 'p95': 2.0},
        'rerank': {'p50': 1.0, 'p95': 1.0},
        'total': {'p50': 3.0, 'p95': 3.0},
    }
