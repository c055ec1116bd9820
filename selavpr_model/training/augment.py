# SPDX-License-Identifier: MIT
"""Training views: another viewpoint, light and camera, with the homography that was drawn.

Everything random comes from the generator passed in, so a step can be drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from selavpr_model.config.training import AugmentConfig

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """image: (H, W, 3) uint8 RGB; homography: (3, 3), pixels of the view -> of its source."""

    image: np.ndarray
    homography: np.ndarray


def make_view(image: np.ndarray, side: int, rng: Rng, config: AugmentConfig, flip: bool) -> View:
    """A view of (H, W, 3) uint8, side x side pixels; flip: mirror it, too."""
    homography = draw_homography(image.shape[:2], side, rng, config, flip)
    # INTER_LINEAR is as in the extractor, which does not antialias either.
    warped = cv2.warpPerspective(
        image,
        homography,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return View(change_look(warped, rng, config), homography)


def draw_homography(
    size: tuple[int, int], side: int, rng: Rng, config: AugmentConfig, flip: bool
) -> np.ndarray:
    """(3, 3) float64 from view pixels to image pixels; the crop's centre stays in the image."""
    height, width = size
    stretch = np.exp(rng.uniform(-config.aspect, config.aspect) / 2)
    scale = rng.uniform(config.min_scale, 1.0)
    crop = np.minimum(scale * np.array([width * stretch, height / stretch]), [width, height])
    centre = crop / 2 + rng.uniform(0, 1, 2) * (np.array([width, height]) - crop) - 0.5
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * crop / 2
    corners += rng.uniform(-1, 1, (4, 2)) * config.perspective * crop
    angle = np.radians(rng.uniform(-config.rotation_deg, config.rotation_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = corners @ turn.T + centre
    if flip:
        corners = corners[[1, 0, 3, 2]]
    edge = side - 0.5
    square = np.array([[-0.5, -0.5], [edge, -0.5], [edge, edge], [-0.5, edge]])
    return cv2.getPerspectiveTransform(square.astype(np.float32), corners.astype(np.float32))


def change_look(image: np.ndarray, rng: Rng, config: AugmentConfig) -> np.ndarray:
    """Light and colour always, the rest each with its probability, in the order of a camera."""
    image = relight(image, rng, config)
    for probability, change in _changes(config):
        if rng.random() < probability:
            image = change(image, rng)
    return image


def _changes(config: AugmentConfig) -> list[tuple[float, Callable[[np.ndarray, Rng], np.ndarray]]]:
    return [
        (config.occlusion, occlude),
        (config.low_resolution, lose_resolution),
        (config.blur, blur),
        (config.noise, add_noise),
        (config.grey, to_grey),
        (config.jpeg, compress),
    ]


def relight(image: np.ndarray, rng: Rng, config: AugmentConfig) -> np.ndarray:
    """Gain, offset, gamma, white balance, saturation and a soft shadow across the image."""
    light, colour = config.light, config.colour
    x = image.astype(np.float32) / 255
    x **= np.float32(np.exp(rng.uniform(-1, 1) * light))
    mean = x.mean()
    x = (x - mean) * np.float32(np.exp(rng.uniform(-0.8, 0.5) * light)) + mean
    x *= np.exp(rng.uniform(-1, 1, 3) * 0.4 * colour).astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * np.float32(1 + rng.uniform(-1, 1) * colour)
    x += np.float32(rng.uniform(-0.25, 0.25) * light)
    x *= _shadow(image.shape[:2], rng, light)
    return (x.clip(0, 1) * 255).round().astype(np.uint8)


def _shadow(size: tuple[int, int], rng: Rng, light: float) -> np.ndarray:
    """(H, W, 1) float32 factors: light that falls off in a random direction."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    angle, steep = rng.uniform(0, 2 * np.pi), rng.uniform(1, 8)
    along = (x / size[1] - 0.5) * np.cos(angle) + (y / size[0] - 0.5) * np.sin(angle)
    dark = rng.uniform(0, light)
    factors = 1 - dark / (1 + np.exp(-steep * (along - rng.uniform(-0.5, 0.5))))
    return factors[..., None].astype(np.float32)


def occlude(image: np.ndarray, rng: Rng) -> np.ndarray:
    """One to three boxes of one colour: what stood there is gone, something else is there."""
    image = image.copy()
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 4)):
        h, w = (rng.uniform(0.1, 0.4, 2) * (height, width)).astype(int)
        y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return image


def lose_resolution(image: np.ndarray, rng: Rng) -> np.ndarray:
    """What a camera of 64 to 160 px would have seen."""
    height, width = image.shape[:2]
    factor = min(1.0, rng.uniform(64, 160) / height)
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    coarse = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def blur(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Out of focus, or moved while the shutter was open."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.0))
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, rng.uniform(0, 180), 1.0)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1e-6))


def add_noise(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Gaussian noise of 2 to 15 grey levels."""
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(2, 15)
    return (image + noise).clip(0, 255).astype(np.uint8)


def to_grey(image: np.ndarray, rng: Rng) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def compress(image: np.ndarray, rng: Rng) -> np.ndarray:
    """JPEG at quality 15 to 70."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))]
    encoded = cv2.imencode('.jpg', image[..., ::-1], quality)[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1]
