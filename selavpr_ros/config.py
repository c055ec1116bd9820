# SPDX-License-Identifier: MIT
"""The ROS node, and every group of options that it takes as parameters."""

from __future__ import annotations

from dataclasses import dataclass

from selavpr_model.config.decision import RecognizerConfig, TemporalConfig
from selavpr_model.config.geometry import GeometryConfig
from selavpr_model.config.maps import KeyframeConfig, MapConfig
from selavpr_model.config.model import ExtractorConfig
from selavpr_model.config.options import Config, option
from selavpr_model.config.slam import SlamConfig


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
        parts='x, y, z, qx, qy, qz, qw',
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
