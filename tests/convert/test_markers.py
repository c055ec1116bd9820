# SPDX-License-Identifier: MIT
"""What people see: markers in RViz, the annotated image, and the closure of a fixed map."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import Any

import numpy as np
import pytest
from selavpr.msg import LoopClosure as ClosureMessage
from visualization_msgs.msg import Marker

from selavpr_model.geometry.overlay import MatchOverlay
from selavpr_model.records import (
    Candidate,
    ClosureKind,
    LoopClosure,
    Place,
    Recognition,
    Reject,
    State,
)
from selavpr_ros.convert import closures, debug_image, from_ros, markers, to_ros

BODY = to_ros.Body('map', 'base', np.eye(4))
GREY = np.full((120, 160, 3), 90, np.uint8)


def at(x: float, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = x
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    return T


def outcome(**changed: Any) -> to_ros.Outcome:
    best = Candidate(Place(3, 10**9, session='one', pose=at(5.0, math.pi / 2)), 0, 0.9, 0, 80)
    answer = Recognition(2 * 10**9, State.LOCALIZED, (best,), 'because', at(5.0), np.eye(6))
    return to_ros.Outcome(answer, 1, 'camera', 'id', 1, np.eye(6), **changed)


def with_best(made: to_ros.Outcome, **changed: Any) -> to_ros.Outcome:
    best = replace(made.recognition.candidates[0], **changed)
    return replace(made, recognition=replace(made.recognition, candidates=(best,)))


def closed(kind: ClosureKind, a: float | None, b: float | None) -> LoopClosure:
    before, after = (Place(i, i, pose=None if x is None else at(x)) for i, x in enumerate((a, b)))
    return LoopClosure(kind, before, after, 0.9, 50, 'because')


def test_closures_stay_drawn_verified_ones_green_and_rejected_ones_red() -> None:
    lines = markers.ClosureLines()
    assert lines.add([closed(ClosureKind.VERIFIED, 0.0, 1.0)], 'id')
    two = [closed(ClosureKind.REJECTED, 2.0, 9.0), closed(ClosureKind.VERIFIED, 3, 4)]
    assert lines.add(two, 'id')
    assert not lines.add([closed(ClosureKind.CANDIDATE, 0.0, 1.0)], 'id')
    assert not lines.add([closed(ClosureKind.VERIFIED, None, 1.0)], 'id')
    green, red = lines.markers(5, 'map').markers
    assert (green.ns, red.ns) == ('verified', 'rejected')
    assert [p.x for p in green.points] == [0.0, 1.0, 3.0, 4.0] and green.color.g > green.color.r
    assert [p.x for p in red.points] == [2.0, 9.0] and red.color.r > red.color.g
    assert {m.type for m in (green, red)} == {Marker.LINE_LIST}
    assert all(m.pose.orientation.w == 1.0 for m in (green, red))


def test_closures_go_with_their_map() -> None:
    lines = markers.ClosureLines()
    assert not lines.add([], 'one')
    assert lines.add([closed(ClosureKind.VERIFIED, 0.0, 1.0)], 'one')
    assert lines.add([], 'two'), 'there is something to take away'
    assert {m.action for m in lines.markers(5, 'map').markers} == {Marker.DELETE}
    assert not lines.add([], 'two')
    assert lines.add([closed(ClosureKind.VERIFIED, 7.0, 8.0)], 'two')
    assert [p.x for p in lines.markers(5, 'map').markers[0].points] == [7.0, 8.0]


def test_a_closure_list_without_end_keeps_the_newest() -> None:
    lines = markers.ClosureLines()
    many = [closed(ClosureKind.VERIFIED, i, i + 1) for i in range(markers.KEPT + 5)]
    lines.add(many, 'id')
    green, red = lines.markers(5, 'map').markers
    assert len(green.points) == 2 * markers.KEPT and green.points[0].x == 5.0
    assert red.action == Marker.DELETE


def test_in_slam_the_arrow_is_at_the_last_keyframe_and_stays_between_two() -> None:
    here = Place(4, 0, pose=at(7.0))
    arrow, line = markers.match(outcome(closures=(), keyframe=here), BODY).markers
    assert arrow.ns == 'robot' and arrow.pose.position.x == 7.0
    assert (arrow.action, line.ns, line.action) == (Marker.ADD, 'match', Marker.DELETE)
    assert markers.match(outcome(closures=()), BODY) is None


def test_in_slam_a_keyframe_that_has_no_pose_in_the_map_leaves_no_old_arrow_behind() -> None:
    gone = markers.match(outcome(closures=(), keyframe=Place(4, 0)), BODY).markers
    assert {(m.ns, m.action) for m in gone} == {
        ('robot', Marker.DELETE),
        ('match', Marker.DELETE),
    }


def test_an_accepted_place_closes_a_loop_as_far_as_geometry_has_looked() -> None:
    made = closures.loop_closure(outcome(), BODY)
    assert (made.type, made.pose_type) == (ClosureMessage.CANDIDATE, ClosureMessage.POSE_NONE)
    made = closures.loop_closure(with_best(outcome(), inliers=70), BODY)
    assert (made.type, made.num_inliers) == (ClosureMessage.VERIFIED, 70)
    assert made.pose_type == ClosureMessage.POSE_NONE and math.isnan(made.pose.pose.position.x)


def test_names_that_are_no_text_are_sent_as_far_as_they_are() -> None:
    place = Place(3, 10**9, session='a\udcff', camera_frame='cam\udcff', pose=at(5.0))
    message = closures.loop_closure(with_best(outcome(), place=place), BODY)
    assert message is not None and message.frame_id_from == 'cam?'
    closure = replace(closed(ClosureKind.VERIFIED, 0.0, 1.0), before=place, after=place)
    sent = closures.slam_closure(closure, BODY)
    assert (sent.frame_id_from, sent.frame_id_to, sent.session_to) == ('cam?', 'cam?', 'a?')


def test_a_refined_pose_makes_it_metric_in_the_frame_of_the_place() -> None:
    C = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    looked = with_best(outcome(), inliers=70, pose=at(6.0, math.pi / 2), covariance=C)
    made = closures.loop_closure(looked, BODY)
    assert made.pose_type == ClosureMessage.POSE_METRIC
    p = made.pose.pose.position
    # the place looks along y of the map: x of the map is -y of the place
    np.testing.assert_allclose([p.x, p.y, p.z], [0.0, -1.0, 0.0], atol=1e-12)
    turned = np.diag([2.0, 1.0, 3.0, 5.0, 4.0, 6.0])
    np.testing.assert_allclose(from_ros.pose_covariance(made), turned, atol=1e-12)
    best = to_ros.hypotheses(looked, BODY, 1).hypotheses[0]
    assert best.pose_type == best.POSE_REFINED and best.num_inliers == 70


def joined(fits: np.ndarray | None) -> MatchOverlay:
    return MatchOverlay(np.array([[0, 0], [20, 20], [60, 60]]), (8, 8), (112, 112), fits)


@pytest.mark.parametrize('fits', [None, np.array([True, True, False])])
def test_the_debug_image_joins_what_matches_and_says_what_does_not_fit(
    fits: np.ndarray | None,
) -> None:
    answer = outcome().recognition
    plain = debug_image.draw(GREY, GREY, answer).astype(int)
    drawn = debug_image.draw(GREY, GREY, answer, joined(fits)).astype(int)
    assert drawn.shape == plain.shape
    changed = (drawn - plain)[:240]
    assert (changed[:, :, 1] > 20).sum() > 100  # green lines
    red = (changed[:, :, 0] > 50).sum()
    assert red == 0 if fits is None else red > 50


def test_the_verdict_names_the_place_its_numbers_and_every_reason_and_wraps() -> None:
    best = Candidate(
        Place(3, 0), 0, 0.9, 0, 80, inliers=12, confidence=0.5,
        reject=Reject.GEOMETRY | Reject.TEMPORAL,
    )  # fmt: skip
    text = debug_image.about(best)
    assert text == (
        'place 3: similarity 0.90, 80 matches, 12 inliers, confidence 0.50; GEOMETRY, TEMPORAL'
    )
    short, long = (
        debug_image.draw(GREY, None, Recognition(0, State.AMBIGUOUS, (best,), 'why ' * n))
        for n in (1, 60)
    )
    assert len(long) > len(short) > 240
    assert len(debug_image.draw(GREY, None, Recognition(0, State.LOST, (), 'no place'))) > 240


@pytest.mark.parametrize('width', [60, 160, 640])
def test_no_line_of_the_debug_image_is_cut_off(width: int) -> None:
    best = Candidate(
        Place(3, 0), 0, 0.9, 0, 80, inliers=12, confidence=0.5, reject=Reject.TEMPORAL
    )
    answer = Recognition(0, State.AMBIGUOUS, (best,), 'probability 0.45 at place 3, 0.97 needed')
    drawn = debug_image.draw(np.zeros((240, width, 3), np.uint8), None, answer)
    assert drawn[240:].any() and not drawn[240:, -2:].any()
