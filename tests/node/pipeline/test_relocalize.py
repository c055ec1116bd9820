# SPDX-License-Identifier: MIT
"""When several images agree, and what it is called when they do not."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
import numpy as np

from selavpr_model.records import Candidate, Place, Recognition, Reject, State, Status
from selavpr_ros.node.pipeline.relocalize import best_alone, Ending, Prior, Relocalization


def answer(alone: State, x: float = 0.0, state: State = State.LOST) -> Recognition:
    """A frame that shows the place at x m; a sequence believes in another one."""
    here, other = np.eye(4), np.eye(4)
    here[0, 3], other[0, 3] = x, 1000.0
    candidates = (
        Candidate(Place(1000, 0, pose=other), 1, 0.8, 1, 50, rank=1, status=Status.ACCEPTED),
        Candidate(Place(round(x), 0, pose=here), 0, 0.9, 0, 90, reject=Reject.TEMPORAL),
    )
    return Recognition(1, state, candidates, '', alone=alone)


def trying(needed: int, radius_m: float, prior: Prior | None = None) -> Relocalization:
    """The camera sits 2 m before the base."""
    T_base_camera = np.eye(4)
    T_base_camera[0, 3] = 2.0
    return Relocalization(needed, radius_m, T_base_camera, prior)


ANSWERS = st.lists(
    st.tuples(st.sampled_from(State), st.integers(0, 20)).map(lambda a: answer(a[0], float(a[1]))),
    max_size=12,
)


@given(ANSWERS, st.integers(1, 4), st.integers(0, 5))
def test_success_needs_that_many_in_a_row_near_each_other(answers, needed, radius):
    attempt = trying(needed, float(radius))
    taken = 0
    while taken < len(answers) and attempt.ending() is not Ending.SUCCESS:
        assert attempt.add(answers[taken]) == (attempt.ending() is Ending.SUCCESS)
        taken += 1
    if attempt.ending() is Ending.SUCCESS:
        last = answers[taken - needed : taken]
        assert len(last) == needed
        places = [best_alone(frame).place.pose[0, 3] for frame in last]
        assert all(abs(a - b) <= radius for a, b in itertools.pairwise(places))


def ending(*answers: Recognition, prior: Prior | None = None) -> Ending:
    attempt = trying(3, 5.0, prior)
    for recognition in answers:
        attempt.add(recognition)
    return attempt.ending()


def test_each_way_to_fail_has_its_name():
    lost, ambiguous, here = answer(State.LOST), answer(State.AMBIGUOUS), answer(State.LOCALIZED)
    there = answer(State.LOCALIZED, 50.0)
    assert ending() is Ending.NO_IMAGES
    assert ending(lost, lost, ambiguous) is Ending.NO_MATCH
    assert ending(ambiguous, ambiguous, lost) is Ending.AMBIGUOUS
    assert ending(here, there, here) is Ending.INCONSISTENT
    assert ending(lost, here, here) is Ending.TIMEOUT
    assert ending(here, here, here) is Ending.SUCCESS


@given(st.sampled_from(State))
def test_what_a_sequence_believes_does_not_matter(state):
    attempt = trying(3, 5.0)
    for _ in range(3):
        attempt.add(answer(State.LOCALIZED, 7.0, state))
    assert attempt.ending() is Ending.SUCCESS
    assert attempt.best.place.id == 7
    assert (attempt.best.status, attempt.best.reject) == (Status.ACCEPTED, Reject.NONE)


def test_a_prior_keeps_what_lies_within_three_sigma_of_the_base():
    prior = Prior(np.array([-2.0, 0.0, 0.0]), np.diag([4.0, 4.0, 0.0]))
    near, far = answer(State.LOCALIZED, 5.9), answer(State.LOCALIZED, 6.1)
    assert ending(near, near, near, prior=prior) is Ending.SUCCESS
    assert ending(far, far, far, prior=prior) is Ending.NO_MATCH


def test_the_best_place_carries_why_it_was_turned_down():
    attempt = trying(3, 5.0, Prior(np.zeros(3), np.eye(3)))
    for frame, why in (
        (answer(State.LOCALIZED, 50.0), Reject.PRIOR),
        (answer(State.AMBIGUOUS), Reject.AMBIGUOUS),
    ):
        attempt.add(frame)
        assert (attempt.best.status, attempt.best.reject) == (Status.REJECTED, why)
    attempt.add(Recognition(1, State.LOST, (), 'the map is empty'))
    assert attempt.best is None and attempt.ending() is Ending.NO_MATCH


def test_places_without_poses_agree_when_they_are_the_same():
    first, other = (
        Recognition(1, State.LOST, (Candidate(Place(i, 0), 0, 1.0, 0),), '', alone=State.LOCALIZED)
        for i in (1, 2)
    )
    assert ending(first, first, first) is Ending.SUCCESS
    assert ending(first, other, first) is Ending.INCONSISTENT
