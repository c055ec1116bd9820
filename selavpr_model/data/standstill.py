# SPDX-License-Identifier: MIT
"""Poses that stand still while the images show something else are wrong; nothing else tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import logging
from typing import Literal

import cv2
import numpy as np

from selavpr_model.poses import rotation_angles
from selavpr_model.records import Frame

STILL_M, STILL_RAD = 0.01, 0.01
SIZE = (32, 24)
OTHER_VIEW = 0.5  # correlation of small grey images; a person who walks past stays above
LEAST, SHARE, MANY = 3, 0.1, 30  # images that are worth a word: some and a share of all, or many
logger = logging.getLogger(__name__)


class Standstill:
    """Counts images by what their poses say; asked in the order of the drive.

    `posed`: images with a pose; `still`: of these, with that of the one before; `changed`: of
    these, with another view than where the pose began to stand still.
    """

    def __init__(self, what: Literal['pose', 'odom'] = 'pose') -> None:
        self._what = what
        self._anchor: tuple[np.ndarray, np.ndarray] | None = None
        self.posed = self.still = self.changed = 0

    def see(self, frame: Frame) -> None:
        pose = frame.pose if self._what == 'pose' else frame.odom
        if pose is None:
            return
        self.posed += 1
        view = _view(frame.image)
        if self._anchor is None or _has_moved(self._anchor[0], pose):
            self._anchor = pose, view
            return
        self.still += 1
        self.changed += float(view @ self._anchor[1]) < OTHER_VIEW

    def words(self) -> str:
        """What is wrong, in one line; '' where nothing is."""
        worth = self.changed >= MANY or self.changed >= max(LEAST, SHARE * self.posed)
        if not worth:
            return ''
        poses, cure = {
            'pose': ('poses', 'leave that part out, or take other poses (--poses)'),
            'odom': ('odometry poses', 'leave that part out, or go without odometry'),
        }[self._what]
        return (
            f'{self.still} of {self.posed} {poses} stand where the one before stood, while '
            f'{self.changed} of these images show another view: tracking or odometry was frozen '
            f'there, or the poses have no heading; {cure}'
        )


def watched(
    frames: Iterable[Frame], name: object, what: Literal['pose', 'odom']
) -> Iterator[Frame]:
    """The frames; a warning behind the last one where their poses are frozen."""
    still = Standstill(what)
    for frame in frames:
        still.see(frame)
        yield frame
    if words := still.words():
        logger.warning('%s: %s', name, words)


def _view(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (N,) of length 1 and mean 0; 0 where there is nothing to see."""
    small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float64).ravel()
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-9)


def _has_moved(before: np.ndarray, pose: np.ndarray) -> bool:
    moved = float(np.linalg.norm(pose[:3, 3] - before[:3, 3]))
    turned = rotation_angles(before[None, :3, :3], pose[:3, :3])[0]
    return moved > STILL_M or float(turned) > STILL_RAD
