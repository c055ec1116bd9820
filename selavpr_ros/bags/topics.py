# SPDX-License-Identifier: MIT
"""A bag opened, and which of its topics are the images, the poses and the odometry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selavpr_model.errors import SourceError
from selavpr_model.runtime.needs import needs

with suppress(ModuleNotFoundError):  # a folder of images is read without it; open_bag asks for it
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.typesys import get_typestore, Stores

RAW_IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
IMAGES = (RAW_IMAGE, COMPRESSED_IMAGE)
ODOMETRY = 'nav_msgs/msg/Odometry'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
STAMPED_POSES = ('geometry_msgs/msg/PoseStamped', 'geometry_msgs/msg/PoseWithCovarianceStamped')
NO_POSE = 'none'
"""As a pose topic: frames get no pose."""


@contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """A reader of the bag folder; SourceError when it is none or is damaged."""
    if not path.exists():
        raise SourceError(f'{path}: expected a ROS 2 bag folder, found nothing there')
    with needs('rosbags', extra='bags'):
        typestore = get_typestore(Stores.ROS2_JAZZY)
    try:
        with AnyReader([path], default_typestore=typestore) as bag:
            yield bag
    except (AnyReaderError, OSError) as error:
        raise SourceError(
            f'{path}: not a readable ROS 2 bag (sqlite3 or mcap); {error}'
        ) from error


def is_bag(path: Path) -> bool:
    """Whether the path is a bag folder or a bag's storage file."""
    return (path / 'metadata.yaml').is_file() or path.suffix in ('.mcap', '.db3', '.bag')


def choose_image_topic(bag: AnyReader, name: str) -> str:
    """The named topic, or the only one; of an image in both forms the raw one."""
    topics = _topics_of(bag, IMAGES)
    if name:
        return _require(bag, name, topics, IMAGES, 'image topic')
    usable = [t for t in topics if topics[t][1] and 'compressedDepth' not in t]
    usable = [t for t in usable if t.removesuffix('/compressed') not in usable or not
              t.endswith('/compressed')]  # fmt: skip
    if len(usable) > 1:
        problem = f'expected 1 image topic, got {len(usable)}'
        raise SourceError(_listing(bag, problem, topics) + ' with --image-topic')
    if not usable:
        raise SourceError(_nothing(bag, 'expected images, got none', IMAGES))
    return usable[0]


def choose_pose_topic(bag: AnyReader, name: str) -> str:
    """The named topic, or the only stamped pose topic, or the only odometry; empty for none."""
    if name == NO_POSE:
        return ''
    topics = _topics_of(bag, (*STAMPED_POSES, ODOMETRY))
    if name:
        return _require(bag, name, topics, (*STAMPED_POSES, ODOMETRY), 'pose topic')
    for types in (STAMPED_POSES, (ODOMETRY,)):
        usable = [t for t in topics if topics[t][0] in types and topics[t][1]]
        if len(usable) > 1:
            raise SourceError(_listing(bag, f'expected 1 pose topic, got {len(usable)}', topics))
        if usable:
            return usable[0]
    return ''


def choose_odometry(bag: AnyReader, pose_topic: str) -> str:
    topics = [t for t, (_, count) in _topics_of(bag, (ODOMETRY,)).items() if count]
    if pose_topic in topics:
        return pose_topic
    return topics[0] if len(topics) == 1 else ''


def _topics_of(bag: AnyReader, types: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    return {n: (t.msgtype, t.msgcount) for n, t in bag.topics.items() if t.msgtype in types}


def _require(
    bag: AnyReader,
    name: str,
    topics: dict[str, tuple[str, int]],
    types: tuple[str, ...],
    what: str,
) -> str:
    for candidate in (name, '/' + name):
        if candidate in topics:
            return candidate
    problem = f'no {what} {name!r}'
    raise SourceError(_listing(bag, problem, topics) if topics else _nothing(bag, problem, types))


def _listing(bag: AnyReader, problem: str, topics: dict[str, tuple[str, int]]) -> str:
    return f'{bag.paths[0]}: {problem}; the bag has {_listed(topics)}; name one of them'


def _nothing(bag: AnyReader, problem: str, types: tuple[str, ...]) -> str:
    every = {n: (t.msgtype or 'mixed types', t.msgcount) for n, t in bag.topics.items()}
    wanted, has = ' or '.join(types), _listed(every) or 'no topic at all'
    return f'{bag.paths[0]}: {problem}; the bag has {has}; record a topic of type {wanted}'


def _listed(topics: dict[str, tuple[str, int]]) -> str:
    return ', '.join(f'{n} ({t}, {count})' for n, (t, count) in sorted(topics.items()))


def camera_topic(bag: AnyReader, image_topic: str) -> str:
    """The camera_info beside the images, else the only one; empty for none."""
    topics = [t for t, (_, count) in _topics_of(bag, (CAMERA_INFO,)).items() if count]
    beside = image_topic.removesuffix('/compressed').rpartition('/')[0] + '/camera_info'
    if beside in topics:
        return beside
    return topics[0] if len(topics) == 1 else ''
