# SPDX-License-Identifier: MIT
"""The first seconds of a bag, without ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selavpr_model.errors import SourceError
from selavpr_model.records import SECOND
from selavpr_ros.bags.bag import Bag, open_bag
from selavpr_ros.bags.topics import camera_topic, choose_image_topic, ODOMETRY
from selavpr_ros.config import NodeConfig
from selavpr_ros.convert.camera_info import is_rectified
from selavpr_ros.doctor.observation import MOST_PICTURES, Observation, Settings

Take = Callable[[Any, int], None]


def observe_bag(path: Path, settings: Settings) -> Observation:
    """What a node would have heard; SourceError where it is no bag."""
    seen = Observation(str(path), live=False)
    seen.images.spacing_ns = round(0.9 * settings.seconds * SECOND / MOST_PICTURES)
    with open_bag(path) as bag:
        _choose(bag, seen, settings)
        takers: dict[str, Take] = {
            seen.images.topic: seen.images.add,
            seen.calibration.topic: seen.calibration.add,
            seen.odometry.topic: seen.odometry.add,
            '/tf': lambda message, _: seen.tree.add(message, static=False),
        }
        takers.pop('', None)
        for topic, arrival, message in _messages(bag, set(takers), settings.seconds):
            takers[topic](message, arrival)
        for _, _, message in _messages(bag, {'/tf_static'}, None):
            seen.tree.add(message, static=True)
    return seen


def _choose(bag: Bag, seen: Observation, settings: Settings) -> None:
    """Fill in the topics, or why there is none."""
    try:
        seen.images.topic = choose_image_topic(bag, settings.image_topic)
    except SourceError as error:
        seen.images.problem = str(error)
    if seen.images.topic:
        seen.calibration.topic = camera_topic(bag, seen.images.topic)
        seen.calibration.rectified = is_rectified(NodeConfig().rectified, seen.images.topic)
    topics = {n: t.msgcount for n, t in bag.topics.items() if t.msgtype == ODOMETRY}
    named = settings.odom_topic
    if named and named not in topics:
        seen.odometry.problem = f'no odometry on {named}; there is {", ".join(topics) or "none"}'
    elif named or len(topics) == 1:
        seen.odometry.topic = named or next(iter(topics))
    elif topics:
        seen.odometry.problem = f'several: {", ".join(sorted(topics))}; name one: --odom-topic'


def _messages(bag: Bag, topics: set[str], seconds: float | None) -> Iterator[tuple[str, int, Any]]:
    start = None
    for topic, arrival, message in bag.decoded(topics):
        start = arrival if start is None else start
        if seconds is not None and arrival > start + round(seconds * SECOND):
            return
        yield topic, arrival, message
