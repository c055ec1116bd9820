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
    similarity_weight: float = option(
        0.0,
        'how much the similarity of the global features counts beside the matches when candidates '
        'are ordered (formula in docs/how_it_works.md); 0: matches alone decide, as in the paper; '
        '1.25: the value that was measured for both',
        low=0.0,
        high=1000.0,
    )
    first_candidates: int = option(
        20,
        'number of places that are compared first where similarity_weight is above 0; other '
        'candidates only where these do not decide which place comes first',
        low=2,
        high=1000,
    )
    score: str = option(
        'consistent',
        'which matches count: consistent counts mutual matches whose neighbours moved alike, '
        'mutual counts all mutual matches, as the paper does',
        choices=('consistent', 'mutual'),
    )
    ties: str = option(
        'global',
        'order of candidates with equal match counts, where similarity_weight is 0: global keeps '
        'the retrieval order, official reverses it',
        choices=('global', 'official'),
    )
    distinct_radius_m: float = option(
        5.0,
        'distance above which two keyframes count as different places',
        unit='m',
        low=0.0,
    )
    distinct_angle_deg: float = option(
        60.0,
        'angle between the viewing directions, above which two keyframes count as different '
        'places',
        unit='deg',
        low=0.0,
        high=180.0,
    )
    distinct_time_s: float = option(
        5.0,
        'time above which two keyframes without a pose count as different places',
        unit='s',
        low=0.0,
    )
    min_precision: float = option(
        0.99,
        'least probability that an accepted place is right, by the frame and the sequence',
        low=0.0,
        high=1.0,
    )
    min_similarity: float | None = option(
        None,
        'least cosine of an accepted place, in a frame that is judged alone; null: the value '
        'that the map measured',
        low=-1.0,
        high=1.0,
        kind=float,
    )
    min_matches: int | None = option(
        None,
        'least number of matches of an accepted place, in a frame that is judged alone; null: '
        'the value that the map measured',
        low=0,
        kind=int,
    )
    min_match_ratio: float | None = option(
        None,
        'least ratio of the matches of an accepted place to those of the best place elsewhere, '
        'in a frame that is judged alone; null: the value that the map measured',
        low=0.0,
        kind=float,
    )


@dataclass(frozen=True, slots=True)
class TemporalConfig(Config):
    """Belief over places from a sequence of frames; see selavpr_model.decision.belief."""

    enabled: bool = option(
        True, 'whether the sequence of frames decides; false: each frame is judged alone'
    )
    neutral_confidence: float = option(
        0.15,
        'confidence of a candidate that speaks neither for nor against its place',
        low=0.001,
        high=0.999,
    )
    neutral_deviations: float = option(
        1.5,
        'number of standard deviations above its rivals at which the root of the matches of a '
        'place speaks neither for nor against it; used in SLAM and in maps that were not '
        'calibrated',
        low=0.0,
    )
    evidence_per_deviation: float = option(
        1.0,
        'log-likelihood that a place gains for each standard deviation of its matches; used in '
        'SLAM and in maps that were not calibrated',
        unit='nat',
        low=0.0,
    )
    max_evidence: float = option(
        5.0,
        'largest log-likelihood that one frame gives for or against a place',
        unit='nat',
        low=0.0,
    )
    evidence_per_root: float = option(
        0.3,
        'log-likelihood that a place loses for each unit by which the root of its matches is '
        'below that of the best place; used in maps that were calibrated',
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
        'standard deviation of the motion between two frames; half the spacing of the places is '
        'added',
        unit='m',
        low=0.01,
    )
    motion_sigma_ratio: float = option(
        0.1,
        'amount that each travelled metre adds to the standard deviation of a motion, in m',
        low=0.0,
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
        'distance that the camera must move before a frame counts as new evidence',
        unit='m',
        low=0.001,
    )
    independent_deg: float = option(
        20.0,
        'angle that the camera must turn before a frame counts as new evidence',
        unit='deg',
        low=0.1,
        high=180.0,
    )
    independent_view: float = option(
        0.3,
        'share of the view that must change before a frame without odometry counts as new '
        'evidence',
        low=0.0,
        high=1.0,
    )
    speed_mps: float = option(
        1.0,
        'assumed speed of the robot without odometry: at most this in a fixed map, exactly this '
        'in SLAM',
        unit='m/s',
        low=0.0,
        high=1000.0,
    )
