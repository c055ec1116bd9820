# SPDX-License-Identifier: MIT
"""The recipe for rtabmap: closures become links."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from selavpr_model.records import SECOND

from where import ROOT

sys.path.insert(0, str(ROOT / 'examples' / 'rtabmap'))

from recipe_helpers import START_NS

from selavpr_model.errors import InputError
from selavpr_model.poses import inverse, PoseTrack

pytestmark = pytest.mark.usefixtures('ros')
HAS_RTABMAP = importlib.util.find_spec('rtabmap_msgs') is not None


def matrix(seed, spread_m=3.0):
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    T[:3, 3] = rng.normal(0.0, spread_m, 3)
    return T


def covariance(seed):
    """(6, 6) with everything correlated, some centimetres and degrees."""
    A = np.random.default_rng(seed).normal(size=(6, 6)) * np.repeat([0.1, 0.03], 3)[:, None]
    return A @ A.T


def closure(T=None, C=None, stamps=(0, 0), **fields):
    """VERIFIED and METRIC, unless told otherwise."""
    from geometry_msgs.msg import PoseWithCovariance
    from selavpr.msg import LoopClosure

    from selavpr_ros.convert import to_ros

    given = {'type': LoopClosure.VERIFIED, 'pose_type': LoopClosure.POSE_METRIC, **fields}
    made = LoopClosure(stamp_from=to_ros.time(stamps[0]), stamp_to=to_ros.time(stamps[1]))
    pose = to_ros.pose_of(np.eye(4) if T is None else T)
    C = np.eye(6) * 0.01 if C is None else C
    made.pose = PoseWithCovariance(pose=pose, covariance=C.ravel())
    for name, value in given.items():
        setattr(made, name, value)
    return made


class TestLink:
    """examples/rtabmap/add_link.py without rtabmap: geometry."""

    @pytest.mark.parametrize('seed', range(5))
    def test_it_is_the_motion_between_the_bases_at_the_nodes(self, seed):
        """Nodes are taken at other times than the images, and odometry has a frame of its own."""
        import add_link

        rng = np.random.default_rng(seed)
        stamps = START_NS + np.arange(0, 100) * SECOND // 10
        truth = [np.eye(4)]
        for i in range(99):
            step = np.eye(4)
            turn = rng.normal(0.0, 0.1, 3)
            step[:3, :3], step[0, 3] = Rotation.from_rotvec(turn).as_matrix(), 0.1
            truth.append(truth[i] @ step)
        T_odom_map, T_base_camera = matrix(100 + seed), matrix(200 + seed, 0.3)
        odometry = PoseTrack(list(stamps), [T_odom_map @ T for T in truth])
        nodes = {7: int(stamps[13]), 8: int(stamps[30]), 9: int(stamps[87])}
        images = (int(stamps[10]), int(stamps[90]))
        T = inverse(truth[10] @ T_base_camera) @ truth[90] @ T_base_camera
        (old, T_old), (new, T_new) = (
            add_link.attach(nodes, odometry, stamp, SECOND) for stamp in images
        )
        made = add_link.link(closure(T), (old, new), T_old @ T_base_camera, T_new @ T_base_camera)
        assert (made['from_id'], made['to_id']) == (9, 7)
        from selavpr_ros.convert import from_ros

        np.testing.assert_allclose(
            from_ros.pose_matrix(made['transform']), inverse(truth[87]) @ truth[13], atol=1e-9
        )

    @pytest.mark.parametrize('seed', range(5))
    def test_its_information_is_that_of_an_error_along_the_axes_of_its_end(self, seed):
        """By moving the closure's pose a little: what g2o and GTSAM call the error of an edge."""
        import add_link

        from selavpr_ros.convert import from_ros

        T, C = matrix(seed), covariance(seed)
        cameras = matrix(10 + seed), matrix(20 + seed)

        def edge(motion):
            """motion: (6,) along the fixed axes of the camera `from`, as the message says."""
            moved = T.copy()
            moved[:3, :3] = Rotation.from_rotvec(motion[3:]).as_matrix() @ T[:3, :3]
            moved[:3, 3] += motion[:3]
            return from_ros.pose_matrix(
                add_link.link(closure(moved, C), (1, 2), *cameras)['transform']
            )

        still, columns = inverse(edge(np.zeros(6))), []
        for axis in 1e-6 * np.eye(6):
            error = still @ edge(axis)
            turn = Rotation.from_matrix(error[:3, :3]).as_rotvec()
            columns.append(np.concatenate([error[:3, 3], turn]) / 1e-6)
        J = np.array(columns).T
        information = add_link.link(closure(T, C), (1, 2), *cameras)['information']
        np.testing.assert_allclose(
            np.linalg.inv(information.reshape(6, 6)), J @ C @ J.T, rtol=1e-3, atol=1e-6
        )

    def test_what_rtabmap_would_abort_on_is_never_sent(self):
        """It asserts a type above 0 and a positive, finite diagonal."""
        import add_link

        made = add_link.link(closure(), (1, 2), np.eye(4), np.eye(4))
        assert made['type'] == 4 and (np.diagonal(made['information'].reshape(6, 6)) > 0).all()
        for C in (np.zeros((6, 6)), np.full((6, 6), np.nan), -np.eye(6)):
            with pytest.raises(InputError, match='covariance'):
                add_link.link(closure(C=C), (1, 2), np.eye(4), np.eye(4))
        with pytest.raises(InputError, match='2 -> 2'):
            add_link.link(closure(), (2, 2), np.eye(4), np.eye(4))

    def test_a_closure_without_metres_is_explained_in_one_line(self):
        import add_link
        from selavpr.msg import LoopClosure

        for kind in (LoopClosure.POSE_NONE, LoopClosure.POSE_ROTATION_AND_DIRECTION):
            with pytest.raises(InputError, match='metres') as told:
                add_link.link(closure(pose_type=kind), (1, 2), np.eye(4), np.eye(4))
            assert '\n' not in str(told.value)

    def test_an_end_without_node_or_odometry_is_none(self):
        import add_link

        track = PoseTrack([0, SECOND], [np.eye(4), np.eye(4)])
        with pytest.raises(InputError, match='no node'):
            add_link.attach({}, track, 0, SECOND)
        with pytest.raises(InputError, match='no node'):
            add_link.attach({1: 3 * SECOND}, track, SECOND, SECOND)
        with pytest.raises(InputError, match='no odometry'):
            add_link.attach({1: 3 * SECOND}, track, 3 * SECOND, SECOND)

    @pytest.mark.skipif(HAS_RTABMAP, reason='rtabmap_msgs is installed')
    def test_without_rtabmap_it_says_in_one_line_what_to_install(self):
        words = [sys.executable, str(ROOT / 'examples' / 'rtabmap' / 'add_link.py')]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and 'Traceback' not in ended.stderr
        assert 'rtabmap-msgs' in ended.stderr and ended.stderr.strip().count('\n') == 0


