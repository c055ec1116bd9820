# SPDX-License-Identifier: MIT
"""Which data is evaluated, what counts as the right place, how a recording is played."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class DatasetConfig(Config):
    """Which part of a data set: the options of `selavpr evaluate`, an entry of `validation:`."""

    path: str = option('', 'folder of a data set')
    split: str = option(
        '', 'split of the data set: train, val or test; with MSLS also the name of a city'
    )
    floors: str = option(
        '', 'values of the floor column of frames.csv, separated by commas; empty: all'
    )
    names: str = option(
        ':', 'range of the numbers in the file names of query/ that are used, such as 400:'
    )
    queries: str = option(':', 'range of the queries by position, such as 330: or :50')
    query_folder: str = option(
        '',
        'folder of the queries: queries_night, for instance, in an @utm@ tree; with Nordland the '
        'season',
    )
    tolerance: float | None = option(
        None,
        'largest distance between a query and a right reference, in m or frames; not given: the '
        "layout's own",
        low=0.0,
        kind=float,
    )
    max_angle_deg: float | None = option(
        None,
        'largest angle between the views of a query and a right reference; not given: the '
        "layout's own",
        unit='deg',
        low=0.0,
        high=180.0,
        kind=float,
    )


@dataclass(frozen=True, slots=True)
class EvaluationConfig(Config):
    """Which reference images count as the place of a query, and how recall is reported."""

    radius_m: float = option(
        25.0,
        'images with positions: largest distance of two images of one place',
        unit='m',
        low=0.0,
    )
    pair_tolerance: int = option(
        0, 'query/ and ref/: largest distance of two images of one place', unit='frames', low=0
    )
    sequence_tolerance: int = option(
        2, 'one video: largest distance of two images of one place', unit='frames', low=0
    )
    lap_radius: float = option(
        12.0,
        'laps of a circuit: largest distance of two images of one place, in the unit of the poses',
        low=0.0,
    )
    heading_deg: float = option(
        60.0,
        'images with poses: largest angle between two views of one place',
        unit='deg',
        low=0.0,
        high=180.0,
    )
    training_radius_m: float = option(
        10.0,
        'training, images with positions: largest distance of two images of one place',
        unit='m',
        low=0.0,
    )
    training_negative_m: float = option(
        25.0,
        'training, images with positions: least distance of images of two places',
        unit='m',
        low=0.0,
    )
    depth: int = option(10, 'least length of the global ranking that is scored', low=10)
    absent: float = option(
        0.0,
        'least share of the queries whose place is removed from the map; recall is then that of '
        'the others, and the confidence is scored, too',
        low=0.0,
        high=0.95,
    )
    absent_seed: int = option(
        0, 'seed for the choice of the queries whose place is removed from the map', low=0
    )
    sequence: bool = option(
        False,
        'decide from the sequence, too: for queries with poses, in the order in which they were '
        'driven',
    )
    bootstrap_samples: int = option(
        2000, 'resamples of the queries for a confidence interval', low=100, high=1000000
    )
    bootstrap_seed: int = option(0, 'seed of the resamples of the queries', low=0)


@dataclass(frozen=True, slots=True)
class ScoreConfig(Config):
    """What counts as the same place when a replay is scored against the true poses."""

    position_m: float = option(
        5.0, 'largest distance from the truth of a right place or pose', unit='m', low=0.0
    )
    heading_deg: float = option(
        45.0,
        'largest angle from the truth of a right place or pose',
        unit='deg',
        low=0.0,
        high=180.0,
    )


@dataclass(frozen=True, slots=True)
class ReplayConfig(Config):
    """How a bag is read and played to the live node."""

    pose_gap_s: float = option(
        0.5,
        'largest time between a frame and the nearest pose sample; beyond it the frame has no '
        'pose',
        unit='s',
        low=0.0,
    )
    rate: float = option(
        1.0,
        'speed of the live replay as a multiple of the recorded speed; 0: each image waits for '
        'the answer to the one before',
        low=0.0,
    )
    answer_timeout_s: float = option(
        10.0,
        'live replay: time after which an image without an answer counts as dropped',
        unit='s',
        low=0.1,
    )
    start_timeout_s: float = option(
        60.0, 'live replay: time that the node has to load model and map', unit='s', low=1.0
    )
