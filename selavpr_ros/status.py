# SPDX-License-Identifier: MIT
"""The node's state as messages and log lines."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
import time
import traceback
from typing import Any, TYPE_CHECKING

from selavpr_ros import messages
from selavpr_ros.diagnostics import ERROR, OK, Part

if TYPE_CHECKING:
    from selavpr_model.place_map import PlaceMap
    from selavpr_ros.node import LocalizerNode

MODES = {'LOCALIZE': 0, 'PAUSE': 1}
REPEAT_S = 30.0


class Voice:
    """Logs a line when it is new, and a lasting one again after a while."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._said: dict[str, float] = {}
        self._parts: dict[str, tuple[int, str]] = {}

    def warn(self, text: str) -> None:
        if self._fresh(text):
            self._logger.warning(text)

    def error(self, text: str) -> None:
        if self._fresh(text):
            self._logger.error(text)

    def once(self, text: str) -> None:
        """A warning that is never repeated."""
        if text not in self._said:
            self._said[text] = float('inf')
            self._logger.warning(text)

    def exception(self, text: str, error: BaseException) -> None:
        """With the traceback: this is our mistake, not the user's."""
        if self._fresh(f'{text}: {error!r}'):
            lines = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
            self._logger.error(f'{text}: {error}\n{lines}')

    def tell(self, parts: list[Part]) -> None:
        """Log each part whose level has changed, and say when it is well again."""
        for part in parts:
            before = self._parts.get(part.name, (OK, ''))[0]
            self._parts[part.name] = (part.level, part.message)
            if part.level == before or part.name == 'Localization':
                continue  # a robot is lost and found all the time: see the topics
            if part.level == OK:
                self._logger.info(f'{part.name}: well again, {part.message}')
            elif part.level == ERROR:
                self._logger.error(f'{part.name}: {part.message}')
            else:
                self._logger.warning(f'{part.name}: {part.message}')

    def _fresh(self, text: str) -> bool:
        now = time.monotonic()
        fresh = now >= self._said.get(text, 0.0)
        if fresh:
            self._said[text] = now + REPEAT_S
        return fresh


def localizer_status(node: LocalizerNode, part: Part) -> Any:
    """LocalizerStatus with the worst part as its message."""
    health, extractor, place_map = node.health, node.pipeline.extractor, node.pipeline.place_map
    fields = {
        'lifecycle_state': node.state_id,
        'mode': MODES[node.mode],
        'level': part.level,
        'message': '' if part.level == OK else f'{part.name}: {part.message}',
        'map_id': place_map.map_id if place_map else '',
        'frames_received': health.received,
        'frames_processed': health.processed,
        'engine': 'eager',
    }
    if extractor is not None:
        fields |= {'fingerprint': extractor.identity.fingerprint, 'device': extractor.device}
        fields |= {'weights': extractor.identity.weights, 'precision': extractor.precision}
    stamp = messages.header(node.now_ns(), node.parameters.node.map_frame)
    return messages.status(stamp, fields, health.dropped())


def map_info(node: LocalizerNode) -> Any:
    """MapInfo of the map in use; empty without one."""
    place_map = node.pipeline.place_map
    stamp = messages.header(node.now_ns(), node.parameters.node.map_frame)
    if place_map is None:
        return messages.map_info(stamp, {}, 0)
    manifest = place_map.manifest
    fields = {
        'map_id': place_map.map_id,
        'revision': place_map.revision,
        'path': str(place_map.path or ''),
        'frame_id': place_map.config.frame_id,
        'num_places': len(place_map),
        'sessions': sorted({place.session for place in place_map.places if place.session}),
        'fingerprint': place_map.identity.fingerprint,
        'model': place_map.identity.weights,
        'local_dtype': place_map.config.local_dtype,
        'num_bytes': _bytes_of(place_map),
        'created_by': str(manifest.get('selavpr_version', '')),
    }
    return messages.map_info(stamp, fields, _created_ns(manifest))


def _bytes_of(place_map: PlaceMap) -> int:
    files = place_map.manifest.get('files', {})
    return sum(int(entry['bytes']) for entry in files.values())


def _created_ns(manifest: dict[str, Any]) -> int:
    try:
        return round(datetime.fromisoformat(str(manifest.get('created'))).timestamp() * 1e9)
    except ValueError:
        return 0


def diagnostic_array(node: LocalizerNode, parts: list[Part]) -> Any:
    hardware = Path(node.get_fully_qualified_name()).name
    name = node.get_fully_qualified_name().lstrip('/')
    made = [
        messages.diagnostic(f'{name}: {p.name}', hardware, p.level, p.message, p.values)
        for p in parts
    ]
    return messages.diagnostics(node.now_ns(), made)
