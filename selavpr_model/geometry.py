# SPDX-License-Identifier: MIT
"""Do two images show one place from two sides? Motion, and pose, from their matched cells.

No call raises for hard input: there is always a result with a reason.
"""

from __future__ import annotations

import numpy as np

from selavpr_model.config import GeometryConfig
from selavpr_model.geometry_two_view import match_views, solve, TwoView
from selavpr_model.records import Camera

__all__ = ['TwoView', 'verify_pair']


def verify_pair(
    query: np.ndarray,
    reference: np.ndarray,
    query_camera: Camera,
    reference_camera: Camera,
    input_size: tuple[int, int],
    config: GeometryConfig | None = None,
) -> TwoView:
    """query, reference: local features (h, w, C), unit; input_size: (H, W) of the extractor."""
    config = config or GeometryConfig()
    found = match_views(query, reference, query_camera, reference_camera, input_size, config)
    return solve(found, config)
