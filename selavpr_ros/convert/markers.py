# SPDX-License-Identifier: MIT
"""What RViz draws on ~/markers: the places, where the robot is, and the loops that closed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from geometry_msgs.msg import Point, Vector3
import numpy as np
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from selavpr_model.records import ClosureKind, LoopClosure
from selavpr_ros.convert.to_ros import base_of, Body, header, Outcome, pose_of, robot_pose

BLUE, GREEN, RED = (0.3, 0.5, 0.9), (0.1, 0.8, 0.2), (0.9, 0.15, 0.1)
KEPT = 2000  # lines of each kind, the newest: RViz must not slow down over a long run


def keyframes(positions: np.ndarray, stamp_ns: int, frame: str) -> MarkerArray:
    """(N, 3) m -> one list of spheres that replaces the last one; NaN rows are left out."""
    finite = positions[np.isfinite(positions).all(axis=1)]
    spheres = marker(stamp_ns, frame, 'keyframes', Marker.SPHERE_LIST, 0.3, BLUE)
    spheres.points = [point(p) for p in finite]
    clear = Marker(header=header(stamp_ns, frame), ns='keyframes', action=Marker.DELETEALL)
    return MarkerArray(markers=[spheres] if len(finite) else [clear])


def match(outcome: Outcome, body: Body) -> MarkerArray | None:
    """An arrow at the robot and a line to the matched place; both deleted unless LOCALIZED.

    In SLAM the arrow is at the last keyframe, where odometry put it, if that is in the frame of
    the map; None between keyframes.
    """
    stamp = outcome.recognition.stamp_ns
    arrow = marker(stamp, body.map_frame, 'robot', Marker.ARROW, 0.3, GREEN)
    line = marker(stamp, body.map_frame, 'match', Marker.LINE_LIST, 0.1, GREEN)
    arrow.scale.x = 2.0
    if outcome.closures is not None:
        if outcome.keyframe is None:
            return None
        pose, line.action = outcome.keyframe.pose, Marker.DELETE
        if pose is None:
            arrow.action = Marker.DELETE
        else:
            arrow.pose = pose_of(base_of(pose, body))
        return MarkerArray(markers=[arrow, line])
    robot = robot_pose(outcome.recognition, body)
    if robot is None:
        arrow.action = line.action = Marker.DELETE
        return MarkerArray(markers=[arrow, line])
    arrow.pose = robot.pose.pose
    place = outcome.recognition.candidates[0].place.pose
    if place is not None:
        line.points = [robot.pose.pose.position, point(place[:3, 3])]
    return MarkerArray(markers=[arrow, line] if place is not None else [arrow])


class ClosureLines:
    """The closures in a map so far: green where VERIFIED, red where REJECTED.

    Belongs to the worker. Closures of keyframes without a pose in the map cannot be drawn.
    """

    def __init__(self) -> None:
        self._map_id = ''
        self._ends: dict[ClosureKind, deque[tuple[Point, Point]]] = {
            kind: deque(maxlen=KEPT) for kind in (ClosureKind.VERIFIED, ClosureKind.REJECTED)
        }

    def add(self, closures: Iterable[LoopClosure], map_id: str) -> bool:
        """Whether there is something new to draw; nothing stays of another map."""
        new = map_id != self._map_id and any(self._ends.values())
        if map_id != self._map_id:
            self._map_id = map_id
            for ends in self._ends.values():
                ends.clear()
        for closure in closures:
            poses = closure.before.pose, closure.after.pose
            if closure.kind in self._ends and poses[0] is not None and poses[1] is not None:
                self._ends[closure.kind].append((point(poses[0][:3, 3]), point(poses[1][:3, 3])))
                new = True
        return new

    def markers(self, stamp_ns: int, frame: str) -> MarkerArray:
        """Two lists of lines that replace the last ones; rejected ones are thinner."""
        looks = {ClosureKind.VERIFIED: (0.15, GREEN), ClosureKind.REJECTED: (0.05, RED)}
        kinds = []
        for kind, ends in self._ends.items():
            name = kind.name.lower()
            lines = marker(stamp_ns, frame, name, Marker.LINE_LIST, *looks[kind])
            lines.points = [end for pair in ends for end in pair]
            lines.action = Marker.ADD if ends else Marker.DELETE
            kinds.append(lines)
        return MarkerArray(markers=kinds)


def marker(
    stamp_ns: int, frame: str, name: str, kind: int, size: float, rgb: tuple[float, float, float]
) -> Marker:
    shape = Marker(header=header(stamp_ns, frame), ns=name, type=kind, action=Marker.ADD)
    shape.pose.orientation.w = 1.0
    shape.scale = Vector3(x=size, y=size, z=size)
    shape.color = ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=1.0)
    return shape


def point(xyz: np.ndarray) -> Point:
    x, y, z = (float(v) for v in xyz)
    return Point(x=x, y=y, z=z)
