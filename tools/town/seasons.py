# SPDX-License-Identifier: MIT
"""What differs between the seasons: light, weather, ground and leaves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Season:
    """Light and weather of a run; angles in degrees, azimuth counter-clockwise from x."""

    name: str
    sun_azimuth_deg: float
    sun_elevation_deg: float
    sun_strength: float  # W/m2 of the sun lamp
    sun_colour: tuple[float, float, float]
    sky_strength: float
    cloud_cover: float  # 0 clear to 1 overcast
    cloud_grey: float  # brightness of the clouds
    exposure: float  # stops
    snow: float  # 0 none to 1 everywhere that looks up
    wet: float  # 0 dry to 1 puddles
    leaves: str  # green, brown or bare
    lit_windows: float  # share of windows with light inside
    haze: tuple[float, float, float]  # colour of far things
    grass: tuple[float, float, float]


SEASONS = {
    'summer': Season(
        'summer',
        205.0,
        50.0,
        4.0,
        (1.0, 0.94, 0.84),
        1.35,
        0.35,
        0.9,
        0.3,
        0.0,
        0.0,
        'green',
        0.02,
        (0.55, 0.68, 0.82),
        (0.085, 0.16, 0.028),
    ),
    'winter': Season(
        'winter',
        15.0,
        14.0,
        1.9,
        (1.0, 0.72, 0.47),
        1.1,
        0.8,
        0.75,
        0.2,
        0.55,
        0.8,
        'bare',
        0.22,
        (0.62, 0.64, 0.68),
        (0.13, 0.115, 0.06),
    ),
    'autumn': Season(  # dusk in the rain
        'autumn',
        300.0,
        7.0,
        0.9,
        (1.0, 0.6, 0.4),
        0.75,
        0.95,
        0.5,
        0.1,
        0.0,
        1.0,
        'brown',
        0.35,
        (0.42, 0.42, 0.46),
        (0.11, 0.12, 0.035),
    ),
}
