# SPDX-License-Identifier: MIT
"""What may be added to a map, and which maps belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.config import MapConfig
from selavpr_model.errors import ConfigError, InputError, MapModelError
from selavpr_model.matching.compact_codec import CompactCodec
from selavpr_model.matching.local_head import LocalHead
from selavpr_model.records import Features, ModelIdentity, Place

UNIT_TOLERANCE = 0.02  # half precision leaves unit vectors this far from length 1


def check_features(features: Features, identity: ModelIdentity) -> None:
    """Raise InputError unless the features are what the model of this map makes."""
    global_, local = np.asarray(features.global_), np.asarray(features.local)
    if global_.shape != (identity.global_dim,) or local.shape != identity.local_shape:
        expected = f'({identity.global_dim},) and {identity.local_shape}'
        got = f'{global_.shape} and {local.shape}'
        raise InputError(f'features: expected {expected}, got {got}; use the model of the map')
    if not (np.isfinite(global_).all() and np.isfinite(local).all()):
        raise InputError('features: not finite; run the model in fp32')
    if abs(float(np.linalg.norm(global_)) - 1.0) > UNIT_TOLERANCE:
        raise InputError(f'features: expected unit length, got {np.linalg.norm(global_):.3f}')


def check_place(place: Place) -> None:
    """Raise InputError unless the place can be stored."""
    if not 0 <= place.id < 2**64 or not -(2**63) <= place.stamp_ns < 2**63:
        raise InputError(
            f'place: expected uint64 id, int64 stamp; got {place.id}, {place.stamp_ns}'
        )
    if place.pose is not None:
        pose = np.asarray(place.pose)
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise InputError(f'place {place.id}: expected a finite (4, 4) pose, got {pose}')


def require_model(path: Path, stored: ModelIdentity, model: ModelIdentity) -> None:
    """Raise MapModelError unless the features of both can be compared."""
    same = stored.global_dim == model.global_dim and stored.local_shape == model.local_shape
    if not same or stored.fingerprint != model.fingerprint:
        raise MapModelError(
            f'{path}: the map was made with {_model_words(stored)}, the model in use is '
            f'{_model_words(model)}; load those weights or build the map again with these'
        )


def _model_words(identity: ModelIdentity) -> str:
    shape = 'x'.join(map(str, identity.local_shape))
    return f'{identity.weights} ({identity.fingerprint[:12]}, {identity.global_dim}, {shape})'


def require_head(identity: ModelIdentity, config: MapConfig, head: LocalHead | None) -> None:
    """Raise ConfigError if the map is to keep tokens, and not what makes their local features."""
    if config.local_dtype == CompactCodec.name and head is None and makes_local(identity):
        raise ConfigError(
            f'map: expected the local head of {identity.weights} for storage {CompactCodec.name}, '
            'got none; make the map by PlaceMap.for_extractor'
        )


def makes_local(identity: ModelIdentity) -> bool:
    """Whether the model's local features are made of its tokens, and are not the tokens."""
    model = identity.description.get('model')
    return isinstance(model, dict) and model.get('local_head') == 'upconv'
