# SPDX-License-Identifier: MIT
"""Folders of images as users have them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def image(seed: int = 0) -> np.ndarray:
    """(24, 32, 3) uint8 RGB, smooth so that jpeg keeps it."""
    corners = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return cv2.resize(corners, (32, 24), interpolation=cv2.INTER_LINEAR)


def folder(path: Path, *names: str, **texts: str) -> Path:
    """A folder with these images and, by keyword, the text of poses.<keyword>."""
    path.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        cv2.imwrite(str(path / name), image(seed)[..., ::-1])
    for suffix, text in texts.items():
        (path / f'poses.{suffix}').write_text(text)
    return path
