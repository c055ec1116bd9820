# SPDX-License-Identifier: MIT
"""Latitude and longitude as metres east, north and up of an origin (WGS 84)."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from dataclasses import dataclass
import math

import numpy as np

STILL = 0.5
"""Latitudes and longitudes of one drive differ by less than this, positions in metres by more."""
SEMI_MAJOR_M, FLATTENING = 6378137.0, 1 / 298.257223563


@dataclass(frozen=True, slots=True)
class Origin:
    """Where x, y, z are 0: degrees, and metres above the ellipsoid."""

    latitude: float
    longitude: float
    altitude: float = 0.0

    def to_dict(self) -> dict[str, float]:
        return dataclasses.asdict(self)

    def enu(self, latitude: float, longitude: float, altitude: float) -> np.ndarray:
        """(3,) metres east, north, up of the origin."""
        lat, lon = math.radians(self.latitude), math.radians(self.longitude)
        sin_lat, cos_lat, sin_lon, cos_lon = (
            math.sin(lat),
            math.cos(lat),
            math.sin(lon),
            math.cos(lon),
        )
        to_enu = np.array(
            [
                [-sin_lon, cos_lon, 0.0],
                [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
                [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
            ]
        )
        own = ecef(self.latitude, self.longitude, self.altitude)
        return np.asarray(to_enu @ (ecef(latitude, longitude, altitude) - own))


def ecef(latitude: float, longitude: float, altitude: float) -> np.ndarray:
    """(3,) metres from the centre of the earth."""
    lat, lon = math.radians(latitude), math.radians(longitude)
    e2 = FLATTENING * (2.0 - FLATTENING)
    normal = SEMI_MAJOR_M / math.sqrt(1.0 - e2 * math.sin(lat) ** 2)
    flat = (normal + altitude) * math.cos(lat)
    height = (normal * (1.0 - e2) + altitude) * math.sin(lat)
    return np.array([flat * math.cos(lon), flat * math.sin(lon), height])


def on_earth(latitude: float, longitude: float) -> bool:
    """Whether these are degrees of a place, east up to 360; 0, 0 is what receivers say without a
    fix."""
    return abs(latitude) <= 90.0 and abs(longitude) <= 360.0 and (latitude, longitude) != (0, 0)


def are_degrees(texts: Sequence[tuple[str, str]]) -> bool:
    """Whether positions, as they are written, are latitudes and longitudes rather than metres.

    They are where at least three have four or more decimals, all lie in the range of degrees, and
    the whole drive is within half of one.
    """
    if len(texts) < 3 or any(len(t.partition('.')[2]) < 4 for pair in texts for t in pair):
        return False
    try:
        values = np.array(texts, np.float64)
    except ValueError:
        return False
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < 3 or (np.ptp(values, axis=0) > STILL).any():
        return False
    middle = np.abs(np.median(values, axis=0))
    return bool((middle > 1.0).all() and (middle <= 180.0).all())
