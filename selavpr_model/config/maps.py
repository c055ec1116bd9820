# SPDX-License-Identifier: MIT
"""What becomes a place, how it is stored, and how a map measures its own thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.options import Config, option


@dataclass(frozen=True, slots=True)
class KeyframeConfig(Config):
    """When a frame becomes a place of the map: moved or turned enough since the last one."""

    distance_m: float = option(
        1.0, 'distance after which a frame becomes a keyframe', unit='m', low=0.0
    )
    angle_deg: float = option(
        20.0, 'angle after which a frame becomes a keyframe', unit='deg', low=0.0, high=180.0
    )
    time_s: float = option(
        1.0, 'time after which a frame without a pose becomes a keyframe', unit='s', low=0.0
    )


@dataclass(frozen=True, slots=True)
class MapConfig(Config):
    """How places are stored and found."""

    local_dtype: str = option(
        'fast',
        'storage of local features: fast keeps every second row and column of cells (at most 119 '
        'kB a place), tiny the same in four bits (60 kB), dense all cells in eight bits, exact '
        'all cells in float32; compact keeps the tokens that all cells are computed from (117 kB '
        'with ViT-S) and is slower',
        choices=('fast', 'tiny', 'compact', 'dense', 'exact'),
    )
    thumbnail_px: int = option(
        160,
        'width of the stored thumbnail of a place; 0: none is stored',
        unit='px',
        low=0,
        high=1024,
    )
    robot_mask: str = option(
        'auto',
        'where the robot sees itself, such as its bonnet: cells there match nothing. auto finds '
        'them by keyframes that are far apart, none keeps all cells; else an image file, black '
        'where the robot is',
    )
    frame_id: str = option('map', 'coordinate frame of the poses of the map')
    index: str = option(
        'auto',
        'how places are searched: flat compares all of them exactly, codes a short list of them, '
        'auto chooses by the size of the map',
        choices=('auto', 'flat', 'codes'),
    )
    index_refine: int = option(
        10,
        'length of the short list of index codes, as a multiple of the number of places asked for',
        low=1,
        high=1000,
    )
    use_gpu_index: bool = option(
        True, 'whether places are searched on the GPU, if there are a GPU and faiss-gpu'
    )


@dataclass(frozen=True, slots=True)
class CalibrationConfig(Config):
    """How a map measures its thresholds on its own keyframes when it is built.

    A quantile is taken over what queries from outside the map score.
    """

    samples: int = option(200, 'keyframes used as queries, evenly spread', low=1)
    ratio_quantile: float = option(
        0.99,
        'least match ratio, as a quantile of that of wrong answers: this share of them is '
        'rejected',
        low=0.0,
        high=1.0,
    )
    matches_quantile: float = option(
        0.5,
        'least matches, as a quantile of those of wrong answers; another season lowers those of '
        'right answers, too',
        low=0.0,
        high=1.0,
    )
    similarity_quantile: float = option(
        0.01,
        'least similarity, as a quantile of that of wrong answers; below what any street has',
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True, slots=True)
class UpdateConfig(Config):
    """When a frame of a later drive becomes another look of a place.

    Usual matches are those of neighbouring keyframes of the map.
    """

    session: str = option('', 'name of the drive in the map; empty: made from its first stamp')
    novelty: float = option(
        0.25,
        'how new a frame must be to become another look of its place: least share by which its '
        'matches with the looks there fall short of those between neighbouring keyframes; larger: '
        'fewer looks',
        low=0.0,
        high=1.0,
    )
    window_m: float = option(
        10.0,
        'distance driven before and after a frame within which answers give its pose',
        unit='m',
        low=0.1,
    )
    min_answers: int = option(
        4, 'least number of LOCALIZED frames that must agree on the pose of a frame', low=1
    )
    agree_m: float = option(
        2.0,
        'largest distance between the poses that two answers give a frame, if they agree',
        unit='m',
        low=0.01,
    )
