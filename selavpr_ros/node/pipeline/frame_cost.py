# SPDX-License-Identifier: MIT
"""How long a frame will take with another input size, before it is tried on a running robot."""

from __future__ import annotations

from selavpr_model.config import ExtractorConfig

PATCH = 14  # pixels a side
WIDTH = 6 * 384  # tokens at which a small ViT's attention costs as much as all else


def cost(config: ExtractorConfig) -> float:
    """Of a frame, in no unit: linear layers grow with the tokens, attention with their square."""
    tokens = (config.image_height // PATCH) * (config.image_width // PATCH)
    return tokens * (WIDTH + tokens)


def refusal(
    before: ExtractorConfig, after: ExtractorConfig, frame_s: float, limit_s: float
) -> str | None:
    """Why this size is too slow here; None where it is not. frame_s: what a frame takes now."""
    ratio = cost(after) / cost(before)
    if ratio <= 1.0 or frame_s * ratio <= limit_s:
        return None
    sizes = [f'{one.image_height}x{one.image_width}' for one in (after, before)]
    return (
        f'extractor: an input of {sizes[0]} would take about {frame_s * ratio:.1f} s a frame '
        f'({sizes[1]} takes {frame_s:.2f} s), frame_limit_s is {limit_s:g} s; choose a smaller '
        'one, raise frame_limit_s, or start the node with it'
    )
