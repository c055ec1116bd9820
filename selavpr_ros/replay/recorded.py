# SPDX-License-Identifier: MIT
"""What a replay or a SLAM run shows, written for the rerun viewer while it runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from selavpr_model.evaluation.export.rerun_file import position, RerunFile, STATES
from selavpr_model.geometry.overlay import MatchOverlay
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, Recognition, State
from selavpr_model.slam.records import SlamStep
from selavpr_model.slam.session import SlamSession
from selavpr_ros.convert import debug_image

Watch = Callable[[Frame, Recognition], None]
WatchSlam = Callable[[Frame, SlamStep], None]


def watch_answers(
    recording: RerunFile, recognizer: PlaceRecognizer, truth: dict[int, np.ndarray | None]
) -> Watch:
    """Called with each frame and its answer, in order. truth: stamp_ns -> (4, 4) or None."""
    place_map, count = recognizer.place_map, 0
    recording.places(place_map.places)
    known = [pose for pose in truth.values() if pose is not None]
    if known:
        recording.track('truth', known)

    def watch(frame: Frame, answer: Recognition) -> None:
        nonlocal count
        recording.at(count, frame.stamp_ns)
        count += 1
        recording.image('camera', frame.image)
        recording.image('matches', picture(frame, answer, place_map, recognizer.overlay(answer)))
        recording.answer(answer)
        recording.belief(place_map.places, recognizer.belief)
        if answer.pose is not None:
            recording.moved('answers', position(answer.pose), STATES[State.LOCALIZED])

    return watch


def watch_slam(recording: RerunFile, slam: SlamSession) -> WatchSlam:
    """Called with each frame and what it gave, in order."""
    count, spots = 0, dict[int, list[float]]()

    def watch(frame: Frame, step: SlamStep) -> None:
        nonlocal count
        count += 1
        if step.place is None:
            return
        recording.at(count - 1, frame.stamp_ns)
        here = spots[step.place.id] = position(slam.last_pose)
        recording.image('camera', frame.image)
        recording.moved('track', here, STATES[step.recognition.state])
        answer = step.recognition
        shown = picture(frame, answer, slam.place_map, slam.overlay(answer))
        recording.image('matches', shown)
        recording.answer(answer)
        recording.belief(slam.place_map.places, slam.belief)
        for closed in step.closures:
            pair = closed.before.id, closed.after.id
            if all(end in spots for end in pair):
                ends = [spots[end] for end in pair]
                recording.closure(closed.kind, ends, f'{pair[1]}_{pair[0]}', closed.reason)

    return watch


def picture(
    frame: Frame, answer: Recognition, place_map: PlaceMap, overlay: MatchOverlay | None
) -> np.ndarray:
    """(H, W, 3) RGB: the frame, the place that it was taken for, and their matches."""
    row = answer.candidates[0].row if answer.candidates else None
    thumbnail = None if row is None else place_map.thumbnail(row)
    return debug_image.draw(frame.image, thumbnail, answer, overlay)
