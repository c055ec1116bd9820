# SPDX-License-Identifier: MIT
"""Recognitions become messages."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from selavpr_model.records import Candidate, Place, Recognition, State
from selavpr_ros.convert import closures, from_ros, to_ros

BODY = to_ros.Body('map', 'base', np.eye(4))


def recognised(covariance: np.ndarray, state: State = State.LOCALIZED) -> to_ros.Outcome:
    place = Place(3, 10**9, pose=np.eye(4), session='one')
    best = Candidate(place, 0, 0.5, 0, mutual_matches=9)
    given_pose = (np.eye(4), covariance) if state is State.LOCALIZED else (None, None)
    answer = Recognition(2 * 10**9, state, (best,), 'because', *given_pose)
    return to_ros.Outcome(answer, 1, 'camera', 'id', 1, np.eye(6))


@given(arm=st.tuples(*[st.floats(-5, 5)] * 3), scale=st.floats(0, 3))
def test_the_covariance_moves_from_the_camera_to_the_base(arm: Any, scale: float):
    T_base_camera = np.eye(4)
    T_base_camera[:3, 3] = arm
    body = to_ros.Body('map', 'base', T_base_camera)
    covariance = np.diag([0.0, 0, 0, scale, scale, scale])
    found = to_ros.robot_pose(recognised(covariance).recognition, body)
    got = from_ros.pose_covariance(found)
    np.testing.assert_allclose(found.pose.pose.position.x, -arm[0])
    # Turning by r moves a point at -arm by r x -arm.
    x, y, _ = arm
    np.testing.assert_allclose(got[2, 2], max(scale * (x * x + y * y), 1e-6), atol=1e-9)
    assert (np.diag(got) > 0).all() and np.allclose(got, got.T)
    r = np.array([0.1, -0.2, 0.3])
    np.testing.assert_allclose(got[:3, 3:] @ r, scale * np.cross(r, -np.array(arm)), atol=1e-9)


def test_no_pose_and_no_closure_while_lost_or_ambiguous():
    for state in (State.LOST, State.AMBIGUOUS):
        outcome = recognised(np.eye(6), state)
        assert to_ros.robot_pose(outcome.recognition, BODY) is None
        assert closures.loop_closure(outcome, BODY) is None
        assert to_ros.hypotheses(outcome, BODY, 5).state == state
        assert len(to_ros.hypotheses(outcome, BODY, 5).hypotheses) == 1


def test_hypotheses_are_published_even_when_there_are_none():
    empty = Recognition(5, State.LOST, (), 'the map is empty')
    outcome = to_ros.Outcome(empty, 1, 'camera', 'id', 1, np.eye(6))
    made = to_ros.hypotheses(outcome, BODY, 5)
    assert made.state == made.LOST and len(made.hypotheses) == 0


def test_a_place_without_a_pose_gets_nan_and_says_so():
    candidate = Candidate(Place(1, 0), 0, 0.5, 0)
    made = to_ros.hypothesis(0, candidate, BODY, np.eye(6))
    assert made.pose_type == made.POSE_NONE
    assert np.isnan(made.pose.pose.position.x) and np.isnan(made.pose.covariance).all()


@pytest.mark.parametrize('confidence', [None, 0.25])
def test_a_confidence_that_is_not_known_is_nan_in_a_message(confidence: float | None):
    candidate = Candidate(Place(1, 0), 0, 0.5, 0, confidence=confidence)
    message = to_ros.hypothesis(0, candidate, BODY, np.eye(6))
    assert np.isnan(message.confidence) if confidence is None else message.confidence == 0.25


def test_a_name_that_is_no_unicode_is_sent_with_a_question_mark() -> None:
    """Names of files may hold any bytes; rclpy raised, and the frame was lost."""
    assert to_ros.text('photo \udcff.jpg') == 'photo ?.jpg'
    assert to_ros.text('a\0b') == 'a?b' and to_ros.text('straße') == 'straße'
