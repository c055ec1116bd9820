# SPDX-License-Identifier: MIT
"""From one transform to another in small steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from scipy.spatial.transform import Rotation

from selavpr_model.poses import inverse
from selavpr_ros.node.tf.glide import glide


def pose(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler('z', yaw).as_matrix()
    T[:2, 3] = x, y
    return T


ANGLES = st.floats(-3.0, 3.0)
METRES = st.floats(-50.0, 50.0)


@given(METRES, METRES, ANGLES, METRES, METRES, ANGLES, st.floats(0.01, 5.0))
def test_a_glide_comes_nearer_by_no_more_than_it_may(
    x: float, y: float, yaw: float, x2: float, y2: float, yaw2: float, most: float
) -> None:
    a, b = pose(x, y, yaw), pose(x2, y2, yaw2)
    c = glide(a, b, most, most / 5.0)
    turn = Rotation.from_matrix((inverse(a) @ c)[:3, :3]).magnitude()
    assert np.linalg.norm(c[:3, 3] - a[:3, 3]) <= most + 1e-9 and turn <= most / 5.0 + 1e-6
    for _ in range(10_000):
        if np.array_equal(c, b):
            break
        c = glide(c, b, 1.0, 0.5)
    np.testing.assert_array_equal(c, b)
