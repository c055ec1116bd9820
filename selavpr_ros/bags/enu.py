# SPDX-License-Identifier: MIT
"""Latitude and longitude (WGS 84) to metres east, north and up of a place."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np

AXIS_M = 6_378_137.0
ECCENTRICITY2 = 6.694379990141316e-3


def is_place(place: Sequence[float]) -> bool:
    """Latitude and longitude in degrees, altitude in m; (0, 0) is what receivers say of none."""
    latitude, longitude, altitude = place
    known = math.isfinite(latitude) and math.isfinite(longitude) and (latitude or longitude)
    return bool(known) and abs(latitude) <= 90 and abs(longitude) <= 360 and abs(altitude) < 1e5


def earth_centred(place: Sequence[float]) -> np.ndarray:
    """(3,) m from the centre of the earth."""
    phi, lam = math.radians(place[0]), math.radians(place[1])
    radius = AXIS_M / math.sqrt(1.0 - ECCENTRICITY2 * math.sin(phi) ** 2)
    ring = (radius + place[2]) * math.cos(phi)
    up = (radius * (1.0 - ECCENTRICITY2) + place[2]) * math.sin(phi)
    return np.array([ring * math.cos(lam), ring * math.sin(lam), up])


def east_north_up(place: Sequence[float], origin: Sequence[float]) -> np.ndarray:
    """(3,) m of a place (latitude, longitude in degrees, altitude in m) seen from the origin."""
    phi, lam = math.radians(origin[0]), math.radians(origin[1])
    axes = np.array(
        [
            [-math.sin(lam), math.cos(lam), 0.0],
            [-math.sin(phi) * math.cos(lam), -math.sin(phi) * math.sin(lam), math.cos(phi)],
            [math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)],
        ]
    )
    return axes @ (earth_centred(place) - earth_centred(origin))
