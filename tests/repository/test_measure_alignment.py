# SPDX-License-Identifier: MIT
"""The tool that tells how far two drives of a merged map are apart."""

from __future__ import annotations

from measure_alignment import apart
import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def test_a_second_drive_that_is_turned_and_moved_is_as_far_apart_as_that() -> None:
    truth = np.random.default_rng(0).uniform(-50, 50, (60, 3))
    second = np.arange(60) >= 25
    turn = Rotation.from_euler('z', 2.0, degrees=True).as_matrix()
    drawn = truth.copy()
    middle = truth[second].mean(axis=0)
    drawn[second] = (truth[second] - middle) @ turn.T + middle + [0.3, 0.0, 0.4]
    far = Rotation.from_euler('xyz', [10, 20, 70], degrees=True).as_matrix()
    placed = drawn @ far.T + [100.0, 5.0, -3.0]  # where the map lies as a whole says nothing
    assert apart(placed, truth, second) == pytest.approx((0.5, 2.0), abs=1e-6)
    whole = truth @ far.T + [100.0, 5.0, -3.0]
    assert apart(whole, truth, second) == pytest.approx((0.0, 0.0), abs=1e-4)
