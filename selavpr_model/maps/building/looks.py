# SPDX-License-Identifier: MIT
"""The looks that places have: keyframes of several sessions that show one place."""

from __future__ import annotations

import math

import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.decision.evidence import other_looks
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.matching.matcher import Matcher
from selavpr_model.poses import rotation_angles

SAMPLES = 100  # keyframes that say how many matches are usual
FAR_M = 1e7  # between frames of poses that have nothing in common


def looks_in(place_map: PlaceMap, radius_m: float) -> np.ndarray:
    """(N, S) other_looks of the places of a map, a column for each session in the order of names.

    A place without a pose has none.
    """
    places, poses = place_map.places, place_map.poses
    sessions = np.array([place.session for place in places], str)
    frames = np.array([place_map.frame_of(place) for place in places], str)
    apart_m = FAR_M * np.unique(frames, return_inverse=True)[1]
    posed = np.flatnonzero(np.isfinite(poses[:, 0, 0]))
    found = np.full((len(places), len(np.unique(sessions))), -1, np.int64)
    if len(posed) == 0 or found.shape[1] < 2:
        return found[:, :0]
    points = np.column_stack([poses[posed, :3, 3], apart_m[posed]])
    names = np.unique(sessions)
    near = other_looks(points, poses[posed, :3, 2], sessions[posed], names, radius_m)
    found[posed] = np.where(near < 0, -1, posed[near])
    return found


def looks_of(place_map: PlaceMap, pose: np.ndarray, config: RecognizerConfig) -> np.ndarray:
    """(n,) int64 rows of the keyframes that show the place of (4, 4) T_map_camera.

    Those without a pose in the frame of the map are none: where they were seen is not known.
    """
    if not len(place_map):
        return np.empty(0, np.int64)
    away = np.linalg.norm(place_map.positions - pose[:3, 3], axis=1)  # NaN is not near
    rows = np.flatnonzero(away <= config.distinct_radius_m)
    angles = rotation_angles(place_map.poses[rows, :3, :3], pose[:3, :3])
    return rows[angles <= math.radians(config.distinct_angle_deg)]


def most_matches(place_map: PlaceMap, rows: np.ndarray, view: np.ndarray, by: Matcher) -> int:
    """The most matches of a view (PlaceMap.code) with one of these rows; 0 without rows."""
    return int(by.count(view, place_map.codes(rows)).max()) if len(rows) else 0


def usual_matches(place_map: PlaceMap, by: Matcher, config: RecognizerConfig) -> float:
    """The median of the matches of a keyframe with the best other look of its place and session.

    0 where no place has two.
    """
    posed = np.flatnonzero(np.isfinite(place_map.positions).all(axis=1))
    some = posed[np.unique(np.linspace(0, len(posed) - 1, min(len(posed), SAMPLES)).astype(int))]
    counts = []
    for row in some.tolist():
        place = place_map.places[row]
        assert place.pose is not None  # its position is finite
        rows = looks_of(place_map, place.pose, config)
        own = [r for r in rows.tolist() if r != row and _same_session(place_map, r, row)]
        if own:
            view = place_map.codes([row])[0]
            counts.append(most_matches(place_map, np.array(own), view, by))
    return float(np.median(counts)) if counts else 0.0


def _same_session(place_map: PlaceMap, a: int, b: int) -> bool:
    return place_map.places[a].session == place_map.places[b].session
