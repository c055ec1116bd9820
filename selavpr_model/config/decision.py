# SPDX-License-Identifier: MIT
"""Which place it is, from one frame and from a sequence."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class RecognizerConfig(Config):
    """Retrieval, re-ranking and the decision."""

    candidates: int = option(
        100, 'number of places that are retrieved and re-ranked for each frame', low=1, high=1000
    )
    score: str = option(
        'consistent',
        'which matches count: consistent takes mutual ones whose neighbours moved alike, mutual '
        'takes all mutual ones, as the paper does',
        choices=('consistent', 'mutual'),
    )
    ties: str = option(
        'global',
        'order of candidates with equal match counts: global keeps the retrieval order, official '
        'reverses it',
        choices=('global', 'official'),
    )
    distinct_radius_m: float = option(
        5.0,
        'distance from which on two keyframes show different places',
        unit='m',
        low=0.0,
    )
    distinct_angle_deg: float = option(
        60.0,
        'angle between the viewing directions from which on two keyframes show different places',
        unit='deg',
        low=0.0,
        high=180.0,
    )
    distinct_time_s: float = option(
        5.0,
        'time between two keyframes without a pose from which on they show different places',
        unit='s',
        low=0.0,
    )
    min_precision: float = option(
        0.99,
        'least probability that an accepted place is right, in a frame that is judged alone',
        low=0.0,
        high=1.0,
    )
    min_similarity: float | None = option(
        None,
        'least cosine of an accepted place, in a frame that is judged alone; null: as the map '
        'measured it',
        low=-1.0,
        high=1.0,
        kind=float,
    )
    min_matches: int | None = option(
        None,
        'least matches of an accepted place, in a frame that is judged alone; null: as the map '
        'measured it',
        low=0,
        kind=int,
    )
    min_match_ratio: float | None = option(
        None,
        'least matches of an accepted place over those of its best distinct rival, in a frame '
        'that is judged alone; null: as the map measured it',
        low=0.0,
        kind=float,
    )


@dataclass(frozen=True, slots=True)
class TemporalConfig(Config):
    """Belief over places from a sequence of frames; see selavpr_model.decision.belief."""

    enabled: bool = option(
        True, 'whether the sequence of frames decides; false: each frame is judged alone'
    )
    min_belief: float = option(
        0.97,
        'least probability of the place of a sequence that makes the robot LOCALIZED',
        low=0.5,
        high=1.0,
    )
    neutral_confidence: float = option(
        0.15,
        'confidence of a candidate that speaks neither for nor against its place',
        low=0.001,
        high=0.999,
    )
    neutral_deviations: float = option(
        1.5,
        'standard deviations above the rivals at which the root of the matches speaks neither for '
        'nor against a place; used in SLAM and in maps that were not calibrated',
        low=0.0,
    )
    evidence_per_deviation: float = option(
        1.0,
        'log-likelihood that a place gains by each standard deviation of its matches; used in '
        'SLAM and in maps that were not calibrated',
        unit='nat',
        low=0.0,
    )
    max_evidence: float = option(
        3.0,
        'largest log-likelihood that one frame gives for or against a place',
        unit='nat',
        low=0.0,
    )
    missed_evidence: float = option(
        -1.5,
        'log-likelihood of a place that is not among the candidates of a frame',
        unit='nat',
        high=0.0,
    )
    enter_probability: float = option(
        0.05,
        'probability that the robot enters the map between two frames that count',
        low=0.0,
        high=1.0,
    )
    leave_probability: float = option(
        0.01,
        'probability that the robot leaves the map between two frames that count',
        low=0.0,
        high=1.0,
    )
    motion_sigma_m: float = option(
        0.5,
        'standard deviation of a motion; half the spacing of the places is added',
        unit='m',
        low=0.01,
    )
    motion_sigma_ratio: float = option(
        0.1, 'standard deviation that each travelled metre adds to a motion, m', low=0.0
    )
    turn_sigma_deg: float = option(
        20.0,
        'standard deviation of the viewing direction after a motion',
        unit='deg',
        low=1.0,
        high=180.0,
    )
    independent_m: float = option(
        1.0,
        'distance that the camera moves until a frame counts as new evidence',
        unit='m',
        low=0.001,
    )
    independent_deg: float = option(
        20.0,
        'angle that the camera turns until a frame counts as new evidence',
        unit='deg',
        low=0.1,
        high=180.0,
    )
    independent_view: float = option(
        0.3,
        'share of the view that changes until a frame without odometry counts as new evidence',
        low=0.0,
        high=1.0,
    )
    speed_mps: float = option(
        1.0, 'speed of the robot that is assumed where there is no odometry', unit='m/s', low=0.0
    )
