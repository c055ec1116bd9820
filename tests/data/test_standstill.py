# SPDX-License-Identifier: MIT
"""Poses that stand still while the camera sees something new are told, with both counts."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from selavpr_model.data.standstill import Standstill, watched
from selavpr_model.poses import pose_matrix
from selavpr_model.records import Frame, SECOND


def frame(number: int, x: float, view: int, yaw: float = 0.0) -> Frame:
    """A frame at x with a smooth picture of its own for each `view`, and some noise."""
    rough = np.random.default_rng(view).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    image = rough.repeat(8, 0).repeat(8, 1).astype(int)
    image += np.random.default_rng(1000 + number).integers(-20, 20, image.shape)
    pose = pose_matrix((x, 0.0, 0.0), (0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)))
    shown = np.clip(image, 0, 255).astype(np.uint8)
    return Frame((number + 1) * SECOND, shown, pose=pose, odom=pose)


def seen(frames: list[Frame]) -> Standstill:
    still = Standstill()
    for each in frames:
        still.see(each)
    return still


def test_frozen_poses_are_told_with_both_counts() -> None:
    moving = [frame(i, i, i) for i in range(10)]
    still = seen(moving + [frame(10 + i, 9.0, 10 + i) for i in range(8)])
    assert (still.posed, still.still, still.changed) == (18, 8, 8)
    assert still.words().startswith('8 of 18 poses stand where the one before stood, while 8 of')
    assert '--poses' in still.words()


@pytest.mark.parametrize(
    'frames',
    [
        [frame(i, i, i) for i in range(20)],  # it drives
        [frame(i, 0.0, 1) for i in range(20)],  # it stands and sees the same
        [frame(i, 0.0, i, yaw=0.1 * i) for i in range(20)],  # it turns on the spot
        [frame(i, 0.0, 1 if i < 18 else 2) for i in range(20)],  # somebody stands before it
        [],
    ],
    ids=['drives', 'stands', 'turns', 'is covered', 'nothing'],
)
def test_what_is_well_is_not_told(frames: list[Frame]) -> None:
    assert seen(frames).words() == ''


def test_frames_without_poses_and_black_ones_do_no_harm() -> None:
    black = Frame(1, np.zeros((8, 8, 3), np.uint8))
    posed = Frame(2, np.zeros((8, 8, 3), np.uint8), pose=np.eye(4))
    assert seen([black, posed, posed, black]).words() == ''


def test_a_drive_with_frozen_odometry_passes_through_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frames = [frame(i, 0.0, i) for i in range(6)]
    with caplog.at_level(logging.WARNING):
        assert list(watched(frames, 'drive', 'odom')) == frames
    assert 'drive: 5 of 6 odometry poses stand' in caplog.text and '5 of these' in caplog.text
