# SPDX-License-Identifier: MIT
"""The node's state as messages and log lines."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
import re
import threading
import time
import traceback
from typing import Any, TYPE_CHECKING

from selavpr.srv import SetMode

from selavpr_ros.convert import to_ros
from selavpr_ros.node.health.diagnostics import ERROR, OK, Part

if TYPE_CHECKING:
    from selavpr_model.maps.place_map import PlaceMap
    from selavpr_ros.node.localizer import LocalizerNode

MODES = {
    'LOCALIZE': SetMode.Request.LOCALIZE,
    'PAUSE': SetMode.Request.PAUSE,
    'SLAM': SetMode.Request.SLAM,
}
REPEAT_S = 30.0
REMEMBERED = 100  # lines that are not to be repeated yet
NUMBER = re.compile(r'0x[0-9a-fA-F]+|\d[\d.]*')


class Voice:
    """Logs a line when it is new, and a lasting one again after a while.

    Lines that differ only in their numbers are one line: each damaged image has another size.
    Both threads of the node speak.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()  # of what was said
        self._said: dict[str, float] = {}
        self._parts: dict[str, Part] = {}

    def warn(self, text: str) -> None:
        if self._fresh(text):
            self._logger.warning(text)

    def error(self, text: str) -> None:
        if self._fresh(text):
            self._logger.error(text)

    def once(self, text: str) -> None:
        """A warning that is never repeated."""
        if self._fresh(text, float('inf')):
            self._logger.warning(text)

    def exception(self, text: str, error: BaseException) -> None:
        """With the traceback: this is our mistake, not the user's."""
        if self._fresh(f'{text}: {error!r}'):
            lines = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
            self._logger.error(f'{text}: {error}\n{lines}')

    def tell(self, parts: list[Part]) -> None:
        """Log each part that is worse, better or about something else than before."""
        now = {f'{part.name} {part.values.get("parameter", "")}': part for part in parts}
        with self._lock:
            before, self._parts = self._parts, now
        for key, part in now.items():
            if part.name != 'Localization':  # a robot is lost and found all the time: see topics
                self._tell(part, before.get(key, Part(part.name, OK, '')))

    def _tell(self, part: Part, before: Part) -> None:
        line = f'{part.name}: {part.message}'
        new = part.level != before.level
        if part.level == OK:
            if new:
                self._logger.info(f'{part.name}: well again, {part.message}')
        elif new or (bare(part.message) != bare(before.message) and self._fresh(line)):
            if part.level == ERROR:  # a line of code each: rclpy lets none change its severity
                self._logger.error(line)
            else:
                self._logger.warning(line)

    def _fresh(self, text: str, repeat_s: float = REPEAT_S) -> bool:
        now, text = time.monotonic(), bare(text)
        with self._lock:
            if now < self._said.get(text, 0.0):
                return False
            self._said = {line: due for line, due in self._said.items() if due > now}
            if len(self._said) >= REMEMBERED:
                del self._said[min(self._said, key=self._said.__getitem__)]
            self._said[text] = now + repeat_s
            return True


def bare(text: str) -> str:
    """The text without its numbers."""
    return NUMBER.sub('#', text)


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
        'engine': '',
    }
    if extractor is not None:
        fields |= {'fingerprint': extractor.identity.fingerprint, 'device': extractor.device}
        fields |= {'weights': extractor.identity.weights, 'precision': extractor.precision}
        fields |= {'engine': extractor.engine}
    stamp = to_ros.header(node.now_ns(), node.parameters.node.map_frame)
    return to_ros.status(stamp, fields, health.dropped())


def map_info(node: LocalizerNode) -> Any:
    """MapInfo of the map in use; empty without one."""
    place_map = node.pipeline.place_map
    stamp = to_ros.header(node.now_ns(), node.parameters.node.map_frame)
    if place_map is None:
        return to_ros.map_info(stamp, {}, 0)
    manifest = place_map.manifest
    fields = {
        'map_id': place_map.map_id,
        'revision': place_map.revision,
        'path': str(place_map.path or ''),
        'frame_id': place_map.config.frame_id,
        'num_places': len(place_map),
        'sessions': sorted(place_map.sessions - {''}),
        'fingerprint': place_map.identity.fingerprint,
        'model': place_map.identity.weights,
        'local_dtype': place_map.config.local_dtype,
        'num_bytes': _bytes_of(place_map),
        'created_by': str(manifest.get('selavpr_version', '')),
    }
    return to_ros.map_info(stamp, fields, _created_ns(manifest))


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
        to_ros.diagnostic(f'{name}: {p.name}', hardware, p.level, p.message, p.values)
        for p in parts
    ]
    return to_ros.diagnostics(node.now_ns(), made)
