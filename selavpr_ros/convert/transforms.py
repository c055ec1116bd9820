# SPDX-License-Identifier: MIT
"""What /tf_static says, live or in a bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from selavpr_model.poses import inverse
from selavpr_ros.convert import from_ros


class StaticTransforms:
    """Frames that do not move against each other. One thread may add while others look up."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[str, np.ndarray]] = {}

    def add(self, message: Any) -> None:
        """A tf2_msgs/TFMessage; InputError when a transform is none, and nothing is added."""
        edges = {a: dict(leads) for a, leads in self._edges.items()}
        for edge in message.transforms:
            a, b = edge.header.frame_id.lstrip('/'), edge.child_frame_id.lstrip('/')
            T_a_b = from_ros.pose_matrix(edge)
            edges.setdefault(a, {})[b] = T_a_b
            edges.setdefault(b, {})[a] = inverse(T_a_b)
        self._edges = edges

    def find(self, parent: str, child: str) -> np.ndarray | None:
        """(4, 4) T_parent_child along the edges, either way; None if not connected."""
        parent, child, edges = parent.lstrip('/'), child.lstrip('/'), self._edges
        reached, open_ = {parent: np.eye(4)}, [parent]
        for a in open_:
            for b, T_a_b in edges.get(a, {}).items():
                if b not in reached:
                    reached[b] = reached[a] @ T_a_b
                    open_.append(b)
        return reached.get(child)
