# SPDX-License-Identifier: MIT
"""The buffer of transforms, against what tf2 documents; and against tf2 itself where that is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from geometry_msgs.msg import TransformStamped
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from selavpr_model.poses import inverse, pose_matrix
from selavpr_model.records import SECOND
from selavpr_ros.convert import to_ros
from selavpr_ros.convert.tf_buffer import (
    MOST_FRAMES,
    MOST_SAMPLES,
    OutOfTimeError,
    TransformBuffer,
    TransformError,
)
from selavpr_ros.node.tf import buffers

START = 1_700_000_000 * SECOND
BUFFERS = [TransformBuffer]
if buffers.tf2_ros is not None:
    BUFFERS.append(buffers.Tf2Buffer)


@pytest.fixture(params=BUFFERS)
def buffer(request: Any) -> Any:
    return request.param()


def edge(parent: str, child: str, at_s: float, x: float = 0.0, yaw_deg: float = 0.0) -> Any:
    stamp = START + round(at_s * SECOND)
    made = TransformStamped(header=to_ros.header(stamp, parent), child_frame_id=child)
    made.transform.translation.x = float(x)
    q = Rotation.from_euler('z', yaw_deg, degrees=True).as_quat()
    rotation = made.transform.rotation
    rotation.x, rotation.y, rotation.z, rotation.w = map(float, q)
    return made


def tf(*edges: Any) -> Any:
    return SimpleNamespace(transforms=list(edges))


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


def test_between_two_samples_it_interpolates_lines_and_turns(buffer: Any) -> None:
    buffer.add(tf(edge('base', 'pan', 0.0, 1.0, 0.0), edge('base', 'pan', 1.0, 3.0, 90.0)), False)
    found = buffer.lookup('base', 'pan', at(0.25))
    expected = pose_matrix((1.5, 0, 0), Rotation.from_euler('z', 22.5, degrees=True).as_quat())
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(
        buffer.lookup('pan', 'base', at(0.25)), inverse(expected), atol=1e-9
    )
    for stamp, x in ((0.0, 1.0), (1.0, 3.0)):
        assert buffer.lookup('base', 'pan', at(stamp))[0, 3] == pytest.approx(x)


@pytest.mark.parametrize(('seconds', 'nearest'), [(-0.5, 0.0), (1.5, 1.0)])
def test_nothing_is_extrapolated(buffer: Any, seconds: float, nearest: float) -> None:
    buffer.add(tf(edge('base', 'pan', 0.0), edge('base', 'pan', 1.0)), False)
    with pytest.raises(OutOfTimeError):
        buffer.lookup('base', 'pan', at(seconds))
    if isinstance(buffer, TransformBuffer):
        with pytest.raises(OutOfTimeError, match="'pan' on /tf do not reach it") as caught:
            buffer.lookup('base', 'pan', at(seconds))
        assert caught.value.nearest_ns == at(nearest)


def test_one_sample_tells_its_own_time_only(buffer: Any) -> None:
    buffer.add(tf(edge('base', 'pan', 1.0, 2.0)), False)
    assert buffer.lookup('base', 'pan', at(1.0))[0, 3] == 2.0
    assert buffer.find('base', 'pan', at(1.001)) is None
    assert buffer.lookup('base', 'pan')[0, 3] == 2.0


def test_a_static_one_tells_all_times_and_the_last_one_counts(buffer: Any) -> None:
    buffer.add(tf(edge('base', 'mast', 5.0, 1.0)))
    buffer.add(tf(edge('base', 'mast', 0.0, 2.0)))
    for seconds in (-100.0, 0.0, 1e6):
        assert buffer.lookup('base', 'mast', at(seconds))[0, 3] == 2.0
    assert buffer.latest_ns('base', 'mast') is None


def test_the_newest_time_is_that_which_all_between_have(buffer: Any) -> None:
    for seconds in (0.0, 1.0, 2.0):
        buffer.add(tf(edge('base', 'lift', seconds, seconds)), False)
    for seconds in (0.0, 1.0):
        buffer.add(tf(edge('lift', 'pan', seconds, 10.0)), False)
    buffer.add(tf(edge('odom', 'base', 0.0)), False)  # above both: it does not count
    buffer.add(tf(edge('pan', 'optical', 0.0)))
    assert buffer.latest_ns('base', 'optical') == at(1.0)
    assert buffer.lookup('base', 'optical')[0, 3] == pytest.approx(11.0)
    assert buffer.lookup('base', 'optical', 0)[0, 3] == pytest.approx(11.0)


def test_siblings_meet_at_their_parent_although_that_one_is_out_of_time(buffer: Any) -> None:
    buffer.add(tf(edge('base', 'left', 0.0, 1.0), edge('base', 'right', 0.0, -1.0)))
    buffer.add(tf(edge('odom', 'base', 50.0)), False)
    assert buffer.lookup('left', 'right', at(0.0))[0, 3] == pytest.approx(-2.0)


def test_a_frame_may_be_given_another_parent(buffer: Any) -> None:
    buffer.add(tf(edge('hand', 'cup', 0.0, 1.0), edge('table', 'cup', 1.0, 5.0)), False)
    assert buffer.lookup('hand', 'cup', at(0.5))[0, 3] == 1.0  # not interpolated over parents
    assert buffer.lookup('table', 'cup', at(1.0))[0, 3] == 5.0
    with pytest.raises(TransformError):
        buffer.lookup('hand', 'cup', at(1.0))


def test_samples_may_come_in_any_order_but_not_ten_seconds_late(buffer: Any) -> None:
    for seconds in (2.0, 0.0, 1.0):
        buffer.add(tf(edge('base', 'pan', seconds, seconds)), False)
    assert buffer.lookup('base', 'pan', at(0.5))[0, 3] == pytest.approx(0.5)
    buffer.add(tf(edge('base', 'pan', 20.0, 20.0)), False)
    buffer.add(tf(edge('base', 'pan', 9.0, 0.0)), False)
    assert buffer.find('base', 'pan', at(9.0)) is None


def test_what_is_too_old_is_said_by_ours() -> None:
    ours = TransformBuffer()
    assert ours.add(tf(edge('base', 'pan', 20.0)), False) == []
    (trouble,) = ours.add(tf(edge('base', 'pan', 9.0)), False)
    assert "'base' -> 'pan'" in trouble and 'older' in trouble


def test_old_samples_are_forgotten_and_a_jump_of_the_clock_clears_what_moves(buffer: Any) -> None:
    buffer.add(tf(edge('pan', 'optical', 0.0, 3.0)))
    for tenth in range(300):
        buffer.add(tf(edge('base', 'pan', tenth / 10.0, tenth)), False)
    assert buffer.find('base', 'pan', at(29.0)) is not None
    assert buffer.find('base', 'pan', at(15.0)) is None
    buffer.clear()
    assert buffer.find('base', 'optical') is None
    assert buffer.lookup('pan', 'optical')[0, 3] == 3.0
    assert buffer.add(tf(edge('base', 'pan', 1.0)), False) == []
    assert buffer.find('base', 'optical', at(1.0)) is not None


def test_what_is_no_transform_is_left_out_alone_and_named(buffer: Any) -> None:
    zero, nan = edge('a', 'zero', 0.0), edge('a', 'nan', 0.0)
    zero.transform.rotation.w = 0.0
    nan.transform.translation.y = float('nan')
    good = edge('/a', 'good', 0.0, 7.0)
    troubles = buffer.add(tf(zero, nan, edge('a', 'a', 0.0), edge('', 'b', 0.0), good))
    assert len(troubles) == 4 and "'zero'" in troubles[0] and 'unit quaternion' in troubles[0]
    assert buffer.lookup('a', '/good')[0, 3] == 7.0
    assert buffer.frames() == {'a', 'good'}


def test_what_is_not_connected_is_named() -> None:
    ours = TransformBuffer()
    ours.add(tf(edge('base_link', 'mast', 0.0), edge('pan', 'optical', 0.0)))
    with pytest.raises(TransformError, match='in two trees') as caught:
        ours.lookup('base_link', 'optical')
    assert 'base_link' in str(caught.value) and 'pan' in str(caught.value)
    with pytest.raises(TransformError, match="no transform names the frame 'camera'"):
        ours.lookup('base_link', 'camera')
    np.testing.assert_array_equal(ours.lookup('nowhere', 'nowhere'), np.eye(4))


def test_a_loop_ends() -> None:
    ours = TransformBuffer()
    ours.add(tf(edge('a', 'b', 0.0), edge('b', 'c', 0.0), edge('c', 'a', 0.0)))
    with pytest.raises(TransformError, match='loop'):
        ours.lookup('nowhere', 'c')


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(-5, 5), st.floats(-80, 80)), min_size=2,
                unique_by=lambda sample: round(sample[0], 3)), st.floats(-1, 10))  # fmt: skip
def test_any_samples_give_a_place_between_the_two_around(samples: Any, seconds: float) -> None:
    ours = TransformBuffer()
    for when, x, yaw in samples:
        ours.add(tf(edge('base', 'pan', when, x, yaw)), False)
    before = [s for s in samples if at(s[0]) <= at(seconds)]
    after = [s for s in samples if at(s[0]) >= at(seconds)]
    found = ours.find('base', 'pan', at(seconds))
    if not before or not after:
        assert found is None
        return
    assert found is not None
    low, high = max(before)[1], min(after)[1]
    assert min(low, high) - 1e-9 <= found[0, 3] <= max(low, high) + 1e-9
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-9)


def test_a_stranger_cannot_fill_it_with_names(buffer: Any) -> None:
    assert buffer.add(tf(edge('base', 'camera', 0.0, 1.0)), True) == []
    for number in range(0, 5000, 50):
        edges = [edge('base', f'frame{n}', 0.0) for n in range(number, number + 50)]
        troubles = buffer.add(tf(*edges), True)
    assert len(buffer.frames()) <= 2 * MOST_FRAMES + 1
    assert 'frames were named' in troubles[-1]
    assert buffer.add(tf(edge('base', 'camera', 1.0, 2.0)), True) == []
    assert buffer.lookup('base', 'camera')[0, 3] == 2.0
    assert 'at most 250' in buffer.add(tf(edge('base', 'x' * 10**5, 0.0)), True)[0]


def test_a_stranger_cannot_fill_it_with_samples() -> None:
    buffer = TransformBuffer()
    for number in range(100):
        buffer.add(tf(edge('base', 'pan', 0.0, float(number))), False)
    assert len(buffer._tracks['pan'].samples) <= 16
    for number in range(MOST_SAMPLES + 5):
        buffer.add(tf(edge('base', 'pan', 1.0 + number * 1e-7, 1.0)), False)
    assert len(buffer._tracks['pan'].samples) <= MOST_SAMPLES
