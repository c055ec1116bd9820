# SPDX-License-Identifier: MIT
"""QoS profiles of the node, and words for people when two do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    qos_check_compatible,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
)

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

TF_STATIC = QoSProfile(  # each of many publishers has its own last message
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def reliable(depth: int) -> QoSProfile:
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def camera(name: str) -> QoSProfile:
    """'sensor_data' or 'reliable'; keep last 1: older images are worth nothing."""
    reliability = (
        ReliabilityPolicy.RELIABLE if name == 'reliable' else ReliabilityPolicy.BEST_EFFORT
    )
    return QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=reliability)


def burst(depth: int) -> QoSProfile:
    """Best effort, but no sample lost between two turns of the executor."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


def incompatible(offered: QoSProfile, requested: QoSProfile) -> bool:
    """Whether a publisher with one profile certainly cannot reach a subscriber with the other."""
    verdict, _ = qos_check_compatible(offered, requested)
    return bool(verdict == QoSCompatibility.ERROR)


def describe(profile: Any) -> str:
    """Reliability and durability, which decide whether two ends talk to each other."""
    return f'{profile.reliability.name}, {profile.durability.name}'.lower()


def describe_ends(ends: list[Any]) -> str:
    """Each end of a topic with its node and profile."""
    if not ends:
        return 'none'
    return '; '.join(f'{e.node_namespace.rstrip("/")}/{e.node_name}: {describe(e.qos_profile)}'
                     for e in ends)  # fmt: skip


def subscription_events(
    node: Node, topic: str, requested: QoSProfile, warn: Callable[[str], None]
) -> SubscriptionEventCallbacks:
    """Report a publisher that cannot reach us, with both profiles."""

    def incompatible(_: Any) -> None:
        offered = describe_ends(node.get_publishers_info_by_topic(topic))
        warn(
            f'{topic}: a publisher has incompatible QoS and no message of it arrives; we request '
            f'{describe(requested)}, offered: {offered}; set qos_image or change the publisher'
        )

    return SubscriptionEventCallbacks(incompatible_qos=incompatible)


def publisher_events(
    node: Node, topic: str, offered: QoSProfile, warn: Callable[[str], None]
) -> PublisherEventCallbacks:
    """Report a subscriber that we cannot reach, with both profiles."""

    def incompatible(_: Any) -> None:
        requested = describe_ends(node.get_subscriptions_info_by_topic(topic))
        warn(
            f'{topic}: a subscriber has incompatible QoS and gets nothing; we offer '
            f'{describe(offered)}, requested: {requested}; change the subscriber'
        )

    return PublisherEventCallbacks(incompatible_qos=incompatible)
