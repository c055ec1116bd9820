# SPDX-License-Identifier: MIT
"""What the pipeline is asked for, and what it has to know about models and maps; no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selavpr_model.config import (
    ExtractorConfig,
    GeometryConfig,
    KeyframeConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
)
from selavpr_model.errors import SelaVPRError

if TYPE_CHECKING:
    from selavpr_model.features.extractor import Extractor
    from selavpr_model.maps.place_map import PlaceMap
    from selavpr_model.recognizer import PlaceRecognizer

NO_MAP = 'no map is given; set the parameter `map` or call ~/load_map'
PACKAGES = {'faiss': 'faiss-cpu', 'cv2': 'opencv-python-headless'}  # where names differ


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the parameters ask for; map '' is none."""

    extractor: ExtractorConfig
    map: str
    recognizer: RecognizerConfig
    temporal: TemporalConfig
    slam: SlamConfig | None = None  # None: the map is not to grow
    keyframes: KeyframeConfig = KeyframeConfig()  # noqa: RUF009, frozen
    geometry: GeometryConfig = GeometryConfig()  # noqa: RUF009, frozen


class NotReadyError(SelaVPRError):
    """There is no model or no map to work with; the text says why and what to do."""


def rescued() -> Path:
    """Where grown maps go that have no other place."""
    from selavpr_model.features.weights import home

    return home() / 'rescued'


def is_map(path: Path) -> bool:
    """Whether a map was saved there, be it damaged."""
    from selavpr_model.maps.storage.writer import MANIFEST

    return (path / MANIFEST).exists()


def fits(place_map: PlaceMap, extractor: Extractor) -> bool:
    """Whether this model made the map."""
    return place_map.identity.fingerprint == extractor.identity.fingerprint


def runs(
    recognizer: PlaceRecognizer, extractor: Extractor, place_map: PlaceMap, wanted: Wanted
) -> bool:
    """Whether the recogniser is what building it from these would give."""
    same = recognizer.extractor is extractor and recognizer.place_map is place_map
    configs = (recognizer.config, recognizer.temporal, recognizer.geometry)
    return same and configs == (wanted.recognizer, wanted.temporal, wanted.geometry)


def missing(error: ImportError) -> str:
    """Which Python package is not there, and how to get it."""
    package = PACKAGES.get(error.name or '', error.name)
    return f'{error}; install it: python3 -m pip install {package}'