@pytest.mark.skipif(not HAS_RTABMAP, reason='rtabmap_msgs is not installed (docs/recipes.md)')
class TestWithTheTypesOfRtabmap:
    """A service server in place of rtabmap, everything over DDS."""

    def test_verified_metric_closures_become_requests_and_nothing_else_does(self):
        from add_link import AddLinkNode
        from nav_msgs.msg import Odometry
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from rtabmap_msgs.msg import MapData
        from rtabmap_msgs.msg import Node as MapNode
        from rtabmap_msgs.srv import AddLink
        from selavpr.msg import LoopClosure

        from selavpr_ros.convert import from_ros, to_ros

        node = AddLinkNode(namespace='links')
        rtabmap = rclpy.create_node('rtabmap', namespace='links')
        executor, asked = SingleThreadedExecutor(), []
        for made in (node, rtabmap):
            executor.add_node(made)

        def on_link(request, response):
            asked.append(request.link)
            return response

        rtabmap.create_service(AddLink, 'add_link', on_link)
        odometry = rtabmap.create_publisher(Odometry, 'odom', qos_profile_sensor_data)
        map_data = rtabmap.create_publisher(MapData, 'mapData', 1)
        closures = rtabmap.create_publisher(LoopClosure, 'loop_closures', 100)

        def until(condition):
            for _ in range(600):
                if condition():
                    return
                executor.spin_once(timeout_sec=0.05)
            raise AssertionError('nothing came')

        until(lambda: all(p.get_subscription_count() for p in (odometry, map_data, closures)))
        until(node.client.service_is_ready)
        for i in range(61):  # 1 m/s straight on, ten times a second
            message = Odometry(header=to_ros.header(START_NS + i * SECOND // 10, 'odom'))
            message.pose.pose.position.x = i / 10
            odometry.publish(message)
            until(lambda i=i: len(node.odometry) == i + 1)
        ends = (START_NS + SECOND, START_NS + 5 * SECOND)
        T = np.eye(4)
        T[0, 3] = 0.5
        for kind in (LoopClosure.CANDIDATE, LoopClosure.REJECTED):
            closures.publish(closure(T, stamps=ends, type=kind))
        closures.publish(closure(T, stamps=ends, pose_type=LoopClosure.POSE_NONE))
        closures.publish(closure(T, stamps=ends))
        until(lambda: len(node.pending) == 2)

        def update(ids):
            """Node i at i + 0.25 s; 3 is one that rtabmap has thrown away."""
            message = MapData()
            message.graph.poses_id = [i for i in ids if i != 3]
            message.nodes = [MapNode(id=i, stamp=START_NS / 1e9 + i + 0.25) for i in ids[-1:]]
            map_data.publish(message)
            until(lambda: ids[-1] in node.seen)

        for latest in range(1, 5):
            update(list(range(1, latest + 1)))
        assert len(node.pending) == 2 and not asked  # no node after the later image yet
        update([1, 2, 3, 4, 5])
        until(lambda: asked)
        (link,) = asked
        assert (link.from_id, link.to_id, link.type) == (5, 1, 4)
        # The images were taken 0.25 m before the nodes, at both ends.
        expected = np.eye(4)
        expected[0, 3] = -0.5
        np.testing.assert_allclose(from_ros.pose_matrix(link.transform), expected, atol=1e-6)
        assert np.linalg.inv(link.information.reshape(6, 6))[0, 0] == pytest.approx(0.01)
        assert not node.pending
        for made in (node, rtabmap):
            made.destroy_node()
