# SPDX-License-Identifier: MIT
"""A SLAM back end in one file: odometry and loop closures in, the corrected path out.

ros2 launch selavpr slam.launch.py map:=~/maps/new image_topic:=/camera/image_raw
python examples/pose_graph/node.py --ros-args -r loop_closures:=/localizer/loop_closures
"""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
from graph import PoseGraph, turned
from nav_msgs.msg import Odometry, Path
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data, QoSProfile
from selavpr.msg import LoopClosure

from selavpr_model.poses import inverse, PoseTrack
from selavpr_ros.convert import from_ros, to_ros

SPACING_M = 1.0  # of the poses in the graph
GAP_NS = 500_000_000  # odometry further from an image than this is not that image's


class PoseGraphNode(Node):
    """Keys of the graph are stamps: a closure names its two images by theirs."""

    def __init__(self, **kwargs) -> None:
        super().__init__('pose_graph', **kwargs)
        identity = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        given = self.declare_parameter('base_camera', identity).value
        self.T_base_camera = from_ros.checked_pose(given)
        self.graph = PoseGraph()
        self.stamps: list[int] = []
        self.poses: list[np.ndarray] = []
        self.frame, self.changed = 'odom', False
        self.create_subscription(Odometry, 'odom', self.on_odometry, qos_profile_sensor_data)
        reliable = QoSProfile(depth=100)
        self.create_subscription(LoopClosure, 'loop_closures', self.on_closure, reliable)
        self.path = self.create_publisher(Path, 'corrected_path', 10)
        self.create_timer(1.0, self.solve)

    def on_odometry(self, message: Odometry) -> None:
        stamp, pose = from_ros.stamp_ns(message), from_ros.pose_matrix(message.pose)
        self.frame = message.header.frame_id or self.frame
        self.stamps.append(stamp)
        self.poses.append(pose)
        keys = self.graph.keys
        last = self.graph.odometry[keys[-1]] if keys else None
        if last is None or np.linalg.norm(pose[:3, 3] - last[:3, 3]) >= SPACING_M:
            self.graph.add_keyframe(stamp, pose)

    def on_closure(self, closure: LoopClosure) -> None:
        """Only verified ones; a candidate is a question, not an answer."""
        if closure.type != LoopClosure.VERIFIED:
            return
        track = PoseTrack(self.stamps, self.poses)
        ends = [from_ros.stamp_ns(t) for t in (closure.stamp_from, closure.stamp_to)]
        poses = [track.at(stamp, GAP_NS) for stamp in ends]
        if poses[0] is None or poses[1] is None:
            self.get_logger().warning('a closure without odometry at both of its images')
            return
        for stamp, pose in zip(ends, poses, strict=True):
            self.graph.add_keyframe(stamp, pose)
        T, covariance = None, None
        if closure.pose_type == LoopClosure.POSE_METRIC:
            T_cameras = from_ros.pose_matrix(closure.pose)
            T = self.T_base_camera @ T_cameras @ inverse(self.T_base_camera)
            of_cameras = np.asarray(closure.pose.covariance).reshape(6, 6)
            covariance = turned(of_cameras, self.T_base_camera[:3, :3])
        self.graph.add_closure(*ends, T, covariance)
        self.changed = True

    def solve(self) -> None:
        if not self.changed:
            return
        self.changed = False
        corrected = self.graph.optimise()
        path = Path(header=to_ros.header(self.stamps[-1], self.frame))
        path.poses = [
            PoseStamped(header=to_ros.header(stamp, self.frame), pose=to_ros.pose_of(T))
            for stamp, T in corrected.items()
        ]
        self.path.publish(path)


def main() -> None:
    rclpy.init()
    node = PoseGraphNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
