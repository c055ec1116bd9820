# SPDX-License-Identifier: MIT
"""Options of the ROS node, and which options of all groups are ROS parameters."""

from __future__ import annotations

from dataclasses import dataclass
import enum
import re

from selavpr_model.config.decision import RecognizerConfig, TemporalConfig
from selavpr_model.config.geometry import GeometryConfig
from selavpr_model.config.graph import GraphConfig
from selavpr_model.config.maps import KeyframeConfig, MapConfig, UpdateConfig
from selavpr_model.config.model import ExtractorConfig
from selavpr_model.config.options import Config, option
from selavpr_model.config.slam import SlamConfig
from selavpr_model.errors import ConfigError
from selavpr_model.runtime.shown import shown


class Mode(enum.Enum):
    """What the active node does with images. PAUSE is only set by the service set_mode."""

    LOCALIZE = 'localize'
    PAUSE = 'pause'
    SLAM = 'slam'
    UPDATE = 'update'


TOPIC = re.compile(r'(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)
SERVICES = ('load_map', 'save_map', 'relocalize', 'set_mode', 'query_image')


@dataclass(frozen=True, slots=True)
class NodeConfig(Config):
    """The ROS node around the recogniser."""

    map: str = option(
        '',
        'folder of the map that the node localises in; in mode slam the map grows and is saved '
        'there; empty: no map yet',
    )
    maps_root: str = option(
        '~/.ros/selavpr',
        'folder below which ~/load_map, ~/save_map and changes of map, advanced_config and '
        'extractor.weights may name files, beside those named at the start; read at the start '
        'only',
    )
    services_off: str = option(
        '',
        'services that are not offered, separated by commas: load_map, save_map, relocalize, '
        'set_mode, query_image; read at the start only',
    )
    mode: str = option(
        Mode.LOCALIZE.value,
        'what the node does with images: localize finds places in a fixed map, update also adds '
        'the looks of this drive to it, slam lets the map grow; read when the node is configured, '
        '~/set_mode changes it later',
        choices=(Mode.LOCALIZE.value, Mode.UPDATE.value, Mode.SLAM.value),
    )
    autostart: bool = option(
        True, 'whether the node configures and activates by itself at the start'
    )
    advanced_config: str = option(
        '',
        'YAML file with the settings that are no ROS parameters (docs/parameters.md lists them); '
        'setting the parameter again reads the file again; empty: all have their defaults',
    )
    image_transport: str = option(
        'raw',
        'form of the subscribed images: raw, or compressed (JPEG, PNG) on the topic '
        '<image>/compressed',
        choices=('raw', 'compressed'),
    )
    qos_image: str = option(
        'sensor_data',
        'QoS of the subscription to images: sensor_data is best effort and hears every '
        'publisher, reliable hears reliable publishers only',
        choices=('sensor_data', 'reliable'),
    )
    rectified: str = option(
        'auto',
        'whether the images are rectified, so that P of camera_info holds and not K and D: yes, '
        'no, or auto: as the name of the image topic says (image_rect)',
        choices=('auto', 'yes', 'no'),
    )
    map_frame: str = option('map', 'frame in which poses are published')
    base_frame: str = option('base_link', 'frame of the robot whose pose is published')
    odom_frame: str = option('odom', 'frame of the odometry that the topic odom carries')
    base_camera: tuple[float, ...] | None = option(
        None,
        'pose of the camera in base_frame, T_base_camera with optical axes: x, y, z in m, '
        'quaternion x, y, z, w; empty list: taken from /tf_static and /tf at the image',
        parts='x, y, z, qx, qy, qz, qw',
        kind=tuple,
        low=-1000.0,
        high=1000.0,
    )
    max_frame_age_s: float = option(
        1.0,
        'age above which an image is dropped before inference; 0: none is dropped',
        unit='s',
        low=0.0,
    )
    max_image_px: int = option(
        50_000_000,
        'images with more pixels than this are refused before they are decoded: a small file may '
        'claim to be huge',
        unit='px',
        low=1,
        high=1_000_000_000,
    )
    no_image_after_s: float = option(
        5.0, 'time without an image after which the node says what is wrong', unit='s', low=0.1
    )
    hypotheses: int = option(5, 'number of places published for each image', low=1, high=100)
    clock_jump_s: float = option(
        1.0,
        'step back between two image stamps, above which the clock counts as restarted',
        unit='s',
        low=0.001,
    )
    foreign_clock_s: float = option(
        60.0,
        'difference between image stamps and the present time, above which the stamps count as '
        'those of another clock and max_frame_age_s is not applied',
        unit='s',
        low=1.0,
    )
    odom_gap_s: float = option(
        0.2,
        'largest age of the odometry message that is used for an image',
        unit='s',
        low=0.0,
    )
    tf_gap_s: float = option(
        0.2,
        'largest time between an image and the transform on /tf that gives the pose of a camera '
        'on a moving joint',
        unit='s',
        low=0.0,
    )
    initialpose: bool = option(
        False,
        'whether the pose is also published on the topic initialpose (for Nav2), each time the '
        'robot is found',
    )
    initialpose_cooldown_s: float = option(
        10.0, 'least time between two messages on the topic initialpose', unit='s', low=0.0
    )
    hint_request_topic: str = option(
        'visual_slam/trigger_hint',
        'topic on which a tracker that is lost, such as cuVSLAM, asks where the robot is; read '
        'when the node is configured',
    )
    hint_topic: str = option(
        'visual_slam/initial_pose',
        'topic on which the node answers a message on hint_request_topic with the pose of the '
        'robot, at the next image that is LOCALIZED; read when the node is configured',
    )
    hint_unasked: bool = option(
        False,
        'whether a pose is also sent on hint_topic when the robot is first found, without being '
        'asked: cuVSLAM asks only after a first pose has failed; leave it off while cuVSLAM makes '
        'its map; read when the node is configured',
    )
    publish_tf: bool = option(
        False,
        'whether the transform map_frame -> odom_frame is published on /tf; only one node may '
        'publish it',
    )
    transform_tolerance_s: float = option(
        0.2,
        'how far ahead of the present, by the clock of the odometry, map_frame -> odom_frame is '
        'stamped, so that a look-up at the newest odometry need not wait for it (publish_tf)',
        unit='s',
        low=0.0,
        high=10.0,
    )
    tf_hold_s: float = option(
        10.0,
        'time for which map_frame -> odom_frame is still sent while the robot is LOST or no image '
        'is answered (publish_tf)',
        unit='s',
        low=0.1,
    )
    stuck_after_s: float = option(
        30.0,
        'time after which an image or a job that is not finished is reported as stuck',
        unit='s',
        low=1.0,
    )
    relocalize_timeout_s: float = option(
        10.0, 'timeout of ~/relocalize if the request gives none', unit='s', low=0.1
    )
    relocalize_limit_s: float = option(
        60.0,
        'longest timeout of ~/relocalize; a longer one is cut, as other calls wait meanwhile',
        unit='s',
        low=0.1,
        high=3600.0,
    )
    queries_waiting: int = option(
        4,
        'largest number of calls of ~/query_image that wait; one more is refused at once',
        low=1,
        high=100,
    )
    frame_limit_s: float = option(
        1.0,
        'time that a frame may take; a change of extractor.image_height or image_width in a '
        'running node that would make it longer is refused',
        unit='s',
        low=0.01,
    )
    relocalize_frames: int = option(
        3,
        'number of images in a row that must agree for ~/relocalize, if the request gives none',
        low=1,
        high=1000,
    )

    def __post_init__(self) -> None:
        Config.__post_init__(self)
        unknown = sorted(self.without - set(SERVICES))
        if unknown:
            expected = ', '.join(SERVICES)
            raise ConfigError(
                f'NodeConfig.services_off: expected some of {expected}; got {shown(unknown[0])}'
            )
        for field in ('hint_request_topic', 'hint_topic'):
            if not TOPIC.fullmatch(getattr(self, field)):
                raise ConfigError(
                    f'NodeConfig.{field}: expected the name of a topic, such as '
                    f'visual_slam/initial_pose; got {shown(getattr(self, field))}'
                )

    @property
    def without(self) -> set[str]:
        """The names in services_off."""
        return set(filter(None, (name.strip() for name in self.services_off.split(','))))


GROUPS: dict[str, type[Config]] = {
    '': NodeConfig,
    'extractor': ExtractorConfig,
    'recognizer': RecognizerConfig,
    'temporal': TemporalConfig,
    'geometry': GeometryConfig,
    'slam': SlamConfig,
    'graph': GraphConfig,
    'keyframes': KeyframeConfig,
    'storage': MapConfig,
    'update': UpdateConfig,
}
"""Prefix of the ROS parameters -> class; '' has no prefix."""

NODE_SECTION = 'node'
"""Section of NodeConfig in the file of advanced_config; the others are named as their prefix."""

ROS_PARAMETERS = (
    'map', 'maps_root', 'services_off', 'mode', 'autostart', 'advanced_config',
    'image_transport', 'qos_image', 'rectified', 'map_frame',
    'base_frame', 'odom_frame', 'base_camera', 'max_frame_age_s', 'hypotheses', 'initialpose',
    'publish_tf', 'transform_tolerance_s', 'extractor.weights', 'extractor.device',
    'extractor.engine', 'extractor.precision', 'extractor.threads', 'recognizer.candidates',
    'recognizer.min_precision', 'recognizer.distinct_radius_m',
    'temporal.enabled', 'temporal.speed_mps', 'geometry.enabled',
    'slam.session', 'slam.verify', 'keyframes.distance_m',
    'keyframes.angle_deg', 'storage.local_dtype',
)  # fmt: skip
"""What a user sets, in the order of the documentation. All other fields of GROUPS are advanced."""

NOT_OF_THE_NODE = ('storage.frame_id',)
"""Fields without an effect in the node: a map that grows is in the frame of its odometry."""


def parameter_name(prefix: str, field: str) -> str:
    """'recognizer', 'candidates' -> 'recognizer.candidates'."""
    return f'{prefix}.{field}' if prefix else field


def is_advanced(prefix: str, field: str) -> bool:
    """Whether the field is set in the file of advanced_config and not as a ROS parameter."""
    return parameter_name(prefix, field) not in (*ROS_PARAMETERS, *NOT_OF_THE_NODE)
