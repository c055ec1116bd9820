# SPDX-License-Identifier: MIT
"""Painted signs, posters and plates, drawn with OpenCV from a seed."""

from __future__ import annotations

import bpy
import cv2
import numpy as np

WORDS = (
    'BAKERY',
    'BOOKS',
    'CAFE',
    'PHARMACY',
    'HOTEL',
    'FLOWERS',
    'TAILOR',
    'BANK',
    'OPTIK',
    'PIZZA',
    'MUSIC',
    'TOYS',
    'BARBER',
    'WINE',
    'CYCLES',
    'SHOES',
    'RADIO',
    'FISH',
    'KEBAB',
    'ARTS',
    'LAW',
    'DENTAL',
    'PAPER',
    'TEA',
    'YOGA',
    'PUB',
    'MARKET',
    'FOTO',
    'CINEMA',
    'JEWELS',
    'CLOCKS',
    'GARDEN',
    'LAMPS',
    'PRESS',
    'VINYL',
    'SUSHI',
)
FONTS = (
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def to_blender(name: str, rgb: np.ndarray) -> bpy.types.Image:
    """(H, W, 3) uint8 RGB, top row first, to a packed image."""
    height, width = rgb.shape[:2]
    image = bpy.data.images.new(name, width, height)
    rgba = np.ones((height, width, 4), dtype=np.float32)
    rgba[..., :3] = rgb[::-1].astype(np.float32) / 255.0
    image.pixels.foreach_set(rgba.ravel())
    image.pack()
    return image


def vivid(rng: np.random.Generator, value: tuple[int, int] = (60, 230)) -> tuple[int, int, int]:
    """A random, mostly saturated RGB colour."""
    hsv = np.uint8([[[rng.integers(180), rng.integers(90, 240), rng.integers(*value)]]])
    return tuple(int(c) for c in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])


