# SPDX-License-Identifier: MIT
"""Places that a loop closure joins are one place, wherever drifting odometry put them."""

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.ranking import Ranked
from selavpr_model.records import Candidate, Place

CONFIG = RecognizerConfig()


def candidates(*places):
    """Of rows 10, 11, ...: (x in m, session) each."""
    made = []
    for row, (x, session) in enumerate(places, 10):
        pose = np.eye(4)
        pose[0, 3] = x
        made.append(Candidate(Place(row, row, session=session, pose=pose), row, 0.5, 0, 100))
    return made


def rivals(row, joined, *places, frames=None):
    ranked = Ranked.of(candidates(*places), CONFIG, frames=frames, joined=joined)
    return [c.row for c in ranked.rivals(row)]


STREET = (0.0, 'a'), (1.0, 'a'), (29.0, 'a'), (30.0, 'a'), (90.0, 'a')


def test_without_a_closure_places_that_lie_apart_are_rivals():
    assert rivals(10, {}, *STREET) == [12, 13, 14]


def test_what_a_closure_joins_is_no_rival_nor_is_what_lies_beside_it():
    joined = {10: {13}, 13: {10}}
    assert rivals(10, joined, *STREET) == rivals(11, joined, *STREET) == [14]
    assert rivals(12, joined, *STREET) == rivals(13, joined, *STREET) == [14]
    assert rivals(14, joined, *STREET) == [10, 11, 12, 13]


def test_a_closure_with_a_row_that_is_no_candidate_says_nothing():
    assert rivals(10, {10: {99}, 99: {10}}, *STREET) == [12, 13, 14]


def test_a_closure_joins_places_of_frames_that_have_nothing_in_common():
    two = (0.0, 'a'), (0.5, 'b'), (70.0, 'b')
    assert rivals(10, {}, *two, frames=['', 'b', 'b']) == [11, 12]
    assert rivals(10, {10: {11}, 11: {10}}, *two, frames=['', 'b', 'b']) == [12]
