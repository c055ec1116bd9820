# SPDX-License-Identifier: MIT
"""docs/recipes.md and what it tells people to copy: files that load, edges that are right."""

import importlib.util
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from where import ROOT

sys.path.insert(0, str(ROOT / 'examples' / 'rtabmap'))

from selavpr_model.errors import InputError
from selavpr_model.poses import inverse, PoseTrack

pytestmark = pytest.mark.usefixtures('ros')
DOC = (ROOT / 'docs' / 'recipes.md').read_text(encoding='utf-8')
EKF = ROOT / 'examples' / 'robot_localization' / 'ekf.yaml'
NAV2 = ROOT / 'examples' / 'nav2' / 'localizer.yaml'
AXES = ['x', 'y', 'z', 'roll', 'pitch', 'yaw']
STATE = [*AXES, *(f'v{axis}' for axis in AXES), 'ax', 'ay', 'az']  # of robot_localization
SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
HAS_RTABMAP = importlib.util.find_spec('rtabmap_msgs') is not None


def parameters(path, node):
    """What a node of that name gets from the file, by the parser of ROS itself."""
    from rclpy.node import Node

    words = ['--ros-args', '--params-file', str(path)]
    made = Node(node, cli_args=words, automatically_declare_parameters_from_overrides=True)
    found = {name: p.value for name, p in made.get_parameters_by_prefix('').items()}
    made.destroy_node()
    return found


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


class TestDocument:
    def test_the_files_it_names_are_there(self):
        named = re.findall(r'`((?:examples|docs|config|tests|launch)/[\w/.]+)`', DOC)
        assert named and [name for name in named if not (ROOT / name).exists()] == []

    def test_its_launch_lines_use_arguments_that_are_declared(self):
        lines = re.findall(r'ros2 launch selavpr (\S+) ((?:.*\\\n)*.*)', DOC)
        assert lines
        for name, words in lines:
            text = (ROOT / 'launch' / name).read_text(encoding='utf-8')
            text += (ROOT / 'launch' / 'localize.launch.py').read_text(encoding='utf-8')
            for argument in re.findall(r'(\w+):=', words):
                assert re.search(rf"'{argument}',", text), f'{name}: no argument {argument}'

    def test_every_recipe_says_what_was_tried_and_what_was_not(self):
        recipes = re.split(r'^## ', DOC, flags=re.MULTILINE)[1:]
        titles = [recipe.splitlines()[0] for recipe in recipes]
        for name in ('rtabmap', 'slam_toolbox', 'Nav2', 'robot_localization'):
            (recipe,) = [r for r, title in zip(recipes, titles, strict=True) if name in title]
            assert '**Tried here.**' in recipe and '**Not verified.**' in recipe, name

    def test_its_table_of_the_filter_is_what_the_file_says(self):
        given = parameters(EKF, 'ekf_filter_node')
        rows = re.findall(
            r'^\| `((?:pose0|world|smooth|history|two)\w*)` \| `([^`]+)` \|', DOC, re.M
        )
        assert len(rows) >= 6
        for name, said in rows:
            value = given[name]
            if isinstance(value, list):
                value = ', '.join(s for s, on in zip(STATE, value, strict=True) if on)
            assert said == (str(value).lower() if isinstance(value, bool) else str(value)), name


class TestFilter:
    """examples/robot_localization/ekf.yaml, as the parser of ROS reads it."""

    def test_lists_have_the_lengths_and_types_that_the_filter_declares(self):
        given = parameters(EKF, 'ekf_filter_node')
        for name in ('odom0_config', 'pose0_config'):
            assert [type(v) for v in given[name]] == [bool] * 15
        P = np.asarray(given['initial_estimate_covariance'])
        assert P.dtype == float and P.shape == (225,)  # one integer would be refused
        P = P.reshape(15, 15)
        assert (P == P.T).all() and (np.linalg.eigvalsh(P) > 0.0).all()
        assert type(given['pose0_rejection_threshold']) is float

    def test_odometry_gives_velocities_and_selavpr_the_place(self):
        given = parameters(EKF, 'ekf_filter_node')
        chosen = {n: [s for s, on in zip(STATE, given[n], strict=True) if on]
                  for n in ('odom0_config', 'pose0_config')}  # fmt: skip
        assert chosen == {'odom0_config': ['vx', 'vy', 'vyaw'], 'pose0_config': ['x', 'y', 'yaw']}
        assert not given['pose0_differential'] and not given['pose0_relative']
        assert given['world_frame'] == given['map_frame']

    def test_the_first_pose_is_within_its_threshold_wherever_it_is(self):
        given = parameters(EKF, 'ekf_filter_node')
        P = np.asarray(given['initial_estimate_covariance']).reshape(15, 15)[
            np.ix_([0, 1, 5], [0, 1, 5])
        ]
        off = np.array([200.0, 200.0, math.pi])
        assert off @ np.linalg.inv(P) @ off < given['pose0_rejection_threshold'] ** 2


class TestOverDDS:
    """What the back ends subscribe with, against the node itself."""

    def test_poses_arrive_as_each_of_them_listens_and_are_what_it_takes(self, street, street_map):
        from geometry_msgs.msg import PoseWithCovarianceStamped
        from rclpy.qos import qos_profile_system_default, QoSProfile
        from robot import Robot

        from selavpr_ros.convert import from_ros
        from selavpr_ros.node import qos

        ekf = parameters(EKF, 'ekf_filter_node')
        given = parameters(NAV2, 'localizer')
        heard = {'ekf': [], 'amcl': [], 'slam_toolbox': []}
        listeners = {
            'ekf': (ekf['pose0'], qos.burst(ekf['pose0_queue_size'])),
            'amcl': ('initialpose', qos_profile_system_default),
            'slam_toolbox': ('initialpose', QoSProfile(depth=1)),
        }
        with Robot(map=str(street_map), foreign_clock_s=1e9, **given) as robot:
            for name, (topic, profile) in listeners.items():
                robot.user.create_subscription(
                    PoseWithCovarianceStamped, topic, heard[name].append, profile
                )
            robot.until_active()
            camera = robot.camera()
            for i in range(2):
                robot.ask(camera, robot.picture(street[3].image, START_NS + i * SECOND))
            robot.until(lambda: all(heard.values()), 'a pose on every topic')
        assert {name: len(found) for name, found in heard.items()}['amcl'] == 1
        for name, found in heard.items():
            for message in found:
                C = np.asarray(message.pose.covariance).reshape(6, 6)
                assert message.header.frame_id == ekf['map_frame'], name
                assert (from_ros.stamp_ns(message) - START_NS) % SECOND == 0
                assert np.isfinite(C).all() and (np.linalg.eigvalsh(C) > 0.0).all()
                if name != 'ekf':  # Nav2 from lyrical on: nothing negative, nothing over 1e9
                    assert C.min() >= 0.0 and C.max() <= 1e9


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
