# SPDX-License-Identifier: MIT
"""The query and its best match side by side, their matches, and the verdict: for people."""

from __future__ import annotations

import textwrap
from typing import Protocol

import cv2
import numpy as np

from selavpr_model.records import Candidate, Recognition, Reject, State

HEIGHT, LINE = 240, 18
LEFT = 6  # px before the text
PER_CHARACTER = 7.6  # px of the font below, at most
FITTING, OTHER = 60, 20  # lines drawn; more would hide the images
GREEN, RED = (70, 220, 90), (225, 70, 60)
COLOURS = {
    State.LOST: (220, 60, 60),
    State.AMBIGUOUS: (230, 170, 40),
    State.LOCALIZED: (60, 190, 80),
}


class Overlay(Protocol):
    """What is drawn of geometry.overlay, whose module needs torch.

    fits: (M,) bool, whether geometry takes a match for an inlier; None where it has not looked.
    """

    @property
    def fits(self) -> np.ndarray | None: ...

    def pixels(self, side: int, size: tuple[int, int]) -> np.ndarray:
        """(M, 2) x, y of the frame's (side 0) or the place's (1) cells in a picture (H, W)."""


def draw(
    query: np.ndarray,
    match: np.ndarray | None,
    recognition: Recognition,
    overlay: Overlay | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB. query: (H, W, 3) uint8 RGB; match: a thumbnail, None without one.

    Lines: inliers of geometry green and the others red; in the state's colour where it did not
    look.
    """
    left = _fitted(query)
    right = np.zeros_like(left) if match is None else _fitted(match)
    pictures = np.hstack([left, right])
    if overlay is not None and match is not None:
        _draw_matches(
            pictures, overlay, left.shape[:2], right.shape[:2], COLOURS[recognition.state]
        )
    return np.vstack([pictures, _bar(pictures.shape[1], recognition)])


def _draw_matches(
    pictures: np.ndarray,
    overlay: Overlay,
    left: tuple[int, int],
    right: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    starts, ends = overlay.pixels(0, left), overlay.pixels(1, right) + np.array([left[1], 0])
    looked = overlay.fits is not None
    fits = overlay.fits if overlay.fits is not None else np.ones(len(starts), bool)
    parts = (
        (np.flatnonzero(~fits), RED, OTHER),
        (np.flatnonzero(fits), GREEN if looked else colour, FITTING),
    )
    lines = pictures.copy()
    for rows, tint, most in parts:
        for i in rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]:
            a, b = (tuple(int(v) for v in np.rint(p)) for p in (starts[i], ends[i]))
            cv2.line(lines, a, b, tint, 1, cv2.LINE_AA)
    cv2.addWeighted(lines, 0.6, pictures, 0.4, 0, dst=pictures)


def _bar(width: int, recognition: Recognition) -> np.ndarray:
    """The state with its reason, and what is known of the best place, both wrapped."""
    verdict = f'{recognition.state.name}: {recognition.reason}'
    lines = _wrapped(verdict, width)
    best = [line for c in recognition.candidates[:1] for line in _wrapped(about(c), width)]
    bar = np.zeros((LINE * (len(lines) + len(best)) + 8, width, 3), np.uint8)
    colours = [COLOURS[recognition.state]] * len(lines) + [(200, 200, 200)] * len(best)
    for i, (text, colour) in enumerate(zip(lines + best, colours, strict=True)):
        at = (LEFT, LINE * (i + 1) - 3)
        cv2.putText(bar, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
    return bar


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(8, int((width - LEFT) / PER_CHARACTER)))


def about(best: Candidate) -> str:
    """One line: the place, what speaks for it, and what against."""
    text = f'place {best.place.id}: similarity {best.global_similarity:.2f}'
    text += f', {best.mutual_matches} matches'
    if best.inliers:
        text += f', {best.inliers} inliers'
    if best.confidence is not None:
        text += f', confidence {best.confidence:.2f}'
    against = [str(r.name) for r in Reject if r and r in best.reject]
    return text + (f'; {", ".join(against)}' if against else '')


def _fitted(image: np.ndarray) -> np.ndarray:
    width = max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    return cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_AREA)
