# SPDX-License-Identifier: MIT
"""The query and its best match side by side, with the verdict: (H, W, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np

from selavpr_model.records import Recognition, State

HEIGHT, BAR = 240, 24
COLOURS = {
    State.LOST: (220, 60, 60),
    State.AMBIGUOUS: (230, 170, 40),
    State.LOCALIZED: (60, 190, 80),
}


def draw(query: np.ndarray, match: np.ndarray | None, recognition: Recognition) -> np.ndarray:
    """query: (H, W, 3) uint8 RGB; match: a thumbnail or None where the map has none."""
    left = _fitted(query)
    right = np.zeros_like(left) if match is None else _fitted(match)
    pictures = np.hstack([left, right])
    bar = np.zeros((BAR, pictures.shape[1], 3), np.uint8)
    colour = COLOURS[recognition.state]
    text = f'{recognition.state.name}: {recognition.reason}'
    cv2.putText(bar, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return np.vstack([pictures, bar])


def _fitted(image: np.ndarray) -> np.ndarray:
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA)
