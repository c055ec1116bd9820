# SPDX-License-Identifier: MIT
"""The node's state as messages."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from selavpr_ros.convert import node_messages, to_ros
from selavpr_ros.node.context import Context
from selavpr_ros.node.health.health import OK, Part
from selavpr_ros.node.pipeline.states import PlaceMap, State


def localizer_status(context: Context, state: State, worst: Part) -> Any:
    """LocalizerStatus with the worst part as its message."""
    health, extractor, place_map = context.health, state.extractor, state.place_map
    fields = {
        'lifecycle_state': context.lifecycle,
        'mode': node_messages.MODES[context.mode],
        'level': worst.level,
        'message': '' if worst.level == OK else f'{worst.name}: {worst.message}',
        'map_id': '' if place_map is None else place_map.map_id,
        'frames_received': health.received,
        'frames_processed': health.processed,
    }
    if extractor is not None:
        fields |= {'fingerprint': extractor.identity.fingerprint, 'device': extractor.device}
        fields |= {'weights': extractor.identity.weights, 'precision': extractor.precision}
        fields |= {'engine': extractor.engine}
    stamp = to_ros.header(context.now_ns(), context.config.map_frame)
    return node_messages.status(stamp, fields, health.dropped())


def map_info(place_map: PlaceMap | None, stamp_ns: int, frame: str) -> Any:
    """MapInfo of the map in use; empty without one."""
    stamp = to_ros.header(stamp_ns, frame)
    if place_map is None:
        return node_messages.map_info(stamp, {}, 0)
    manifest = place_map.manifest
    files = manifest.get('files', {})
    fields = {
        'map_id': place_map.map_id,
        'revision': place_map.revision,
        'path': to_ros.text(str(place_map.path or '')),
        'frame_id': place_map.config.frame_id,
        'num_places': len(place_map),
        'sessions': sorted(map(to_ros.text, place_map.sessions - {''})),
        'fingerprint': place_map.identity.fingerprint,
        'model': place_map.identity.weights,
        'local_dtype': place_map.config.local_dtype,
        'num_bytes': sum(int(entry['bytes']) for entry in files.values()),
        'created_by': str(manifest.get('selavpr_version', '')),
    }
    return node_messages.map_info(stamp, fields, _created_ns(manifest))


def _created_ns(manifest: dict[str, Any]) -> int:
    try:
        return round(datetime.fromisoformat(str(manifest.get('created'))).timestamp() * 1e9)
    except (ValueError, OverflowError):  # also year 1
        return 0


def diagnostic_array(context: Context, parts: list[Part]) -> Any:
    """DiagnosticArray of these parts, each with the name of the node."""
    hardware, name = Path(context.name).name, context.name.lstrip('/')
    lines = [
        node_messages.diagnostic(f'{name}: {p.name}', hardware, p.level, p.message, p.values)
        for p in parts
    ]
    return node_messages.diagnostics(context.now_ns(), lines)
