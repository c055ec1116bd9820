# SPDX-License-Identifier: MIT
"""Tell rtabmap of the loops that selavpr closed: LoopClosure in, AddLink requests out.

python3 examples/rtabmap/add_link.py --ros-args -r loop_closures:=/localizer/loop_closures \
    -r mapData:=/rtabmap/mapData -r add_link:=/rtabmap/rtabmap/add_link
"""

from __future__ import annotations

from importlib import import_module
import sys
from typing import Any

from geometry_msgs.msg import Transform, Vector3
from nav_msgs.msg import Odometry
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from selavpr.msg import LoopClosure

from selavpr_model.errors import InputError
from selavpr_model.poses import inverse, PoseTrack
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.node import qos

USER_CLOSURE = 4  # rtabmap::Link::kUserClosure; with 0, an empty message's, rtabmap aborts
ODOM_GAP_NS = 200_000_000  # odometry further from a stamp than this is not that stamp's


def attach(nodes: dict, track: PoseTrack, stamp_ns: int, most_ns: int) -> tuple[int, np.ndarray]:
    """The node (id: stamp in ns) closest in time, and (4, 4) the base then in the base at it."""
    best = min(nodes, key=lambda i: abs(nodes[i] - stamp_ns), default=None)
    if best is None or abs(nodes[best] - stamp_ns) > most_ns:
        raise InputError(f'rtabmap has no node within {most_ns / 1e9:g} s of {stamp_ns} ns')
    node, image = (track.at(stamp, ODOM_GAP_NS) for stamp in (nodes[best], stamp_ns))
    if node is None or image is None:
        raise InputError(f'no odometry at {nodes[best]} or {stamp_ns} ns: remap odom')
    return best, np.asarray(inverse(node) @ image)


def link(closure: Any, ids: tuple[int, int], T_old_from: Any, T_new_to: Any) -> dict[str, Any]:
    """Fields of rtabmap_msgs/Link from the newer node to the older, as rtabmap itself makes them.

    ids: of the old node and the new; T_old_from, T_new_to: (4, 4) the closure's cameras in the
    bases at these. The information is that of a small motion along the axes of `to_id`.
    """
    if closure.pose_type != LoopClosure.POSE_METRIC:
        raise InputError('no pose in metres, which a link needs; see slam.verify of selavpr')
    T_old_to = T_old_from @ from_ros.pose_matrix(closure.pose)
    J = np.kron(np.eye(2), T_old_from[:3, :3])
    J[:3, 3:] = np.cross(np.eye(3), T_old_to[:3, 3]) @ T_old_from[:3, :3]  # about the old base
    C = J @ np.asarray(closure.pose.covariance).reshape(6, 6) @ J.T
    if not np.isfinite(C).all() or np.linalg.eigvalsh(C)[0] <= 0.0 or ids[0] == ids[1]:
        raise InputError(f'a link {ids[1]} -> {ids[0]} with covariance {np.diagonal(C)} is none')
    pose = to_ros.pose_of(T_new_to @ inverse(T_old_to))
    p = pose.position
    made = Transform(translation=Vector3(x=p.x, y=p.y, z=p.z), rotation=pose.orientation)
    fields = {'from_id': ids[1], 'to_id': ids[0], 'type': USER_CLOSURE, 'transform': made}
    return {**fields, 'information': np.linalg.inv(C).ravel()}


class AddLinkNode(Node):
    """rtabmap numbers its nodes itself: they are found by stamp, and odometry bridges the rest."""

    def __init__(self, **kwargs: Any) -> None:
        msg, srv = (import_module(f'rtabmap_msgs.{part}') for part in ('msg', 'srv'))
        super().__init__('add_link', **kwargs)
        self.Link, self.Request = msg.Link, srv.AddLink.Request
        given = self.declare_parameter('base_camera', [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).value
        self.T_base_camera = from_ros.checked_pose(given)
        self.most_ns = round(1e9 * self.declare_parameter('node_gap_s', 2.0).value)
        self.seen: dict[int, int] = {}  # stamps of all nodes: many never get into the graph
        self.odometry: dict[int, np.ndarray] = {}
        self.pending: list[LoopClosure] = []
        self.create_subscription(Odometry, 'odom', self.on_odometry, qos.burst(100))
        self.create_subscription(msg.MapData, 'mapData', self.on_map, qos.reliable(10))
        self.create_subscription(LoopClosure, 'loop_closures', self.on_closure, qos.reliable(100))
        self.client = self.create_client(srv.AddLink, 'add_link')

    def on_odometry(self, message: Odometry) -> None:
        self.odometry[from_ros.stamp_ns(message)] = from_ros.pose_matrix(message.pose)

    def on_closure(self, closure: LoopClosure) -> None:
        if closure.type == LoopClosure.VERIFIED:
            self.pending.append(closure)  # until rtabmap has a node after it

    def on_map(self, message: Any) -> None:
        self.seen |= {node.id: round(1e9 * node.stamp) for node in message.nodes}
        nodes = {i: self.seen[i] for i in message.graph.poses_id if i in self.seen}
        latest = max(nodes.values(), default=0)
        while self.pending and from_ros.stamp_ns(self.pending[0].stamp_to) <= latest:
            self.send(self.pending.pop(0), nodes)

    def send(self, closure: LoopClosure, nodes: dict[int, int]) -> None:
        ends = [from_ros.stamp_ns(stamp) for stamp in (closure.stamp_from, closure.stamp_to)]
        track, T = PoseTrack(list(self.odometry), list(self.odometry.values())), self.T_base_camera
        try:
            (old, T_old), (new, T_new) = (attach(nodes, track, t, self.most_ns) for t in ends)
            fields = link(closure, (old, new), T_old @ T, T_new @ T)
        except InputError as error:
            self.get_logger().info(f'closure {ends[0]} -> {ends[1]} ns skipped: {error}')
            return
        there = self.client.service_is_ready()
        self.client.call_async(self.Request(link=self.Link(**fields)))
        self.get_logger().info(f'link {new} -> {old} sent; service is there: {there}')


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(AddLinkNode())
    except ImportError as error:
        sys.exit(f'{error}: sudo apt install ros-$ROS_DISTRO-rtabmap-msgs, then source ROS again')
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


if __name__ == '__main__':
    main()
