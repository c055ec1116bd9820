# SPDX-License-Identifier: MIT
"""Every default of selavpr, once, with its unit, range and help text.

ROS parameters, command line options, YAML keys and the README's table are derived from these
classes or tested against them. Objects are frozen and checked when they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selavpr_model.options import Config, option


@dataclass(frozen=True, slots=True)
class ModelConfig(Config):
    """The architecture; stored in every checkpoint and part of the fingerprint."""

    backbone: str = option(
        'vits14', 'DINOv2 backbone size', choices=('vits14', 'vitb14', 'vitl14', 'vitg14')
    )
    registers: int = option(0, 'register tokens after the cls token', low=0, high=16)
    blocks: int = option(12, 'how many of the transformer blocks are used', low=1, high=40)
    final_norm: bool = option(True, 'LayerNorm after the last block used')
    serial_adapter: bool = option(True, 'adapter after the attention, with a skip inside')
    parallel_adapter: bool = option(True, 'adapter beside the MLP, without a skip')
    adapter_ratio: float = option(0.5, 'bottleneck width over token width', low=0.01, high=4.0)
    adapter_scale: float = option(0.2, 'factor on the parallel adapter', low=0.0, high=10.0)
    global_feature: str = option(
        'gem',
        'pooling of the patch tokens (GeM), or the cls token as it is',
        choices=('gem', 'cls'),
    )
    projection: int = option(
        0, 'width of a linear map of the global feature (learned whitening); 0: none', low=0
    )
    local_head: str = option(
        'upconv',
        'dense local features: up-convolution, or the patch tokens (the paper: coarse features)',
        choices=('upconv', 'tokens'),
    )
    local_hidden: int = option(256, 'channels between the two up-convolutions', low=1)
    local_channels: int = option(128, 'channels of the dense local features', low=1)
    pos_offset: float = option(
        0.1, 'added to the grid size when the position embedding is resampled', low=0.0, high=1.0
    )
    pos_antialias: bool = option(
        False, 'antialias when the position embedding is resampled (Meta register models)'
    )

    def to_dict(self) -> dict[str, Any]:
        """Without what came after the first maps and says nothing: their fingerprints stay."""
        later = {'global_feature': 'gem', 'projection': 0}
        return {k: v for k, v in Config.to_dict(self).items() if later.get(k) != v}


@dataclass(frozen=True, slots=True)
class ExtractorConfig(Config):
    """From an image to features."""

    weights: str = option(
        'selavpr_vits14', 'name of known weights (selavpr weights list) or path to a file'
    )
    random_weights: bool = option(
        False, 'use seeded random weights; for tests only, said in every output'
    )
    blocks: int = option(0, 'transformer blocks used; 0: as the weights say', low=0, high=40)
    final_norm: str = option(
        'auto',
        'LayerNorm after the last block; auto: as the weights say',
        choices=('auto', 'yes', 'no'),
    )
    global_feature: str = option(
        'auto',
        'global feature: gem, the cls token, or auto: as the weights say',
        choices=('auto', 'gem', 'cls'),
    )
    local_head: str = option(
        'auto',
        'local features: upconv, tokens, or auto: as the weights say',
        choices=('auto', 'upconv', 'tokens'),
    )
    image_height: int = option(224, 'input height, a multiple of 14', unit='px', low=14, high=1792)
    image_width: int = option(224, 'input width, a multiple of 14', unit='px', low=14, high=1792)
    resize: str = option(
        'bilinear',
        'bilinear without antialias (evaluation of the paper) or with (its training)',
        choices=('bilinear', 'antialias'),
    )
    device: str = option('auto', 'auto, cpu, cuda or cuda:N')
    engine: str = option(
        'auto',
        'what runs the network: torch as it is, fused for CPUs, or TensorRT (selavpr export)',
        choices=('auto', 'eager', 'fused', 'tensorrt'),
    )
    precision: str = option(
        'auto',
        'auto measures once what is fast here',
        choices=('auto', 'fp32', 'bf16', 'fp16', 'int8'),
    )
    threads: int = option(0, 'CPU threads for inference; 0: all cores', low=0, high=256)
    batch_size: int = option(8, 'images a forward pass when building a map', low=1, high=512)


@dataclass(frozen=True, slots=True)
class KeyframeConfig(Config):
    """When a frame becomes a place of the map: moved or turned enough since the last one."""

    distance_m: float = option(1.0, 'new keyframe after moving this far', unit='m', low=0.0)
    angle_deg: float = option(
        20.0, 'new keyframe after turning this far', unit='deg', low=0.0, high=180.0
    )
    time_s: float = option(
        1.0, 'new keyframe after this long, for frames without a pose', unit='s', low=0.0
    )


@dataclass(frozen=True, slots=True)
class MapConfig(Config):
    """How places are stored and found."""

    local_dtype: str = option(
        'compact',
        'storage of local features: compact at most 119 kB a place, tiny 60 kB, dense all cells, '
        'these as int8; exact all cells in float32; int8 and fp16: as old maps have them, slower',
        choices=('compact', 'dense', 'exact', 'tiny', 'int8', 'fp16'),
    )
    thumbnail_px: int = option(
        160, 'width of the stored thumbnail; 0: none', unit='px', low=0, high=1024
    )
    frame_id: str = option('map', 'frame of the poses')
    index: str = option(
        'auto',
        'search: flat compares all places, codes a short list, auto by the size of the map',
        choices=('auto', 'flat', 'codes'),
    )
    index_refine: int = option(
        10, 'codes: places compared exactly, times those asked for', low=1, high=1000
    )
    use_gpu_index: bool = option(True, 'search on the GPU where faiss-gpu and a GPU are there')


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
    min_similarity: float = option(
        -1.0,
        'one frame alone: least cosine of an accepted place; -1: as measured for the map',
        low=-1.0,
        high=1.0,
    )
    min_matches: int = option(
        -1, 'one frame alone: least matches that count; -1: as measured for the map', low=-1
    )
    min_match_ratio: float = option(
        -1.0,
        'one frame alone: least matches over those of the best distinct rival; -1: as measured',
        low=-1.0,
    )


@dataclass(frozen=True, slots=True)
class TemporalConfig(Config):
    """Belief over places from a sequence of frames; see selavpr_model.temporal."""

    enabled: bool = option(True, 'decide from the sequence; false: from each frame alone')
    min_belief: float = option(
        0.97, 'least probability of a place to be LOCALIZED there', low=0.5, high=1.0
    )
    neutral_confidence: float = option(
        0.06,
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


@dataclass(frozen=True, slots=True)
class SlamConfig(Config):
    """A map that grows while driving, and when a loop closure is verified; see slam.py."""

    session: str = option('', 'id of this run in the map; empty: from the first stamp')
    novelty: float = option(
        0.2, 'share of the view that a new keyframe must add to the last one', low=0.0, high=1.0
    )
    exclude_m: float = option(
        20.0, 'keyframes are not searched until this far behind', unit='m', low=0.0
    )
    exclude_s: float = option(10.0, 'and this long ago', unit='s', low=0.0)
    min_places: int = option(10, 'nothing is concluded from fewer searchable places', low=2)
    min_belief: float = option(
        0.95, 'least probability of a place for a verified closure', low=0.5, high=1.0
    )
    min_evidence: float = option(
        0.5,
        'least that a keyframe says by itself for the place it closes with',
        unit='nat',
        low=0.0,
    )
    min_support: int = option(
        6, 'keyframes that must agree with each other and with the motion', low=1, high=100
    )
    min_strength: float = option(
        1.0,
        'least matches of these with their places over those of consecutive keyframes, mean',
        low=0.0,
    )
    least_strength: float = option(0.8, 'the same for each of them', low=0.0)
    left_keyframes: int = option(
        5, 'so many keyframes in between do not see the place, or it was never left', low=0
    )
    left_ratio: float = option(
        0.8, 'not to see it: fewer matches than this share of those of the closure', low=0.0
    )
    pending: int = option(
        10, 'a candidate not confirmed within this many keyframes is rejected', low=1, high=1000
    )
    agree_m: float = option(
        3.0, 'closures agree if their motions differ by less', unit='m', low=0.0
    )
    agree_ratio: float = option(0.1, 'more, over the travelled distance', low=0.0)
    agree_blind_ratio: float = option(0.3, 'the same, without odometry', low=0.0)
    max_speed_mps: float = option(
        40.0, 'odometry that is faster has jumped and starts anew', unit='m/s', low=0.1
    )
    verify: str = option(
        'auto',
        'geometry: auto where the camera is calibrated, always (else stays a candidate), never',
        choices=('auto', 'always', 'never'),
    )
    verifications_per_s: float = option(
        0.5,
        'closures that geometry looks at, on average, by the stamps of the images; of ten seconds '
        'they are saved up',
        unit='1/s',
        low=0.0,
    )
    save_at_end: bool = option(True, 'save the map when the node stops or leaves SLAM')


@dataclass(frozen=True, slots=True)
class GeometryConfig(Config):
    """When matched cells agree on one camera motion, and what pose follows from them."""

    enabled: bool = option(
        False, 'check and refine an accepted place, where frame and map have a calibrated camera'
    )
    verifications_per_s: float = option(
        0.5, 'places looked at, by the stamps of the images', unit='1/s', low=0.0
    )
    noise_px: float = option(
        2.5, 'standard deviation of a match, in pixels of the network input', unit='px', low=0.01
    )
    parallax_deg: float = option(
        2.0, 'expected parallax between two views of one place', unit='deg', low=0.01
    )
    min_inliers: int = option(45, 'least matches that agree on one motion', low=8)
    min_inlier_share: float = option(0.5, 'least share of all matches', low=0.0, high=1.0)
    min_inlier_ratio: float = option(
        1.5, 'least inliers over those with the best place elsewhere', low=0.0
    )
    min_spread: float = option(
        0.1, 'least share of the blocks (8 x 8) of the image with inliers', low=0.0, high=1.0
    )
    min_parallax: float = option(
        1.0, 'least median parallax for a direction, over the noise of a match', low=0.0
    )
    min_in_front: float = option(
        0.8, 'least share of the inliers in front of both cameras for a direction', high=1.0
    )
    max_direction_deg: float = option(
        20.0, 'a direction less certain than this is not told', unit='deg', low=0.0, high=180.0
    )
    covariance_scale: float = option(
        10.0, 'on every covariance, for errors that all matches share', low=0.01
    )
    shared_px: float = option(
        4.0, 'error that all matches share, in pixels of the network input', unit='px', low=0.0
    )
    keyframes: int = option(5, 'keyframes that a metric pose is computed from', low=1, high=50)
    min_baseline_deg: float = option(
        1.0, 'least median angle at the points between two keyframes', unit='deg', low=0.0
    )
    max_position_m: float = option(
        1.0, 'a metric position less certain than this is refused', unit='m', low=0.0
    )


@dataclass(frozen=True, slots=True)
class CalibrationConfig(Config):
    """How a map measures its thresholds on its own keyframes when it is built.

    A quantile is taken over what queries from outside the map score.
    """

    samples: int = option(200, 'keyframes used as queries, evenly spread', low=1)
    ratio_quantile: float = option(
        0.99, 'of their match ratio: this share is turned down by it', low=0.0, high=1.0
    )
    matches_quantile: float = option(
        0.5,
        'of their matches; half, as another season lowers those of right answers, too',
        low=0.0,
        high=1.0,
    )
    similarity_quantile: float = option(
        0.01, 'of their similarity; a floor below what any street has', low=0.0, high=1.0
    )


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
        'least share of the queries whose place is taken from the map; also scores the confidence',
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
class SourceConfig(Config):
    """One of the data sets a model is trained on; see selavpr_model.training_sets."""

    path: str = option('', 'folder of a data set, or a pattern of several, such as circuits/*')
    split: str = option('', "which split; '': the layout's own for training")
    floors: str = option('', 'of frames.csv: some floors, by comma')
    names: str = option(':', 'of query/ and ref/: the numbers of names, such as :400')
    queries: str = option('', 'of an @utm@ tree: folder of the queries')
    weight: float = option(1.0, 'places drawn from here, against the other sources', low=0.0)
    positive_radius: float = option(
        -1.0, "one place up to this far, in m or frames; -1: the layout's own", low=-1.0
    )
    negative_radius: float = option(
        -1.0, "certainly not one place beyond this, in m or frames; -1: the layout's own", low=-1.0
    )
    max_angle_deg: float = option(
        -1.0,
        "one place when looking up to this far apart; -1: the layout's own",
        low=-1.0,
        high=180.0,
    )
    other_run: bool = option(True, 'positives from another run or lap where there are some')


@dataclass(frozen=True, slots=True)
class MiningConfig(Config):
    """The hardest images for a triplet loss; the paper's numbers."""

    queries: int = option(1000, 'queries mined at once', low=1)
    candidates: int = option(1000, 'random images the hardest negatives are chosen from', low=2)
    positives: int = option(
        0, 'of a query with more positives the best of so many random ones; 0: of all', low=0
    )
    negatives: int = option(2, 'hardest negatives of a query', low=1)
    chunk: int = option(256, 'images whose features are asked for at once', low=1)


