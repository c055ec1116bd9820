# SPDX-License-Identifier: MIT
"""docs/recipes.md and what it tells people to copy: files that load, edges that are right."""

import math
import re
import sys

import numpy as np
import pytest

from selavpr_model.records import SECOND

from where import ROOT

sys.path.insert(0, str(ROOT / 'examples' / 'rtabmap'))

from recipe_helpers import START_NS

pytestmark = pytest.mark.usefixtures('ros')
DOC = (ROOT / 'docs' / 'recipes.md').read_text(encoding='utf-8')
EKF = ROOT / 'examples' / 'robot_localization' / 'ekf.yaml'


NAV2 = ROOT / 'examples' / 'nav2' / 'localizer.yaml'


AXES = ['x', 'y', 'z', 'roll', 'pitch', 'yaw']
STATE = [*AXES, *(f'v{axis}' for axis in AXES), 'ax', 'ay', 'az']  # of robot_localization


def parameters(path, node):
    """What a node of that name gets from the file, by the parser of ROS itself."""
    from rclpy.node import Node

    words = ['--ros-args', '--params-file', str(path)]
    made = Node(node, cli_args=words, automatically_declare_parameters_from_overrides=True)
    found = {name: p.value for name, p in made.get_parameters_by_prefix('').items()}
    made.destroy_node()
    return found


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
