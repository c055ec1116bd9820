# SPDX-License-Identifier: MIT
"""Which topics of a bag are the images, the poses and the odometry."""

from __future__ import annotations

from selavpr_model.errors import SourceError
from selavpr_ros.bags.bag import Bag, Topic
from selavpr_ros.convert.encodings import OTHER_TRANSPORTS

RAW_IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
IMAGES = (RAW_IMAGE, COMPRESSED_IMAGE)
ODOMETRY = 'nav_msgs/msg/Odometry'
TFMESSAGE = 'tf2_msgs/msg/TFMessage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
STAMPED_POSES = ('geometry_msgs/msg/PoseStamped', 'geometry_msgs/msg/PoseWithCovarianceStamped')
ONLY_NAMED = (
    'geometry_msgs/msg/TransformStamped', 'nav_msgs/msg/Path', 'sensor_msgs/msg/NavSatFix',
    'geometry_msgs/msg/Pose', 'geometry_msgs/msg/PoseWithCovariance',
)  # fmt: skip
"""Poses, too, but a path may be planned and a fix has no heading: never taken unasked."""
POSES = (*STAMPED_POSES, ODOMETRY, *ONLY_NAMED)
FORMS = ('compressed', *OTHER_TRANSPORTS)
"""Of image_transport, beside the raw topic: the first that is there is taken."""
_ENDS = tuple(f'/{form}' for form in FORMS)
MOST_LISTED = 100
NO_POSE = 'none'
"""As a pose topic: frames get no pose."""
TRANSFORMS = 'tf:'
"""Before a frame's name, as a pose topic: the camera's pose in that frame as /tf says."""


def choose_image_topic(bag: Bag, name: str) -> str:
    """The named topic, or the only one; of an image in several forms the raw one, else `FORMS`."""
    topics = _topics_of(bag, IMAGES)
    if name:
        return _require(bag, name, topics, IMAGES, 'image topic')
    usable = [t for t in topics if topics[t][1] and 'compressedDepth' not in t]
    usable = [t for t in usable if not _in_another_form(t, usable)]
    if len(usable) > 1:
        problem = f'expected 1 image topic, got {len(usable)}'
        raise SourceError(_listing(bag, problem, topics) + ' with --image-topic')
    if not usable:
        raise SourceError(_nothing(bag, 'expected images, got none', IMAGES))
    return usable[0]


def _in_another_form(topic: str, topics: list[str]) -> bool:
    """Whether these have the same images raw, or as JPEG or PNG, which is easier to read."""
    base, _, form = topic.rpartition('/')
    return form in FORMS and (
        base in topics or any(f'{base}/{f}' in topics for f in _before(form))
    )


def _before(form: str) -> tuple[str, ...]:
    return FORMS[: FORMS.index(form)]


def choose_pose_topic(bag: Bag, name: str) -> str:
    """The named topic, or the only stamped pose topic, or the only odometry; empty for none.

    `tf:FRAME` stays as it is.
    """
    if name == NO_POSE:
        return ''
    if name.startswith(TRANSFORMS):
        return name
    topics = _topics_of(bag, POSES)
    if name in _topics_of(bag, (TFMESSAGE,)):
        raise SourceError(
            f'{bag.path}: {name!r} has transforms; name the frame that the poses are to be in, '
            'such as --poses tf:map'
        )
    if name:
        return _require(bag, name, topics, POSES, 'pose topic')
    for types in (STAMPED_POSES, (ODOMETRY,)):
        usable = [t for t in topics if topics[t][0] in types and topics[t][1]]
        if len(usable) > 1:
            raise SourceError(_listing(bag, f'expected 1 pose topic, got {len(usable)}', topics))
        if usable:
            return usable[0]
    return ''


def choose_odometry(bag: Bag, pose_topic: str) -> str:
    topics = [t for t, (_, count) in _topics_of(bag, (ODOMETRY,)).items() if count]
    if pose_topic in topics:
        return pose_topic
    return topics[0] if len(topics) == 1 else ''


def _topics_of(bag: Bag, types: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    return {
        n: (t.msgtype, t.msgcount)
        for n, t in bag.topics.items()
        if t.msgtype in types and t.readable
    }


def _require(
    bag: Bag,
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


def _listing(bag: Bag, problem: str, topics: dict[str, tuple[str, int]]) -> str:
    return f'{bag.path}: {problem}; the bag has {_listed(topics)}; name one of them'


def _nothing(bag: Bag, problem: str, types: tuple[str, ...]) -> str:
    every = {n: (described(t), t.msgcount) for n, t in bag.topics.items()}
    usual = [kind for kind in types if kind not in ONLY_NAMED]
    wanted, has = ' or '.join(usual), _listed(every) or 'no topic at all'
    return f'{bag.path}: {problem}; the bag has {has}; record a topic of type {wanted}'


def described(topic: Topic) -> str:
    """Its type, with the encoding where that is one we cannot read."""
    return topic.msgtype if topic.readable else f'{topic.msgtype} as {topic.encoding or "several"}'


def _listed(topics: dict[str, tuple[str, int]]) -> str:
    shown = [f'{n} ({t}, {count})' for n, (t, count) in sorted(topics.items())]
    more = [f'and {len(shown) - MOST_LISTED} more'] if len(shown) > MOST_LISTED else []
    return ', '.join(shown[:MOST_LISTED] + more)


def camera_topic(bag: Bag, image_topic: str) -> str:
    """The camera_info beside the images, else the only one; empty for none."""
    topics = [t for t, (_, count) in _topics_of(bag, (CAMERA_INFO,)).items() if count]
    base = image_topic.rpartition('/')[0] if image_topic.endswith(_ENDS) else image_topic
    beside = base.rpartition('/')[0] + '/camera_info'
    if beside in topics:
        return beside
    return topics[0] if len(topics) == 1 else ''
