# SPDX-License-Identifier: MIT
"""Finds where the robot sees itself: cells that match in place between keyframes far apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from selavpr_model.config import MapConfig, RecognizerConfig
from selavpr_model.decision.distinct import Viewpoints, wider
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.maps.robot_mask import MOST_OF_IMAGE, read_mask
from selavpr_model.matching.matcher import mask_at
from selavpr_model.runtime.paths import expanded

PAIRS, LEAST_PAIRS, LEAST_PLACES = 100, 30, 20  # compared; fewer say nothing
OFTEN = 0.3  # share of pairs in which a cell of the robot matches itself
LEAST_CELLS = 0.005  # of the image; what is smaller counts for nothing and is hardly certain
SEED = 0
AUTO, NONE = MapConfig().robot_mask, 'none'


def require_mask(place_map: PlaceMap) -> None:
    """Raises what `mask_of` would, before places are made for nothing."""
    if place_map.config.robot_mask not in (AUTO, NONE):
        mask_of(place_map, RecognizerConfig())


def mask_of(place_map: PlaceMap, config: RecognizerConfig) -> np.ndarray | None:
    """As the map's configuration asks for it. InputError or ConfigError for a mask image."""
    asked = place_map.config.robot_mask
    if asked == AUTO:
        return self_view(place_map, config)
    height, width, _ = place_map.identity.local_shape
    return None if asked == NONE else read_mask(expanded(asked), (height, width))


def self_view(place_map: PlaceMap, config: RecognizerConfig) -> np.ndarray | None:
    """(h, w) bool of the model's local features, True where the robot is.

    None where the robot does not see itself, or too few keyframes are far apart to tell.
    """
    if len(place_map) < LEAST_PLACES:
        return None
    matcher = place_map.store.codec.matcher('consistent')
    in_place = []
    for pair in _pairs(place_map, config):
        first, second = place_map.codes(pair)
        matched, partner = matcher.matched(first, [second])
        in_place.append(_in_place(matched[0], partner[0], matcher.grid))
    if len(in_place) < LEAST_PAIRS:
        return None
    robot = _whole(np.mean(in_place, axis=0).reshape(matcher.grid) >= OFTEN)
    if not LEAST_CELLS <= robot.mean() <= MOST_OF_IMAGE:
        return None
    height, width, _ = place_map.identity.local_shape
    return mask_at(robot, (height, width))


def _pairs(place_map: PlaceMap, config: RecognizerConfig) -> Iterator[tuple[int, int]]:
    """Rows of places that are surely different ones, drawn at random, the same in every run."""
    draw = np.random.default_rng(SEED)
    frames = np.array([place_map.frame_of(place) for place in place_map.places], str)
    seen = Viewpoints.of(place_map.places)
    for row in draw.integers(len(place_map), size=PAIRS):
        others = np.flatnonzero(
            seen.from_one(seen.at(row), wider(config)) & (frames == frames[row])
        )
        if len(others):
            yield int(row), int(draw.choice(others))


def _in_place(matched: np.ndarray, partner: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(N,) bool: matched with the same cell of the other image, or one beside it."""
    here, there = (np.divmod(cells, grid[1]) for cells in (np.arange(len(partner)), partner))
    near = [np.abs(a - b) <= 1 for a, b in zip(here, there, strict=True)]
    return matched & near[0] & near[1]


def _whole(robot: np.ndarray) -> np.ndarray:
    """Without single cells, without holes, and with its rim, which shows half of the robot."""
    solid = ndimage.binary_opening(np.pad(robot, 1, 'edge'), np.ones((2, 2)))[1:-1, 1:-1]
    return ndimage.binary_dilation(ndimage.binary_fill_holes(solid))
