# SPDX-License-Identifier: MIT
"""What counts as the right place, and how a recording is played."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class EvaluationConfig(Config):
    """Which reference images count as the place of a query, and how recall is reported."""

    radius_m: float = option(
        25.0, 'two images with positions show one place up to this far', unit='m', low=0.0
    )
    pair_tolerance: int = option(0, 'query/ and ref/: up to this far', unit='frames', low=0)
    sequence_tolerance: int = option(
        2, 'images of one video: up to this far', unit='frames', low=0
    )
    lap_radius: float = option(
        12.0, 'laps of a circuit: up to this far, in the unit of its poses', low=0.0
    )
    heading_deg: float = option(
        60.0, 'images with poses: looking up to this far apart', unit='deg', low=0.0, high=180.0
    )
    training_radius_m: float = option(
        10.0, 'for training: two images with positions show one place', unit='m', low=0.0
    )
    training_negative_m: float = option(
        25.0, 'for training: images further apart than this certainly do not', unit='m', low=0.0
    )
    depth: int = option(10, 'length of the global ranking that is scored at least', low=10)
    absent: float = option(
        0.0,
        'least share of the queries whose place is taken from the map: recall is of the others, '
        'and the confidence is scored, too',
        low=0.0,
        high=0.95,
    )
    absent_seed: int = option(0, 'seed of that choice', low=0)
    sequence: bool = option(
        False, 'queries with poses, in the order they were driven: also decide with time'
    )
    bootstrap_samples: int = option(
        2000, 'resamples of the queries for an interval', low=100, high=1000000
    )
    bootstrap_seed: int = option(0, 'seed of the resampling', low=0)


@dataclass(frozen=True, slots=True)
class ScoreConfig(Config):
    """What counts as the same place when a replay is scored against the true poses."""

    position_m: float = option(
        5.0, 'places and poses further than this from the truth are wrong', unit='m', low=0.0
    )
    heading_deg: float = option(
        45.0, 'places and poses turned more than this are wrong', unit='deg', low=0.0, high=180.0
    )


@dataclass(frozen=True, slots=True)
class ReplayConfig(Config):
    """How a bag is read and played to the live node."""

    pose_gap_s: float = option(
        0.5, 'a frame further than this from every pose sample has no pose', unit='s', low=0.0
    )
    rate: float = option(
        1.0, 'live speed over the recorded one; 0: the next image after each answer', low=0.0
    )
    answer_timeout_s: float = option(
        10.0, 'live: an image not answered for this long is dropped', unit='s', low=0.1
    )
    start_timeout_s: float = option(
        60.0, 'live: the node is given this long to load model and map', unit='s', low=1.0
    )
