# SPDX-License-Identifier: MIT
"""Where the robot sees itself: cells of the image that match whatever place is shown.

A bonnet, a gripper or a logo looks alike everywhere. Its cells lead to the same cells of any other
image, all of them alike, so they would count as consistent matches of every place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from selavpr_model.data.image_folder import read_rgb
from selavpr_model.errors import ConfigError

MOST_OF_IMAGE = 0.75  # of the cells may be the robot; where more are, no place could be told
DARK = 128  # a pixel of a mask image below this is the robot


def read_mask(file: Path, grid: tuple[int, int]) -> np.ndarray:
    """A mask image of any size -> (h, w) bool of the grid, True where the robot is.

    Black is the robot and white the world, as masks for COLMAP and OpenCV have it. A cell is the
    robot where half of what it covers is. ConfigError where nearly all of the image is.
    """
    grey = read_rgb(file).mean(axis=2)
    robot = torch.from_numpy((grey < DARK).astype(np.float32))[None, None]
    mask = F.adaptive_avg_pool2d(robot, grid)[0, 0].numpy() >= 0.5
    if mask.mean() > MOST_OF_IMAGE:
        raise ConfigError(
            f'{file}: expected a mask that leaves {1 - MOST_OF_IMAGE:.0%} of the image, got one '
            f'with {mask.mean():.0%} black; black is the robot, white the world'
        )
    return mask


def drawn(mask: np.ndarray, rows: int = 16) -> str:
    """(h, w) bool as lines of text, `#` where the robot is; two characters a cell."""
    shape = rows, max(1, round(rows * mask.shape[1] / mask.shape[0]))
    shares = F.adaptive_avg_pool2d(torch.from_numpy(mask.astype(np.float32))[None], shape)[0]
    return '\n'.join(''.join('##' if s >= 0.5 else '. ' for s in row) for row in shares.tolist())
