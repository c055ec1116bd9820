# SPDX-License-Identifier: MIT
"""manifest.json: what a map says about itself, with a checksum over its own bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
import re
from typing import Any

from selavpr_model.config import MapConfig
from selavpr_model.decision.calibration import Calibration
from selavpr_model.decision.confidence import FEATURES
from selavpr_model.errors import ConfigError, MapMetadataError, MapVersionError
from selavpr_model.maps.storage import limited_json
from selavpr_model.maps.storage.camera_entry import camera_of
from selavpr_model.maps.storage.source import trouble_of
from selavpr_model.records import Camera, ModelIdentity
from selavpr_model.runtime.shown import one_line, shown

FORMAT = 'selavpr-map'
FORMAT_VERSION = 1
MOST_BYTES = 1 << 25  # of the file
MOST_CELLS, MOST_CHANNELS, MOST_DIM = 1024, 4096, 1 << 22
COPY_AGAIN = 'copy the map again from where it was made, or build it again'
MAP_ID = re.compile(r'[0-9A-Za-z-]{1,64}')  # becomes a part of the names of files
UNALIGNED = 'unaligned_sessions'  # by this field format 1 is told from the maps before it
DATA_FOLDER = re.compile(r'data-\d{6,}-[0-9a-f]{8}')
GLOBAL = 'global.npy'
LOCAL = 'local.npy'
POSES = 'poses.npy'
PLACES = 'places.jsonl'
CHECKSUMS = 'checksums.npy'  # (N, 2) uint32: of a place's local features, of its thumbnail
FILES = (GLOBAL, LOCAL, POSES, PLACES, CHECKSUMS)
THUMBNAILS, THUMBNAIL_OFFSETS = THUMBNAIL_FILES = ('thumbnails.npy', 'thumbnail_offsets.npy')
INDEX_VALUES, INDEX_CODES = INDEX_FILES = ('index_values.npy', 'index_codes.npy')
TRAINED = 'index_trained'  # in counts: for how many places the values were chosen
LINKS = 'links.npy'  # closures that join places
ODOMETRY = 'odometry.npy'  # of runs in SLAM mode, as it was measured
HEAD = 'head.npy'  # what makes local features of tokens, where these are stored
ROBOT = 'robot_mask.npy'  # where the robot sees itself
OPTIONAL_FILES = (*THUMBNAIL_FILES, *INDEX_FILES, HEAD, LINKS, ODOMETRY, ROBOT)
EVERY_FILE = (*FILES, *OPTIONAL_FILES, 'index.faiss')  # the last of before the release
_DIGEST = re.compile(rb'\n "manifest_sha256": "([0-9a-f]{64})"\n}\n\Z')  # the end of the file
_HEAD = re.compile(rb'\s*\{\s*"format":\s*"selavpr-map",\s*"format_version":')
FIELDS: dict[str, type | tuple[type, ...]] = {
    'map_id': str,
    'revision': int,
    'created': str,
    'selavpr_version': str,
    'model': dict,
    'preprocessing': object,
    'frame_id': str,
    'counts': dict,
    'local_dtype': str,
    'data': str,
    'files': dict,
    'configs': dict,
    'calibration': (dict, type(None)),
    'cameras': dict,
    UNALIGNED: list,
    'source': dict,
}
_MODEL_FIELDS: dict[str, type] = {
    'fingerprint': str,
    'weights': str,
    'note': str,
    'description': dict,
    'global_dim': int,
    'local_shape': list,
}
_COUNTS = ('places', 'with_pose', 'thumbnails', 'sessions', TRAINED)
_FILE_FIELDS: dict[str, type] = {'bytes': int, 'sha256': str, 'dtype': str, 'shape': list}


def encode(manifest: dict[str, Any]) -> bytes:
    """JSON whose last value is the SHA-256 of these same bytes with 64 zeros in its place."""
    head = {'format': FORMAT, 'format_version': FORMAT_VERSION}
    full = {**head, **manifest, 'manifest_sha256': '0' * 64}
    raw = (json.dumps(full, indent=1, default=str) + '\n').encode()
    if len(raw) > MOST_BYTES:
        raise MapMetadataError(
            f'manifest: expected at most {MOST_BYTES} bytes, got {len(raw)}; '
            'merge fewer maps, or give their places ids of their own'
        )
    return _with_digest(raw, hashlib.sha256(raw).hexdigest().encode())


def _with_digest(raw: bytes, digest: bytes) -> bytes:
    place = _DIGEST.search(raw)
    assert place is not None
    return raw[: place.start(1)] + digest + raw[place.end(1) :]


def decode(raw: bytes, where: Path) -> dict[str, Any]:
    """Parse and check; MapVersionError for another format version, else MapMetadataError."""
    try:
        manifest = limited_json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, f'it is not JSON ({one_line(str(error), 200)})') from error
    if not isinstance(manifest, dict) or manifest.get('format') != FORMAT:
        raise _damaged(where, f'format is not {FORMAT!r}')
    _check_version(manifest, where)
    _check_digest(raw, where)
    if UNALIGNED not in manifest:
        raise _of_before(manifest['format_version'], where)
    _check_fields(manifest, where)
    return manifest


def is_ours(raw: bytes) -> bool:
    """Whether a program of this name wrote these bytes, which may be damaged or cut off since."""
    return bool(_HEAD.match(raw))


def _check_version(manifest: dict[str, Any], where: Path) -> None:
    version = manifest.get('format_version')
    if type(version) is not int:
        raise _damaged(where, f'format_version is {shown(version)}')
    if version == FORMAT_VERSION:
        return
    if version < FORMAT_VERSION or UNALIGNED not in manifest:
        raise _of_before(version, where)
    raise MapVersionError(
        f'{where}: expected map format {FORMAT_VERSION}, got {version}; install a newer selavpr'
    )


def _of_before(version: int, where: Path) -> MapVersionError:
    return MapVersionError(
        f'{where}: expected map format {FORMAT_VERSION}, got one of before its release '
        f'(version {version}); build the map again'
    )


def _check_digest(raw: bytes, where: Path) -> None:
    stored = _DIGEST.search(raw)
    if stored is None:
        raise _damaged(where, 'it does not end with its own checksum')
    expected = stored.group(1).decode()
    actual = hashlib.sha256(_with_digest(raw, b'0' * 64)).hexdigest()
    if actual != expected:
        raise _damaged(where, f'expected SHA-256 {expected[:12]}, got {actual[:12]}')


def _check_fields(manifest: dict[str, Any], where: Path) -> None:
    _require(manifest, FIELDS, '', where)
    _require(manifest['model'], _MODEL_FIELDS, 'model.', where)
    _require(manifest['counts'], dict.fromkeys(_COUNTS, int), 'counts.', where)
    for name, entry in manifest['files'].items():
        _require(entry, _FILE_FIELDS, f'files.{shown(name)}.', where)
        if not all(type(n) is int and n >= 0 for n in entry['shape']) or entry['bytes'] < 0:
            raise _damaged(where, f'files.{name}: expected sizes, got {shown(entry)}')
    _require(manifest['configs'], dict.fromkeys(manifest['configs'], dict), 'configs.', where)
    _check_ranges(manifest, where)
    _check_files(manifest, where)
    if trouble := trouble_of(manifest['source']):
        raise _damaged(where, trouble)
    calibration(manifest, where), cameras(manifest, where), unaligned_sessions(manifest, where)


def _check_ranges(manifest: dict[str, Any], where: Path) -> None:
    shape, dim = manifest['model']['local_shape'], manifest['model']['global_dim']
    numbers = len(shape) == 3 and all(type(n) is int for n in shape)
    most = (MOST_CELLS, MOST_CELLS, MOST_CHANNELS)
    if not numbers or not all(0 < n <= limit for n, limit in zip(shape, most, strict=True)):
        expected = f'3 numbers from 1 to {", ".join(map(str, most))}'
        raise _damaged(where, f'model.local_shape: expected {expected}; got {shown(shape)}')
    if not 1 <= dim <= MOST_DIM or min(manifest['counts'].values()) < 0:
        raise _damaged(where, f'model.global_dim {dim} or one of counts is out of range')
    if not 0 <= manifest['revision'] < 2**31:
        raise _damaged(where, f'revision {manifest["revision"]} is out of range')
    if not MAP_ID.fullmatch(manifest['map_id']):
        raise _damaged(where, f'map_id: expected a UUID, got {shown(manifest["map_id"])}')


def _check_files(manifest: dict[str, Any], where: Path) -> None:
    if not DATA_FOLDER.fullmatch(manifest['data']):
        raise _damaged(where, f'data: expected data-REVISION-ID, got {shown(manifest["data"])}')
    if not set(FILES) <= set(manifest['files']) <= {*FILES, *OPTIONAL_FILES}:
        got = shown(', '.join(sorted(manifest['files'])), 400)
        raise _damaged(where, f'files: expected {", ".join(sorted(FILES))}, got {got}')
    map_config(manifest, where)


def _require(values: Any, kinds: dict[str, Any], prefix: str, where: Path) -> None:
    if not isinstance(values, dict):
        raise _damaged(where, f'{prefix.rstrip(".")}: expected an object, got {shown(values)}')
    for name, kind in kinds.items():
        if name not in values:
            raise _damaged(where, f'{prefix}{name} is missing')
        value = values[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _damaged(where, f'{prefix}{name}: unexpected value {shown(value)}')


def _damaged(where: Path, detail: str) -> MapMetadataError:
    return MapMetadataError(f'{where}: the manifest is damaged: {one_line(detail)}; {COPY_AGAIN}')


def identity_of(manifest: dict[str, Any]) -> ModelIdentity:
    model = manifest['model']
    return ModelIdentity(
        fingerprint=model['fingerprint'],
        weights=model['weights'],
        global_dim=model['global_dim'],
        local_shape=tuple(model['local_shape']),
        description=model['description'],
        note=model['note'],
    )


def model_entry(identity: ModelIdentity) -> dict[str, Any]:
    return {
        'fingerprint': identity.fingerprint,
        'weights': identity.weights,
        'note': identity.note,
        'description': dict(identity.description),
        'global_dim': identity.global_dim,
        'local_shape': list(identity.local_shape),
    }


def map_config(manifest: dict[str, Any], where: Path) -> MapConfig:
    """The MapConfig the map was made with; its dtype must be the stored one."""
    try:
        config = MapConfig.from_dict(manifest['configs'].get('storage'))
    except (ConfigError, TypeError, AttributeError) as error:
        raise _damaged(where, f'configs.storage: {error}') from error
    if config.local_dtype != manifest['local_dtype']:
        stored = manifest['local_dtype']
        raise _damaged(where, f'local_dtype {shown(stored)} is not that of configs.storage')
    return config


def calibration(manifest: dict[str, Any], where: Path) -> Calibration | None:
    """What the map measured when it was built; None where it was too small.

    MapVersionError where its confidence weighs other features than this program's.
    """
    values = manifest['calibration']
    if values is None:
        return None
    try:
        features = sorted(values['confidence']['weights'])
        if features == sorted(FEATURES):
            made = Calibration.from_dict(values)
            limited_json.require_finite(made.to_dict())
            return made
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(where, f'calibration: {error!r}') from error
    got = one_line(', '.join(map(str, features)), 400)
    raise MapVersionError(
        f'{where}: expected a confidence of {", ".join(FEATURES)}, got {got}; build the map again'
    )


def cameras(manifest: dict[str, Any], where: Path) -> dict[str, Camera]:
    """Session -> camera. Raises MapMetadataError for a bad one."""
    try:
        return {name: camera_of(entry) for name, entry in manifest['cameras'].items()}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(where, f'cameras: {error}') from error


def unaligned_sessions(manifest: dict[str, Any], where: Path) -> set[str]:
    """Sessions whose poses are not in the frame of the map."""
    names = manifest[UNALIGNED]
    if not all(isinstance(name, str) for name in names):
        raise _damaged(where, f'{UNALIGNED}: expected names of sessions, got {shown(names)}')
    return set(names)