@dataclass(frozen=True, slots=True)
class NodeConfig(Config):
    """The ROS node around the recogniser."""

    map: str = option('', 'folder of the map to localise in; of SLAM to go on with and save')
    mode: str = option(
        'localize',
        'localize in a fixed map, or slam: let the map grow',
        choices=('localize', 'slam'),
    )
    autostart: bool = option(True, 'configure and activate by itself')
    image_transport: str = option('raw', 'raw or compressed', choices=('raw', 'compressed'))
    qos_image: str = option(
        'sensor_data',
        'sensor_data (best effort) or reliable',
        choices=('sensor_data', 'reliable'),
    )
    map_frame: str = option('map', 'frame of the published pose')
    base_frame: str = option('base_link', 'body whose pose is published')
    odom_frame: str = option('odom', 'frame of the odometry')
    base_camera: tuple[float, float, float, float, float, float, float] = option(
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
        'T_base_camera: x, y, z in m, quaternion x, y, z, w; identity: from /tf_static',
        low=-1000.0,
        high=1000.0,
    )
    max_frame_age_s: float = option(
        1.0, 'older frames are dropped before inference; 0: none', unit='s', low=0.0
    )
    no_image_after_s: float = option(
        5.0, 'say what is wrong after this long without an image', unit='s', low=0.1
    )
    hypotheses: int = option(5, 'places published a frame', low=1, high=100)
    clock_jump_s: float = option(
        1.0, 'a stamp this far before the last one is a restarted clock', unit='s', low=0.001
    )
    foreign_clock_s: float = option(
        60.0,
        'stamps this far from now are of another clock and their age is not judged',
        unit='s',
        low=1.0,
    )
    odom_gap_s: float = option(
        0.2, 'odometry this far from the image still counts for it', unit='s', low=0.0
    )
    initialpose: bool = option(
        False, 'also publish the pose on initialpose (Nav2) each time the robot is found'
    )
    initialpose_cooldown_s: float = option(10.0, 'not more often than this', unit='s', low=0.0)
    publish_tf: bool = option(
        False, 'publish map_frame -> odom_frame on /tf; only one node may do so'
    )
    stuck_after_s: float = option(
        30.0, 'one frame or job that runs longer is reported as stuck', unit='s', low=1.0
    )
    relocalize_timeout_s: float = option(
        10.0, '~/relocalize gives up after this long, unless asked otherwise', unit='s', low=0.1
    )
    relocalize_frames: int = option(
        3,
        'images in a row that must agree for ~/relocalize, unless asked otherwise',
        low=1,
        high=1000,
    )


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


GROUPS: dict[str, type[Config]] = {
    '': NodeConfig,
    'extractor': ExtractorConfig,
    'recognizer': RecognizerConfig,
    'temporal': TemporalConfig,
    'geometry': GeometryConfig,
    'slam': SlamConfig,
    'keyframes': KeyframeConfig,
    'storage': MapConfig,
}
"""Prefix of the ROS parameter or YAML key -> its class; '' has no prefix."""