def _write(
    image: np.ndarray,
    text: str,
    box: tuple[int, int, int, int],
    colour: tuple[int, int, int],
    font: int,
) -> None:
    """Fit a word into box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    (width, height), _ = cv2.getTextSize(text, font, 1.0, 2)
    scale = min((x1 - x0) / width, (y1 - y0) / height)
    at = (int(x0 + (x1 - x0 - width * scale) / 2), int(y1 - (y1 - y0 - height * scale) / 2))
    cv2.putText(image, text, at, font, scale, colour, max(2, int(2.6 * scale)), cv2.LINE_AA)


def shop_sign(rng: np.random.Generator) -> np.ndarray:
    """(64, 384, 3) RGB: a word, a logo and a frame."""
    back = vivid(rng, (40, 240))
    ink = (245, 240, 225) if sum(back) < 380 else (25, 22, 30)
    image = np.full((64, 384, 3), back, np.uint8)
    if rng.random() < 0.5:
        cv2.rectangle(image, (4, 4), (379, 59), ink, 3)
    left = 70 if rng.random() < 0.6 else 16
    if left == 70:
        cv2.circle(image, (38, 32), 22, vivid(rng), -1)
        _polygon(image, rng, (38, 32), 16, ink)
    _write(image, str(rng.choice(WORDS)), (left, 14, 366, 50), ink, int(rng.choice(FONTS)))
    return image


def _polygon(
    image: np.ndarray,
    rng: np.random.Generator,
    centre: tuple[int, int],
    radius: float,
    colour: tuple[int, int, int],
) -> None:
    """A random star or polygon."""
    n = int(rng.integers(3, 9))
    turn = np.linspace(0, 2 * np.pi, 2 * n, endpoint=False)
    reach = np.where(np.arange(2 * n) % 2, radius * rng.uniform(0.4, 1.0), radius)
    points = np.stack([np.cos(turn), np.sin(turn)], 1) * reach[:, None] + centre
    cv2.fillPoly(image, [points.astype(np.int32)], colour, cv2.LINE_AA)


def poster(rng: np.random.Generator) -> np.ndarray:
    """(192, 128, 3) RGB: shapes and a line of text."""
    top, bottom = np.array(vivid(rng)), np.array(vivid(rng))
    fade = np.linspace(0, 1, 192)[:, None, None]
    image = np.ascontiguousarray(
        np.broadcast_to(top * (1 - fade) + bottom * fade, (192, 128, 3)).astype(np.uint8)
    )
    for _ in range(int(rng.integers(3, 7))):
        centre = tuple(int(c) for c in rng.integers((10, 20), (118, 140)))
        if rng.random() < 0.5:
            cv2.circle(image, centre, int(rng.integers(8, 36)), vivid(rng), -1, cv2.LINE_AA)
        else:
            _polygon(image, rng, centre, float(rng.integers(15, 45)), vivid(rng))
    _write(
        image, str(rng.choice(WORDS)), (8, 150, 120, 180), (250, 250, 245), int(rng.choice(FONTS))
    )
    return image


def mural(rng: np.random.Generator) -> np.ndarray:
    """(256, 256, 3) RGB: a large painting for a blind gable."""
    image = np.full((256, 256, 3), vivid(rng, (140, 230)), np.uint8)
    for _ in range(22):
        centre = tuple(int(c) for c in rng.integers(0, 256, 2))
        if rng.random() < 0.4:
            axes = tuple(int(c) for c in rng.integers(12, 70, 2))
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, vivid(rng), -1)
        else:
            _polygon(image, rng, centre, float(rng.integers(20, 70)), vivid(rng))
    _write(image, str(rng.choice(WORDS)), (20, 195, 236, 240), (250, 248, 240), FONTS[0])
    return image


def traffic_sign(kind: int) -> np.ndarray:
    """(96, 96, 3) RGB: 0 limit, 1 warning, 2 no entry, 3 parking, 4 way ahead, 5 no stopping."""
    image = np.full((96, 96, 3), 90, np.uint8)
    red, white, blue, ink = (190, 25, 25), (240, 240, 238), (25, 70, 165), (20, 20, 20)
    if kind == 0:
        cv2.circle(image, (48, 48), 46, red, -1, cv2.LINE_AA)
        cv2.circle(image, (48, 48), 34, white, -1, cv2.LINE_AA)
        _write(image, '30', (24, 32, 72, 64), ink, FONTS[0])
    elif kind == 1:
        cv2.fillPoly(image, [np.array([(48, 4), (94, 88), (2, 88)])], red, cv2.LINE_AA)
        cv2.fillPoly(image, [np.array([(48, 26), (76, 78), (20, 78)])], white, cv2.LINE_AA)
        cv2.line(image, (48, 42), (48, 62), ink, 7)
    elif kind == 2:
        cv2.circle(image, (48, 48), 46, red, -1, cv2.LINE_AA)
        cv2.rectangle(image, (14, 39), (82, 57), white, -1)
    elif kind in (3, 4):
        cv2.rectangle(image, (3, 3), (92, 92), blue, -1)
        _write(image, 'P' if kind == 3 else '^', (26, 18, 70, 78), white, FONTS[0])
    else:
        cv2.circle(image, (48, 48), 46, red, -1, cv2.LINE_AA)
        cv2.circle(image, (48, 48), 36, blue, -1, cv2.LINE_AA)
        cv2.line(image, (22, 22), (74, 74), red, 9)
    return image


def clock_face() -> np.ndarray:
    """(128, 128, 3) RGB clock."""
    image = np.full((128, 128, 3), (60, 50, 40), np.uint8)
    cv2.circle(image, (64, 64), 60, (235, 230, 215), -1, cv2.LINE_AA)
    for k in range(12):
        c, s = np.cos(k * np.pi / 6), np.sin(k * np.pi / 6)
        cv2.line(
            image,
            (int(64 + 46 * c), int(64 + 46 * s)),
            (int(64 + 56 * c), int(64 + 56 * s)),
            (20, 20, 20),
            4,
        )
    cv2.line(image, (64, 64), (64, 22), (20, 20, 20), 5, cv2.LINE_AA)
    cv2.line(image, (64, 64), (90, 78), (20, 20, 20), 6, cv2.LINE_AA)
    return image
