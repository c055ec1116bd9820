# SPDX-License-Identifier: MIT
"""Chains of static transforms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from geometry_msgs.msg import TransformStamped
import numpy as np
import pytest

from selavpr_model.errors import InputError
from selavpr_ros.convert import from_ros, to_ros
from selavpr_ros.convert.transforms import StaticTransforms

ROBOT = (
    ('base_link', 'mast', (0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)),
    ('/mast', 'camera', (0.0, 0.2, 0.0, 0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))),
    ('camera', 'optical', (0.0, 0.0, 0.0, -0.5, 0.5, -0.5, 0.5)),
)


def edge(parent: str, child: str, values: tuple[float, ...]) -> Any:
    made = TransformStamped(header=to_ros.header(0, parent), child_frame_id=child)
    p, q = made.transform.translation, made.transform.rotation
    (p.x, p.y, p.z), (q.x, q.y, q.z, q.w) = map(float, values[:3]), map(float, values[3:])
    return made


def tf(*edges: tuple[str, str, tuple[float, ...]]) -> Any:
    """As tf2_msgs/TFMessage, which is not on PyPI."""
    return SimpleNamespace(transforms=[edge(*e) for e in edges])


def test_a_chain_is_multiplied_along_either_way() -> None:
    transforms = StaticTransforms()
    for one in reversed(ROBOT):  # each of its own publisher, in any order
        transforms.add(tf(one))
    expected = np.linalg.multi_dot([from_ros.checked_pose(T) for _, _, T in ROBOT])
    there, back = transforms.find('base_link', 'optical'), transforms.find('optical', 'base_link')
    assert there is not None and back is not None
    np.testing.assert_allclose(there, expected, atol=1e-12)
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)


def test_frames_that_are_not_connected_have_no_transform() -> None:
    transforms = StaticTransforms()
    transforms.add(tf(ROBOT[0], ROBOT[2]))
    assert transforms.find('base_link', 'optical') is None
    assert transforms.find('base_link', 'nowhere') is None
    np.testing.assert_array_equal(transforms.find('nowhere', 'nowhere'), np.eye(4))


def test_a_loop_ends_and_the_newest_of_an_edge_counts() -> None:
    transforms = StaticTransforms()
    moved = ('base_link', 'mast', (0.7, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    transforms.add(tf(*ROBOT, moved, ('optical', 'base_link', (0.0,) * 6 + (1.0,))))
    found = transforms.find('base_link', 'mast')
    assert found is not None and found[0, 3] == 0.7
    assert transforms.find('base_link', 'nowhere') is None


def test_a_transform_without_a_rotation_is_refused_and_nothing_is_lost() -> None:
    transforms = StaticTransforms()
    transforms.add(tf(ROBOT[0]))
    with pytest.raises(InputError, match='unit quaternion'):
        transforms.add(tf(ROBOT[1], ('a', 'b', (0.0,) * 7)))
    assert transforms.find('base_link', 'mast') is not None
    assert transforms.find('base_link', 'camera') is None
