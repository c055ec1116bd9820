# SPDX-License-Identifier: MIT
"""Keyframes: by distance, by angle, by odometry, by time, and after a restart."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np

from selavpr_model.config import KeyframeConfig
from selavpr_model.maps.building.keyframes import KeyframeSelector
from selavpr_model.poses import pose_matrix
from selavpr_model.records import Frame

IMAGE = np.zeros((2, 2, 3), np.uint8)
CONFIG = KeyframeConfig(distance_m=1.0, angle_deg=20.0, time_s=2.0)


def yawed(x: float, degrees: float = 0.0) -> np.ndarray:
    half = np.radians(degrees) / 2
    return pose_matrix((x, 0, 0), (0, 0, np.sin(half), np.cos(half)))


def frame(seconds: float, pose=None, odom=None) -> Frame:
    return Frame(round(seconds * 1e9), IMAGE, pose=pose, odom=odom)


def taken(frames, config=CONFIG) -> list[int]:
    selector = KeyframeSelector(config)
    return [i for i, one in enumerate(frames) if selector.is_new(one)]


def test_the_first_frame_is_always_a_keyframe():
    assert taken([frame(0)]) == [0]
    assert taken([frame(0, yawed(5))]) == [0]


def test_distance_counts_from_the_last_keyframe_not_the_last_frame():
    assert taken([frame(0, yawed(0.4 * i)) for i in range(8)]) == [0, 3, 6]


def test_a_standing_robot_that_turns_gives_keyframes():
    assert taken([frame(0, yawed(0, 8 * i)) for i in range(8)]) == [0, 3, 6]


def test_turning_through_180_degrees_is_measured_the_short_way():
    turned = [yawed(0, 175), yawed(0, -175), yawed(0, -160)]
    assert taken([frame(0, T) for T in turned]) == [0, 2]


def test_a_standing_robot_with_poses_gives_no_keyframes_however_long_it_waits():
    assert taken([frame(100 * i, yawed(0)) for i in range(5)]) == [0]


def test_without_poses_time_decides():
    assert taken([frame(0.5 * i) for i in range(9)]) == [0, 4, 8]


def test_without_poses_odometry_comes_before_time():
    assert taken([frame(10 * i, odom=yawed(0.6 * i)) for i in range(5)]) == [0, 2, 4]


def test_a_pose_that_comes_and_goes_falls_back_to_time():
    frames = [frame(0, yawed(0)), frame(1), frame(2), frame(3, yawed(9)), frame(4, yawed(9))]
    assert taken(frames) == [0, 2, 4]


def test_a_pose_that_is_not_finite_counts_as_none():
    bad = np.full((4, 4), np.nan)
    assert taken([frame(0, bad), frame(1, bad), frame(2, bad)]) == [0, 2]


def test_a_clock_that_jumps_back_does_not_silence_the_selector():
    assert taken([frame(1000), frame(3), frame(4)]) == [0, 1]


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(-2, 2), st.floats(-40, 40)), min_size=2, max_size=20),
    cut=st.integers(1, 19),
)
def test_a_restored_selector_takes_the_same_frames(steps, cut):
    xs, yaws = np.cumsum(np.array(steps), axis=0).T
    frames = [frame(i, yawed(x, a)) for i, (x, a) in enumerate(zip(xs, yaws, strict=True))]
    before, after = KeyframeSelector(CONFIG), KeyframeSelector(CONFIG)
    kept = [before.is_new(one) for one in frames[:cut]]
    after.restore(json.loads(json.dumps(before.state())))
    kept += [after.is_new(one) for one in frames[cut:]]
    assert [i for i, new in enumerate(kept) if new] == taken(frames)
