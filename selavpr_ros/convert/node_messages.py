# SPDX-License-Identifier: MIT
"""What the node says about itself -> ROS messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from selavpr.msg import LocalizerStatus, MapInfo
from selavpr.srv import SetMode
from std_msgs.msg import Header

from selavpr_ros.config import Mode
from selavpr_ros.convert import to_ros

MODES = {
    Mode.LOCALIZE: SetMode.Request.LOCALIZE,
    Mode.PAUSE: SetMode.Request.PAUSE,
    Mode.SLAM: SetMode.Request.SLAM,
    Mode.UPDATE: SetMode.Request.UPDATE,
}
"""Mode -> number in LocalizerStatus and SetMode."""


def mode_of(number: int) -> Mode | None:
    """The mode of that number; None where there is none."""
    return next((mode for mode, value in MODES.items() if value == number), None)


def status(
    stamp: Header, fields: Mapping[str, object], drops: Mapping[str, int]
) -> LocalizerStatus:
    """fields: names of LocalizerStatus -> values; drops: reason -> images."""
    return LocalizerStatus(
        header=stamp,
        frames_dropped=sum(drops.values()),
        drop_reasons=list(drops),
        drop_counts=list(drops.values()),
        **fields,
    )


def map_info(stamp: Header, fields: Mapping[str, object], created_ns: int) -> MapInfo:
    """fields: names of MapInfo -> values."""
    return MapInfo(header=stamp, created=to_ros.time(created_ns), **fields)


def diagnostic(
    name: str, hardware: str, level: int, message: str, values: Mapping[str, object]
) -> DiagnosticStatus:
    """One DiagnosticStatus; level: 0 OK, 1 WARN, 2 ERROR."""
    return DiagnosticStatus(
        level=bytes([level]),
        name=name,
        hardware_id=hardware,
        message=message,
        values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
    )


def diagnostics(stamp_ns: int, parts: Iterable[DiagnosticStatus]) -> DiagnosticArray:
    return DiagnosticArray(header=to_ros.header(stamp_ns, ''), status=list(parts))
