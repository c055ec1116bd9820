# SPDX-License-Identifier: MIT
"""Views of several sessions that show one place: what one says holds for the place."""

from __future__ import annotations

import numpy as np
import pytest

from selavpr_model.config import MapConfig, RecognizerConfig, TemporalConfig
from selavpr_model.decision.belief import Moment, TemporalBelief
from selavpr_model.decision.evidence import other_looks, shared
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.recognizer import believe
from selavpr_model.records import Candidate, Features, ModelIdentity, Place

SECOND = 1_000_000_000
COUNT = 40  # places of a session


def at(x: float, y: float = 0.0, back: bool = False) -> np.ndarray:
    """A camera that looks along x, or against it."""
    T, sign = np.eye(4), -1.0 if back else 1.0
    T[:3, :3] = np.array([[0.0, 0.0, sign], [-sign, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T[:3, 3] = (x, y, 0.0)
    return T


SUMMER = [Place(i, i, session='summer', pose=at(2.0 * i)) for i in range(COUNT)]
WINTER = [Place(COUNT + i, i, session='winter', pose=at(2.0 * i, 0.5)) for i in range(COUNT)]


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def looks(places: list[Place]) -> np.ndarray:
    poses = np.array([place.pose for place in places])
    sessions = np.array([place.session for place in places])
    return other_looks(poses[:, :3, 3], poses[:, :3, 2], sessions, np.unique(sessions), 5.0)


def driven(places: list[Place], seen: list[Place], other: np.ndarray | None) -> list[float]:
    """The mass of the mode while a drive sees these of the places, each far above all others."""
    poses = np.array([place.pose for place in places])
    belief = TemporalBelief(poses, TemporalConfig(), 5.0, 60.0, looks=other)
    rows = {place.id: row for row, place in enumerate(places)}
    masses = []
    for i, mine in enumerate(seen):
        matches = np.random.default_rng(i).normal(60.0, 5.0, len(places)).astype(int)
        matches[rows[mine.id]] = 90
        found = [Candidate(p, r, 0.9, r, int(matches[r])) for r, p in enumerate(places)]
        view = np.eye(8, dtype=np.float32)
        moment = Moment(i * SECOND, at(2.0 * i), view)
        masses.append(belief.update(moment, found).mode.mass)
    return masses


def test_a_look_is_the_nearest_of_each_other_session_seen_the_same_way() -> None:
    turned = Place(100, 0, session='night', pose=at(4.0, back=True))
    far = Place(101, 0, session='night', pose=at(-50.0))
    found = looks([*SUMMER, *WINTER, turned, far])
    names = ['night', 'summer', 'winter']  # the columns
    assert found[3].tolist() == [-1, -1, COUNT + 3]
    assert found[COUNT + 3].tolist() == [-1, 3, -1]
    assert found[-2].tolist() == found[-1].tolist() == [-1] * len(names)


def test_one_session_has_no_other_looks() -> None:
    assert (looks(SUMMER) < 0).all()
    evidence = np.arange(3.0)
    assert shared(evidence, np.empty((3, 0), np.int64)) is evidence


def test_what_one_look_says_holds_for_the_other_and_never_lowers_it() -> None:
    evidence = np.array([-1.0, 2.0, 5.0, 0.5])
    found = shared(evidence.copy(), np.array([[1], [0], [-1]]))  # the last row is a new one
    assert found.tolist() == [2.0, 2.0, 5.0, 0.5]


def test_two_looks_are_believed_in_as_fast_as_one() -> None:
    both, seen = [*SUMMER, *WINTER], [WINTER[10 + i] for i in range(6)]
    alone = driven(WINTER, seen, None)
    parted, together = (driven(both, seen, other) for other in (None, looks(both)))
    assert all(np.less(parted, alone)) and all(np.greater_equal(together, alone))


def test_a_drive_that_is_like_one_look_now_and_like_the_other_then_is_one_drive() -> None:
    both, other = [*SUMMER, *WINTER], looks([*SUMMER, *WINTER])
    mixed = [(SUMMER, WINTER)[i % 2][10 + i] for i in range(6)]
    pure = [WINTER[10 + i] for i in range(6)]
    assert driven(both, mixed, other) == pytest.approx(driven(both, pure, other), abs=0.01)
    assert driven(both, mixed, None)[-1] < driven(both, pure, None)[-1] - 0.005


def test_a_recogniser_knows_the_looks_of_its_map_and_not_those_of_unaligned_sessions() -> None:
    identity = ModelIdentity('f' * 64, 'made up', 16, (3, 4, 8))
    place_map = PlaceMap.empty(identity, MapConfig(local_dtype='exact'))
    for place in (*SUMMER, *WINTER):
        rng = np.random.default_rng(place.id)
        local = rng.standard_normal((3, 4, 8)).astype(np.float32)
        global_ = rng.standard_normal(16).astype(np.float32)
        place_map.add(Features(unit(global_), unit(local)), place)
    found = [Candidate(place_map.places[3], 3, 0.9, 0, 90, confidence=0.9)]
    moment = Moment(0, None, np.eye(8, dtype=np.float32))

    def mass_of_the_other_look() -> float:
        belief = believe(place_map, RecognizerConfig(), TemporalConfig())
        assert belief is not None
        belief.update(moment, found)
        return float(belief.probabilities[COUNT + 3])

    aligned = mass_of_the_other_look()
    place_map.unaligned_sessions = {'winter'}
    assert aligned > 10 * mass_of_the_other_look()
