# SPDX-License-Identifier: MIT
"""How often a drive that is no part of a map is LOCALIZED in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from selavpr_model.recognizer import PlaceRecognizer
from selavpr_model.records import Frame, State
from selavpr_model.runtime.progress import progress_bar


def before_and_after(
    frames: Iterable[Frame], before: PlaceRecognizer, after: PlaceRecognizer, progress: bool = True
) -> dict[str, Any]:
    """The share of the frames that are LOCALIZED in each of two maps, as JSON values."""
    counts, total = [0, 0], 0
    for frame in progress_bar(frames, 'drive', progress, unit='frame'):
        total += 1
        for index, recognizer in enumerate((before, after)):
            counts[index] += recognizer.process(frame).state is State.LOCALIZED
    shares = [round(count / max(1, total), 4) for count in counts]
    return {'frames': total, 'localized_before': shares[0], 'localized_after': shares[1]}
