# SPDX-License-Identifier: MIT
"""A belief that learns its places one by one, as in SLAM mode."""

from __future__ import annotations

import numpy as np

from selavpr_model.config import TemporalConfig
from selavpr_model.decision.belief import Moment, TemporalBelief
from selavpr_model.records import Candidate, Place

SECOND = 1_000_000_000
COUNT = 60


def at(x: float) -> np.ndarray:
    """A camera at x that looks along x."""
    T = np.eye(4)
    T[:3, :3] = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T[0, 3] = x
    return T


def driven(belief: TemporalBelief) -> list[np.ndarray]:
    """The probabilities after each frame of a drive from the tenth place on."""
    belief.reset()
    after = []
    for i in range(6):
        matches = np.random.default_rng(i).normal(60.0, 5.0, COUNT).astype(int)
        matches[10 + i] = 90
        found = [Candidate(Place(r, r), r, 0.9, r, int(n)) for r, n in enumerate(matches)]
        moment = Moment(i * SECOND, at(2.0 * i), np.eye(8, dtype=np.float32))
        belief.update(moment, found)
        after.append(belief.probabilities)
    return after


def test_a_belief_that_grew_place_by_place_believes_as_one_that_knew_all() -> None:
    poses = np.array([at(2.0 * i) for i in range(COUNT)])
    grown = TemporalBelief(np.empty((0, 4, 4)), TemporalConfig(), 5.0, 60.0)
    for pose in poses:
        grown.grow(pose[None])
    at_once = TemporalBelief(poses, TemporalConfig(), 5.0, 60.0)
    np.testing.assert_allclose(driven(grown), driven(at_once), atol=1e-12)
    assert driven(grown)[-1].argmax() == 15
