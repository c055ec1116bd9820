# SPDX-License-Identifier: MIT
"""Frames worth a look, side by side with the place they were taken for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from selavpr_model.config import RecognizerConfig
from selavpr_model.evaluation.scoring import Score
from selavpr_model.features.extractor import Extractor
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.matching.nearest import cell_pixels
from selavpr_model.records import Frame

WIDTH = 400  # pixels of each of the two images
LINES = 40  # more lines hide the images
GAP = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """A frame to show and why."""

    title: str
    score: Score


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A drawn choice; picture: (H, W, 3) uint8 RGB, frame left and place right."""

    choice: Choice
    picture: np.ndarray


def choose(scores: Sequence[Score]) -> list[Choice]:
    """The most and least certain right answers, the wrong, the undecided and those outside."""
    wanted = (
        ('right', 'Right, most matches', -1, 2),
        ('right', 'Right, fewest matches', 1, 2),
        ('wrong', 'Wrong: false accept', -1, 4),
        ('ambiguous', 'Ambiguous', -1, 2),
        ('lost', 'Inside the map, but lost', -1, 2),
        ('outside', 'Outside the map, rejected', -1, 2),
        ('unknown', 'Not scored, most matches', -1, 3),
        ('unknown', 'Not scored, fewest matches', 1, 3),
    )
    choices: dict[int, Choice] = {}
    for verdict, title, sign, count in wanted:
        fitting = [s for s in scores if s.verdict == verdict and s.prediction.place_ids]
        fitting.sort(key=lambda s: sign * s.prediction.matches[0])
        for score in fitting[:count]:
            choices.setdefault(score.prediction.stamp_ns, Choice(title, score))
    return list(choices.values())


def draw_examples(
    choices: Sequence[Choice],
    frames: Iterable[Frame],
    extractor: Extractor,
    place_map: PlaceMap,
    score: str = RecognizerConfig().score,
) -> list[Example]:
    """Extract the chosen frames again and draw their matches with the best place."""
    wanted = {c.score.prediction.stamp_ns: c for c in choices}
    images = {f.stamp_ns: f.image for f in frames if f.stamp_ns in wanted}
    rows = {place.id: row for row, place in enumerate(place_map.places)}
    examples = []
    for stamp, choice in wanted.items():
        if stamp in images:
            row = rows[choice.score.prediction.place_ids[0]]
            picture = draw_pair(images[stamp], row, extractor, place_map, score)
            examples.append(Example(choice, picture))
    return examples


def draw_pair(
    image: np.ndarray, row: int, extractor: Extractor, place_map: PlaceMap, score: str
) -> np.ndarray:
    """(H, W, 3) RGB of the frame and the stored thumbnail, their matches joined by lines."""
    cells, grid = place_map.code(extractor.extract(image)), place_map.grid
    pairs = place_map.matcher(score).pairs(cells, place_map.codes([row])[0])
    thumbnail = place_map.thumbnail(row)
    left = _sized(image)
    right = np.zeros_like(left) if thumbnail is None else _sized(thumbnail)
    height = max(len(left), len(right))
    canvas = np.full((height, 2 * WIDTH + GAP, 3), 128, np.uint8)
    canvas[: len(left), :WIDTH] = left
    canvas[: len(right), WIDTH + GAP :] = right
    starts = cell_pixels(grid, extractor.input_size, left.shape[:2])[pairs[:, 0]]
    ends = cell_pixels(grid, extractor.input_size, right.shape[:2])[pairs[:, 1]]
    ends[:, 0] += WIDTH + GAP
    return _with_lines(canvas, starts, ends)


def _sized(image: np.ndarray) -> np.ndarray:
    height = max(1, round(len(image) * WIDTH / image.shape[1]))
    return cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)


def _with_lines(canvas: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """At most LINES of the matches, evenly picked, coloured by their height in the frame."""
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(LINES, len(starts))).astype(int))
    lines = canvas.copy()
    for i in chosen:
        hue = np.array([[[140 * starts[i, 1] / len(canvas), 190, 255]]]).astype(np.uint8)
        colour = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
        a, b = (tuple(int(v) for v in np.rint(p)) for p in (starts[i], ends[i]))
        cv2.line(lines, a, b, colour, 1, cv2.LINE_AA)
        for image in (canvas, lines):
            cv2.circle(image, a, 1, colour, -1, cv2.LINE_AA)
            cv2.circle(image, b, 1, colour, -1, cv2.LINE_AA)
    return cv2.addWeighted(lines, 0.6, canvas, 0.4, 0)
