# SPDX-License-Identifier: MIT
"""What the pipeline is asked for, and what it has to know about models and maps; no ROS."""

from __future__ import annotations

from dataclasses import dataclass
import logging
from pathlib import Path

from selavpr_model.config import (
    ExtractorConfig,
    GeometryConfig,
    GraphConfig,
    KeyframeConfig,
    MapConfig,
    RecognizerConfig,
    SlamConfig,
    TemporalConfig,
    UpdateConfig,
)
from selavpr_model.errors import InputError, SelaVPRError
from selavpr_model.runtime.paths import expanded
from selavpr_ros.node.pipeline.states import Extractor, PlaceMap, PlaceRecognizer

logger = logging.getLogger(__name__)
NO_MAP = 'no map is given; set the parameter `map` or call ~/load_map'
PACKAGES = {'faiss': 'faiss-cpu', 'cv2': 'opencv-python-headless'}  # where names differ


@dataclass(frozen=True, slots=True)
class Request:
    """What the parameters ask for; map '' is none.

    slam, update: None where the map is not to grow, or not to get the looks of this drive.
    """

    extractor: ExtractorConfig
    map: str
    recognizer: RecognizerConfig
    temporal: TemporalConfig
    slam: SlamConfig | None = None
    keyframes: KeyframeConfig = KeyframeConfig()  # noqa: RUF009, frozen
    geometry: GeometryConfig = GeometryConfig()  # noqa: RUF009, frozen
    storage: MapConfig = MapConfig()  # noqa: RUF009, frozen
    graph: GraphConfig = GraphConfig()  # noqa: RUF009, frozen
    update: UpdateConfig | None = None


class NotReadyError(SelaVPRError):
    """There is no model or no map to work with; the text says why and what to do."""


def rescued() -> Path:
    """Where grown maps go that have no other place."""
    from selavpr_model.runtime.home import home

    return home() / 'rescued'


def unusable(path: str) -> InputError | None:
    """Why this can be no path on this computer; None where it can."""
    try:
        expanded(path)
    except InputError as error:
        return error
    return None


def is_map(path: Path) -> bool:
    """Whether a map was saved there, be it damaged."""
    from selavpr_model.maps.storage.writer import MANIFEST

    return (path / MANIFEST).exists()


def open_map(path: Path, extractor: Extractor) -> PlaceMap:
    """The map of that folder, which this model must have made."""
    from selavpr_model.maps.storage import store

    return store.open_map(path, extractor.identity)


def fits(place_map: PlaceMap, extractor: Extractor) -> bool:
    """Whether this model made the map."""
    return bool(place_map.identity.fingerprint == extractor.identity.fingerprint)


def runs(
    recognizer: PlaceRecognizer, extractor: Extractor, place_map: PlaceMap, request: Request
) -> bool:
    """Whether the recogniser is what building it from these would give."""
    same = recognizer.extractor is extractor and recognizer.place_map is place_map
    configs = (recognizer.config, recognizer.temporal, recognizer.geometry)
    return bool(same and configs == (request.recognizer, request.temporal, request.geometry))


def missing(error: ImportError) -> str:
    """Which Python package is not there, and how to get it."""
    package = PACKAGES.get(error.name or '', error.name)
    return f'{error}; install it: python3 -m pip install {package}'


def reason(error: Exception) -> str:
    """Log the error and return its text; one that we do not expect with its name and a trace."""
    if isinstance(error, ImportError):
        error = NotReadyError(missing(error))
    expected = isinstance(error, (SelaVPRError, OSError))
    logger.error('%s', error, exc_info=None if expected else error)
    return str(error) if expected else f'{type(error).__name__}: {error}'
