# SPDX-License-Identifier: MIT
"""When several images agree, and what it is called when they do not."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
import numpy as np

from selavpr_model.records import Candidate, Place, Recognition, State
from selavpr_ros.relocalize import Ending, Prior, Relocalization


def answer(state: State, x: float = 0.0) -> tuple[Recognition, np.ndarray | None]:
    pose = np.eye(4)
    pose[0, 3] = x
    place = Candidate(Place(round(x), 0, pose=pose), 0, 0.9, 0)
    if state is not State.LOCALIZED:
        return Recognition(1, state, (place,), ''), None
    return Recognition(1, state, (place,), '', pose, np.eye(6)), pose


ANSWERS = st.lists(
    st.tuples(st.sampled_from(State), st.integers(0, 20)).map(lambda a: answer(a[0], float(a[1]))),
    max_size=12,
)


@given(ANSWERS, st.integers(1, 4), st.integers(0, 5))
def test_success_needs_that_many_in_a_row_near_each_other(answers, needed, radius):
    attempt = Relocalization(needed, float(radius))
    taken = 0
    while taken < len(answers) and attempt.ending() is not Ending.SUCCESS:
        assert attempt.add(*answers[taken]) == (attempt.ending() is Ending.SUCCESS)
        taken += 1
    if attempt.ending() is Ending.SUCCESS:
        last = answers[taken - needed : taken]
        assert len(last) == needed
        places = [pose[0, 3] for _, pose in last]
        assert all(abs(a - b) <= radius for a, b in itertools.pairwise(places))


def ending(*answers: tuple[Recognition, np.ndarray | None], prior: Prior | None = None) -> Ending:
    attempt = Relocalization(3, 5.0, prior)
    for recognition, pose in answers:
        attempt.add(recognition, pose)
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


def test_a_prior_keeps_what_lies_within_three_sigma():
    prior = Prior(np.zeros(3), np.diag([4.0, 4.0, 0.0]))
    near, far = answer(State.LOCALIZED, 5.9), answer(State.LOCALIZED, 6.1)
    assert ending(near, near, near, prior=prior) is Ending.SUCCESS
    assert ending(far, far, far, prior=prior) is Ending.NO_MATCH


def test_places_without_poses_agree_when_they_are_the_same():
    first, other = (Recognition(1, State.LOCALIZED, (Candidate(Place(i, 0), 0, 1.0, 0),), '')
                    for i in (1, 2))  # fmt: skip
    assert ending((first, None), (first, None), (first, None)) is Ending.SUCCESS
    assert ending((first, None), (other, None), (first, None)) is Ending.INCONSISTENT
