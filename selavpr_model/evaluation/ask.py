# SPDX-License-Identifier: MIT
"""Photographs asked against a map, each by itself: the place, its picture, the match drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from selavpr_model.data.decode import read_rgb
from selavpr_model.data.listing import list_images
from selavpr_model.errors import InputError, SourceError
from selavpr_model.evaluation.export.pairs import write_pairs
from selavpr_model.evaluation.report.examples import draw_pair
from selavpr_model.poses import position_quaternion
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, Recognition
from selavpr_model.runtime.outputs import write_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the map says of one photograph; picture: (H, W, 3) RGB, it and the place."""

    file: Path
    recognition: Recognition
    picture: np.ndarray | None = None

    def to_dict(self) -> dict[str, Any]:
        best = self.recognition.candidates[0] if self.recognition.candidates else None
        pose = self.recognition.pose
        return {
            'image': str(self.file),
            'state': self.recognition.state.name,
            'reason': self.recognition.reason,
            'place_id': None if best is None else best.place.id,
            'place': None if best is None else best.place.known_as,
            'session': None if best is None else best.place.session,
            'confidence': None if best is None else best.confidence,
            'matches': None if best is None else best.mutual_matches,
            'similarity': None if best is None else round(best.global_similarity, 6),
            'pose': None if pose is None else list(position_quaternion(pose)),
            'candidates': [c.place.name for c in self.recognition.candidates],
        }


def photographs(paths: Sequence[Path]) -> list[Path]:
    """The files, and the images of the folders among them; SourceError where there is none."""
    files: list[Path] = []
    for path in paths:
        inside = list_images(path) if path.is_dir() else [path]
        if not inside:
            raise SourceError(f'{path}: expected photographs, got none in this folder')
        if not path.exists():
            raise SourceError(f'{path}: expected a photograph or a folder of them, got nothing')
        files += inside
    return files


def ask(
    recognizer: PlaceRecognizer, files: Sequence[Path], drawn: bool = True
) -> Iterator[Answer]:
    """The answer to each; one that cannot be read is left out with a warning."""
    for k, file in enumerate(files):
        try:
            frame = Frame(k, read_rgb(file), name=file.name)
        except InputError as error:
            logger.warning('%s', error)
            continue
        recognizer.reset()  # each stands alone
        answer = recognizer.process(frame)
        yield Answer(file, answer, _picture(recognizer, frame, answer) if drawn else None)


def _picture(recognizer: PlaceRecognizer, frame: Frame, answer: Recognition) -> np.ndarray | None:
    if not answer.candidates:
        return None
    row, place_map = answer.candidates[0].row, recognizer.place_map
    return draw_pair(frame.image, row, recognizer.extractor, place_map, recognizer.config.score)


def write_answers(folder: Path, answers: Sequence[Answer]) -> None:
    """A picture of each match, pairs.txt for hloc and answers.json."""
    write_pictures(folder, answers)
    rows = [answer.to_dict() for answer in answers]
    named = [(a.file.name, row['candidates']) for a, row in zip(answers, rows, strict=True)]
    write_pairs(folder / 'pairs.txt', named)
    write_json(folder / 'answers.json', rows)


def write_pictures(folder: Path, answers: Sequence[Answer]) -> None:
    """NAME_match.jpg for each answer; a name that comes twice is numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    for answer in answers:
        if answer.picture is None:
            continue
        name, k = answer.file.stem, 1
        while name in used:
            k += 1
            name = f'{answer.file.stem}_{k}'
        used.add(name)
        cv2.imwrite(str(folder / f'{name}_match.jpg'), answer.picture[..., ::-1])
