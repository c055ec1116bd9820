# SPDX-License-Identifier: MIT
"""Which place it is, from one frame and from a sequence."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class RecognizerConfig(Config):
    """Retrieval, re-ranking and the decision."""

    candidates: int = option(100, 'places retrieved and re-ranked a frame', low=1, high=1000)
    score: str = option(
        'consistent',
        'matches that count: mutual ones whose neighbours moved alike, or all mutual ones (the '
        "paper's)",
        choices=('consistent', 'mutual'),
    )
    ties: str = option(
        'global',
        'equal match counts: global keeps the retrieval order, official reverses it',
        choices=('global', 'official'),
    )
    distinct_radius_m: float = option(
        5.0, 'places further apart than this are different places', unit='m', low=0.0
    )
    distinct_angle_deg: float = option(
        60.0,
        'places seen in directions further apart than this are different places',
        unit='deg',
        low=0.0,
        high=180.0,
    )
    distinct_time_s: float = option(
        5.0, 'the same for places without a pose, by their stamps', unit='s', low=0.0
    )
    min_precision: float = option(
        0.99,
        'one frame alone: least probability that an accepted place is right, as the map tells it',
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

    enabled: bool = option(True, 'decide from the sequence; false: from each frame alone')
    min_belief: float = option(
        0.97, 'least probability of a place to be LOCALIZED there', low=0.5, high=1.0
    )
    neutral_confidence: float = option(
        0.15,
        'a confidence that speaks neither for nor against a place',
        low=0.001,
        high=0.999,
    )
    neutral_deviations: float = option(
        1.5,
        'in SLAM and maps without confidence: a root of matches this many standard deviations '
        'above the rivals speaks neither for nor against',
        low=0.0,
    )
    evidence_per_deviation: float = option(
        1.0, 'log-likelihood gained by one standard deviation more', unit='nat', low=0.0
    )
    max_evidence: float = option(
        3.0, 'most that one frame says for or against a place', unit='nat', low=0.0
    )
    missed_evidence: float = option(
        -1.5, 'what it says against a place not to be among the candidates', unit='nat', high=0.0
    )
    enter_probability: float = option(
        0.05, 'to enter the map within one frame that counts', low=0.0, high=1.0
    )
    leave_probability: float = option(
        0.01, 'to leave the map within one frame that counts', low=0.0, high=1.0
    )
    motion_sigma_m: float = option(
        0.5, 'spread of a motion, besides half the spacing of the places', unit='m', low=0.01
    )
    motion_sigma_ratio: float = option(0.1, 'added spread over travelled distance', low=0.0)
    turn_sigma_deg: float = option(
        20.0, 'spread of the viewing direction', unit='deg', low=1.0, high=180.0
    )
    independent_m: float = option(
        1.0, 'a frame counts as new evidence after moving this far', unit='m', low=0.001
    )
    independent_deg: float = option(
        20.0, 'or after turning this far', unit='deg', low=0.1, high=180.0
    )
    independent_view: float = option(
        0.3,
        'or, without odometry, when this share of the view is another than before',
        low=0.0,
        high=1.0,
    )
    speed_mps: float = option(1.0, 'assumed where there is no odometry', unit='m/s', low=0.0)
