# SPDX-License-Identifier: MIT
"""examples/pose_graph: what closures do to a drifting way, by GTSAM where it is installed."""

import math
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from where import ROOT

pytest.importorskip('gtsam', reason='install examples/pose_graph/requirements.txt')
EXAMPLE = ROOT / 'examples' / 'pose_graph'
sys.path.insert(0, str(EXAMPLE))


def circle(turn_deg: float) -> np.ndarray:
    """80 poses twice around, each turn of 9 degrees a little wrong."""
    step = np.eye(4)
    step[:3, :3] = Rotation.from_euler('z', 9.0 + turn_deg, degrees=True).as_matrix()
    step[0, 3] = 2.0
    poses = [np.eye(4)]
    for _ in range(79):
        poses.append(poses[-1] @ step)
    return np.array(poses)


@pytest.fixture
def drifting():
    from graph import PoseGraph

    truth, odometry = circle(0.0), circle(0.2)
    graph = PoseGraph()
    for key, pose in enumerate(odometry):
        graph.add_keyframe(key, pose)
    return graph, truth, odometry


def error(graph, truth):
    from graph import trajectory_error

    return trajectory_error(np.array(list(graph.optimise().values())), truth)


def test_closures_without_a_pose_take_most_of_the_drift_away(drifting):
    from graph import trajectory_error

    graph, truth, odometry = drifting
    before = trajectory_error(odometry, truth)
    assert error(graph, truth) == pytest.approx(before, rel=1e-3)  # nothing closed, nothing moved
    for key in range(42, 80, 4):
        graph.add_closure(key - 40, key)
    assert error(graph, truth) < 0.2 * before


def test_wrong_closures_lose_their_weight(drifting):
    graph, truth, _ = drifting
    for key in range(42, 80, 4):
        graph.add_closure(key - 40, key)
    without = error(graph, truth)
    for a, b in ((3, 60), (10, 71), (25, 44)):
        graph.add_closure(a, b)
    assert error(graph, truth) == pytest.approx(without, rel=0.05)


def test_a_metric_closure_is_taken_with_its_covariance(drifting):
    graph, truth, _ = drifting
    covariance = np.diag([0.01] * 3 + [math.radians(0.5) ** 2] * 3)
    for key in range(42, 80, 4):
        motion = np.linalg.inv(truth[key - 41]) @ truth[key]
        graph.add_closure(key - 41, key, motion, covariance)
    assert error(graph, truth) < 0.3


def test_the_node_corrects_its_path_with_verified_closures_only(ros):
    from nav_msgs.msg import Odometry
    from nav_msgs.msg import Path as PathMessage
    from node import PoseGraphNode
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import qos_profile_sensor_data
    from selavpr.msg import LoopClosure

    from selavpr_ros.convert import to_ros

    node, user = PoseGraphNode(namespace='graph'), rclpy.create_node('user', namespace='graph')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(user)
    paths = []
    user.create_subscription(PathMessage, 'corrected_path', paths.append, 10)
    odometry = user.create_publisher(Odometry, 'odom', qos_profile_sensor_data)
    closures = user.create_publisher(LoopClosure, 'loop_closures', 100)

    def until(condition):
        for _ in range(600):
            if condition():
                return
            executor.spin_once(timeout_sec=0.05)
        raise AssertionError('nothing came')

    until(lambda: odometry.get_subscription_count() and closures.get_subscription_count())
    until(lambda: node.path.get_subscription_count())
    for key, pose in enumerate(circle(0.2)):
        message = Odometry(header=to_ros.header(key * 10**9, 'odom'))
        message.pose.pose = to_ros.pose_of(pose)
        odometry.publish(message)
        until(lambda key=key: node.stamps and node.stamps[-1] == key * 10**9)
    pairs = [(a, a + 40, LoopClosure.VERIFIED) for a in range(2, 40, 4)]
    for a, b, kind in [*pairs, (3, 60, LoopClosure.CANDIDATE)]:
        stamps = {'stamp_from': to_ros.time(a * 10**9), 'stamp_to': to_ros.time(b * 10**9)}
        closures.publish(LoopClosure(type=kind, pose=to_ros.no_pose(), **stamps))
    until(lambda: len(node.graph.closures) == len(pairs))
    paths.clear()
    until(lambda: paths and len(paths[-1].poses) == 80)
    from graph import trajectory_error

    from selavpr_ros.convert import from_ros

    corrected = np.array([from_ros.pose_matrix(pose) for pose in paths[-1].poses])
    before = trajectory_error(circle(0.2), circle(0.0))
    assert trajectory_error(corrected, circle(0.0)) < 0.2 * before
    assert len(node.graph.closures) == len(pairs)
    for made in (node, user):
        made.destroy_node()


def test_a_closures_covariance_lies_along_the_axes_of_its_first_keyframe():
    from graph import PoseGraph
    import gtsam

    T, covariance = np.eye(4), np.diag([0.01, 1.0, 4.0, 0.1, 0.2, 0.3]) ** 2
    T[:3, :3] = Rotation.from_euler('xyz', (30, 50, 80), degrees=True).as_matrix()
    T[:3, 3] = 1.0, 2.0, 3.0
    factor = PoseGraph()._closure_factor(0, 1, T, covariance)
    for axis in range(3):
        moved = T.copy()
        moved[axis, 3] += 0.02
        values = gtsam.Values()
        values.insert(0, gtsam.Pose3())
        values.insert(1, gtsam.Pose3(moved))
        expected = 0.5 * 0.02**2 / covariance[axis, axis]
        assert factor.error(values) == pytest.approx(expected, rel=1e-3)
