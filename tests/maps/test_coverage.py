# SPDX-License-Identifier: MIT
"""What `map info` says that a map covers."""

import math

from map_helpers import IDENTITY, some_features
import numpy as np
import pytest

from selavpr_model.config import MapConfig
from selavpr_model.maps.building.coverage import coverage, Gap
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.records import Place


def mapped(**sessions: list[tuple[float, float] | None]) -> PlaceMap:
    """Session -> positions of its keyframes in driving order, which all look east."""
    place_map = PlaceMap.empty(IDENTITY, MapConfig())
    for session, positions in sessions.items():
        for point in positions:
            pose = None if point is None else np.eye(4)
            if pose is not None:
                pose[:2, 3] = point
            number = len(place_map)
            place = Place(number, number * 10**9, session=session, pose=pose)
            place_map.add(some_features(number), place)
    return place_map


def line(length: float, y: float = 0.0, start: float = 0.0) -> list[tuple[float, float]]:
    return [(start + float(x), y) for x in range(round(length) + 1)]


def test_a_street_that_two_sessions_drove_is_one_way_with_two_looks():
    covered = coverage(mapped(summer=line(100), winter=line(40, y=1.0)))
    assert covered.way_m == pytest.approx(100.0)
    near_both = 41 + 4  # the end of winter is near four more of summer
    assert covered.looks == {1: 101 - near_both, 2: near_both + 41}
    assert covered.sessions['winter'] == {
        'places': 41, 'posed': 41, 'aligned': True, 'way_m': 40.0
    }  # fmt: skip
    assert covered.gaps == []


def test_the_area_is_that_of_a_stadium_around_the_way():
    exact = 100.0 * 10.0 + math.pi * 5.0**2
    assert coverage(mapped(summer=line(100))).area_m2 == pytest.approx(exact, rel=0.1)


def test_a_way_that_comes_back_counts_once():
    there, back = line(50), [(50.0 - x, 1.0) for x in range(51)]
    assert coverage(mapped(one=[*there, *back])).way_m == pytest.approx(50.0, abs=11.0)


def test_a_stretch_without_keyframes_is_a_gap_unless_another_session_covers_it():
    broken = [*line(20), *line(20, start=50.0)]
    (gap,) = coverage(mapped(summer=broken)).gaps
    assert gap == Gap(20, 21, 30.0)
    assert coverage(mapped(summer=broken)).way_m == pytest.approx(40.0)
    assert coverage(mapped(summer=broken, winter=line(70, y=2.0))).gaps == []


def test_places_without_poses_and_unaligned_sessions_cover_nothing():
    place_map = mapped(summer=[None, None], winter=line(10))
    place_map.unaligned_sessions = {'winter'}
    covered = coverage(place_map)
    assert (covered.way_m, covered.area_m2, covered.looks, covered.gaps) == (0.0, 0.0, {}, [])
    assert covered.sessions['winter']['aligned'] is False
    assert covered.sessions['summer']['posed'] == 0
