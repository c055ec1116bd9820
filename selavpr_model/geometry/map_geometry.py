# SPDX-License-Identifier: MIT
"""Do two images show one place from two sides? Motion, and pose, from their matched cells.

No call raises for hard input: there is always a result with a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from selavpr_model.config import GeometryConfig
from selavpr_model.geometry.pose import metric_pose, MetricPose, Reference
from selavpr_model.geometry.rays import Cells
from selavpr_model.geometry.records import Geometry, Verifier
from selavpr_model.geometry.two_view import match_views, Matches, solve, TwoView
from selavpr_model.maps.place_map import PlaceMap
from selavpr_model.matching.matcher import mask_at
from selavpr_model.poses import relative
from selavpr_model.records import Camera, Place, PoseKind

__all__ = ['Keyframe', 'MapGeometry', 'MetricPose', 'TwoView', 'locate', 'verify_pair']


@dataclass(frozen=True, slots=True, eq=False)
class Keyframe:
    """local: (h, w, C); pose: (4, 4) T_map_camera or None; depth: (H, W) m along z, of any
    resolution, seen by depth_camera (by default `camera`); 0 or NaN where not known."""

    local: np.ndarray
    camera: Camera
    pose: np.ndarray | None = None
    depth: np.ndarray | None = None
    depth_camera: Camera | None = None


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
    cells = Cells.of(query, input_size), Cells.of(reference, input_size)
    matches = match_views(*cells, query_camera, reference_camera, input_size, config)
    return solve(matches, config)


def locate(
    query: np.ndarray,
    camera: Camera,
    keyframes: Sequence[Keyframe],
    input_size: tuple[int, int],
    config: GeometryConfig | None = None,
    rival: Keyframe | None = None,
) -> tuple[TwoView, MetricPose]:
    """What the first keyframe says, and the pose that all agreeing ones with poses give.

    rival: a keyframe elsewhere that must fit less well than the first one.
    """
    config = config or GeometryConfig()
    mine, views = Cells.of(query, input_size), list[TwoView]()
    references: list[Reference] = []
    for key in keyframes[: config.keyframes]:
        matches = matches_of(mine, camera, key, input_size, config)
        view = solve(matches, config)
        if rival is not None and not views and view.agrees:
            theirs = solve(matches_of(mine, camera, rival, input_size, config), config)
            view = against(view, theirs, config)
        views.append(view)
        if not views[0].agrees:
            break
        if view.agrees and key.pose is not None and view.rotation is not None:
            assert view.mask is not None
            depth = depth_at(matches.reference_rays, key)
            references.append(Reference(key.pose, matches, view.rotation, view.mask, depth))
    if not views:
        return TwoView(False, 0, 0, 0.0, 'no keyframe'), MetricPose(0, 'no keyframe')
    return views[0], metric_pose(references, config)


def matches_of(
    mine: Cells,
    camera: Camera,
    key: Keyframe,
    input_size: tuple[int, int],
    config: GeometryConfig,
) -> Matches:
    theirs = Cells.of(key.local, input_size)
    return match_views(mine, theirs, camera, key.camera, input_size, config)


def against(view: TwoView, rival: TwoView, config: GeometryConfig) -> TwoView:
    """The view, which agrees no more where a place elsewhere fits about as well: streets look
    alike enough for many wrong matches to fit a motion straight ahead."""
    if view.inliers >= config.min_inlier_ratio * rival.inliers:
        return view
    why = f'{view.inliers} inliers, and {rival.inliers} with a place elsewhere'
    return replace(view, agrees=False, reason=why)


def depth_at(rays: np.ndarray, key: Keyframe) -> np.ndarray | None:
    """(M, 3) rays of a keyframe -> (M,) its depths there, m; NaN where not known."""
    if key.depth is None:
        return None
    camera = key.depth_camera or key.camera
    height, width = key.depth.shape
    at = (rays[:, :2] / rays[:, 2:]) * camera.K[[0, 1], [0, 1]] + camera.K[:2, 2]
    at = np.rint((at + 0.5) * [width / camera.size[0], height / camera.size[1]] - 0.5).astype(int)
    inside = ((at >= 0) & (at < [width, height])).all(axis=1)
    x, y = np.clip(at, 0, [width - 1, height - 1]).T
    depths = key.depth[y, x].astype(float)
    return np.where(inside & (depths > 0), depths, np.nan)


def edge(view: TwoView, metric: MetricPose, T_map_before: np.ndarray | None) -> Geometry:
    """An edge from the keyframe: in metres where there are some, else what two views say."""
    if metric.pose is not None and metric.covariance is not None and T_map_before is not None:
        pose, C = relative(T_map_before, metric.pose, metric.covariance)
        reason = f'{view.reason}, {metric.reason}'
        return Geometry(view.agrees, view.inliers, reason, PoseKind.METRIC, pose, C)
    if view.pose_kind is PoseKind.NONE:
        return Geometry(view.agrees, view.inliers, view.reason)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = view.rotation, view.direction
    return Geometry(view.agrees, view.inliers, view.reason, view.pose_kind, pose, view.covariance)


class MapGeometry(Verifier):
    """Verification against the places of a map; None where a camera is not known."""

    def __init__(
        self, place_map: PlaceMap, config: GeometryConfig | None = None,
        unposed: Collection[str] = (),
    ) -> None:  # fmt: skip
        """unposed: sessions whose poses count as not known."""
        self._map, self._unposed = place_map, unposed
        self._config = config or GeometryConfig()

    def __call__(
        self, *, before: int, after: int, rival: int | None, beside: Sequence[int] = ()
    ) -> Geometry | None:
        """beside: rows near `before` whose poses are in its frame."""
        query, place = self._keyframe(after), self._map.places[before]
        if query is None or not self.knows(place):
            return None
        located = self.locate(query.local, query.camera, [before, *beside], rival)
        return None if located is None else edge(*located, place.pose)

    def knows(self, place: Place) -> bool:
        """Whether the camera that saw it is known."""
        return place.session in self._map.cameras

    def locate(
        self, local: np.ndarray, camera: Camera, rows: Sequence[int], rival: int | None = None
    ) -> tuple[TwoView, MetricPose] | None:
        """local: (h, w, C) of a query; rows: the place it shows first, then others near it."""
        chosen = rows[: self._config.keyframes]
        keyframes = [key for row in chosen if (key := self._keyframe(row)) is not None]
        if not keyframes:
            return None
        other = None if rival is None else self._keyframe(rival)
        return locate(
            self._seen(local), camera, keyframes, self._input_size(), self._config, other
        )

    def _keyframe(self, row: int) -> Keyframe | None:
        place = self._map.places[row]
        camera = self._map.cameras.get(place.session)
        if camera is None:
            return None
        cells = self._map.local([row])[0]
        pose = None if place.session in self._unposed else place.pose
        return Keyframe(self._seen(cells.reshape(*self._map.grid, -1)), camera, pose)

    def _seen(self, local: np.ndarray) -> np.ndarray:
        """(h, w, C) with zeros, which match nothing, where the robot sees itself."""
        robot = mask_at(self._map.robot_mask, (local.shape[0], local.shape[1]))
        return local if robot is None else np.where(robot[..., None], np.float32(0), local)

    def _input_size(self) -> tuple[int, int]:
        how: Any = self._map.identity.description['preprocessing']
        return int(how['height']), int(how['width'])
