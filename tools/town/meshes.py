# SPDX-License-Identifier: MIT
"""Polygon soup with metric texture coordinates, and what turns it into Blender meshes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import bpy
import numpy as np

Point = Sequence[float]


class MeshBuilder:
    """Collects flat polygons in metres; `slot` numbers the material of each."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []
        self.slots: list[int] = []
        self.uvs: list[np.ndarray | None] = []
        self.T_mesh_local = np.eye(4)

    def face(
        self, points: Sequence[Point], slot: int = 0, uv: Sequence[Point] | None = None
    ) -> None:
        """Add one polygon, counter-clockwise seen from outside."""
        local = np.asarray(points, dtype=np.float64)
        self.points.append(local @ self.T_mesh_local[:3, :3].T + self.T_mesh_local[:3, 3])
        self.slots.append(slot)
        self.uvs.append(None if uv is None else np.asarray(uv, dtype=np.float64))

    def rect(
        self, x: Point, z: Point, y: float, slot: int = 0, uv: Sequence[Point] | None = None
    ) -> None:
        """Upright rectangle that looks along -y (towards the street)."""
        self.face([(x[0], y, z[0]), (x[1], y, z[0]), (x[1], y, z[1]), (x[0], y, z[1])], slot, uv)

    def flat(self, x: Point, y: Point, z: float, slot: int = 0) -> None:
        """Level rectangle that looks up."""
        self.face([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)], slot)

    def box(self, low: Point, high: Point, slot: int = 0) -> None:
        """Axis-aligned box without its bottom."""
        (a, b, c), (d, e, f) = low, high
        self.face([(a, b, c), (d, b, c), (d, b, f), (a, b, f)], slot)
        self.face([(d, e, c), (a, e, c), (a, e, f), (d, e, f)], slot)
        self.face([(d, b, c), (d, e, c), (d, e, f), (d, b, f)], slot)
        self.face([(a, e, c), (a, b, c), (a, b, f), (a, e, f)], slot)
        self.face([(a, b, f), (d, b, f), (d, e, f), (a, e, f)], slot)
        self.face([(a, e, c), (d, e, c), (d, b, c), (a, b, c)], slot)

    def prism(self, rings: Sequence[np.ndarray], slot: int = 0, cap: bool = True) -> None:
        """Skin over rings of equal length (n, 3), the last one closed by a cap."""
        for low, high in pairwise(rings):
            n = len(low)
            for i in range(n):
                j = (i + 1) % n
                self.face([low[i], low[j], high[j], high[i]], slot)
        if cap:
            self.face(rings[-1], slot)

    def tube(
        self, start: Point, end: Point, radii: tuple[float, float], sides: int = 6, slot: int = 0
    ) -> None:
        """Tapered tube from start to end, radii in metres."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
        side = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0))
        side /= np.linalg.norm(side)
        up = np.cross(axis, side)
        turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
        circle = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * up
        self.prism([a + radii[0] * circle, b + radii[1] * circle], slot)

    def lathe(
        self,
        profile: Sequence[tuple[float, float]],
        sides: int = 16,
        slot: int = 0,
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Body of revolution about z; profile rows are (radius, height) in metres."""
        turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
        rings = [
            np.stack(
                [centre[0] + r * np.cos(turn), centre[1] + r * np.sin(turn), np.full(sides, z)],
                axis=1,
            )
            for r, z in profile
        ]
        self.prism(rings, slot)

    def at(self, T_mesh_local: np.ndarray) -> MeshBuilder:
        """Set where the following polygons go."""
        self.T_mesh_local = T_mesh_local
        return self

    def mesh(self, name: str, materials: Sequence[bpy.types.Material]) -> bpy.types.Mesh:
        """Make the Blender mesh; texture coordinates are metres along the surface."""
        mesh = bpy.data.meshes.new(name)
        corners = np.concatenate(self.points) if self.points else np.zeros((0, 3))
        sizes = np.array([len(p) for p in self.points], dtype=np.int32)
        mesh.vertices.add(len(corners))
        mesh.loops.add(len(corners))
        mesh.polygons.add(len(sizes))
        mesh.vertices.foreach_set('co', corners.astype(np.float32).ravel())
        mesh.loops.foreach_set('vertex_index', np.arange(len(corners), dtype=np.int32))
        mesh.polygons.foreach_set(
            'loop_start', np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        )
        mesh.polygons.foreach_set('material_index', np.array(self.slots, dtype=np.int32))
        uv = np.concatenate([_uv(p, u) for p, u in zip(self.points, self.uvs, strict=True)])
        layer = mesh.uv_layers.new(name='uv')
        layer.data.foreach_set('uv', uv.astype(np.float32).ravel())
        for material in materials:
            mesh.materials.append(material)
        mesh.update(calc_edges=True)
        return mesh


def _uv(points: np.ndarray, uv: np.ndarray | None) -> np.ndarray:
    """Given coordinates, or metres along the face's level and steepest directions."""
    if uv is not None:
        return uv
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    length = float(np.linalg.norm(normal))
    normal = normal / length if length > 1e-12 else np.array([0.0, 0.0, 1.0])
    if abs(normal[2]) > 0.95:
        return points[:, :2]
    level = np.array([-normal[1], normal[0], 0.0]) / np.hypot(normal[0], normal[1])
    return np.stack([points @ level, points @ np.cross(normal, level)], axis=1)


def pose(x: float, y: float, yaw: float, z: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """T_map_local of a thing standing at (x, y, z) m, turned by yaw rad about z."""
    c, s = np.cos(yaw) * scale, np.sin(yaw) * scale
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, scale, z], [0, 0, 0, 1]], float)


def place(
    mesh: bpy.types.Mesh,
    T_map_local: np.ndarray,
    materials: Sequence[bpy.types.Material] | None = None,
    colour: Sequence[float] | None = None,
) -> bpy.types.Object:
    """Put an instance of a mesh into the scene, with its own materials or colour if given."""
    from mathutils import Matrix

    thing = bpy.data.objects.new(mesh.name, mesh)
    thing.matrix_world = Matrix(T_map_local.tolist())
    bpy.context.scene.collection.objects.link(thing)
    for slot, material in zip(thing.material_slots, materials or (), strict=False):
        slot.link = 'OBJECT'
        slot.material = material
    if colour is not None:
        thing.color = (*colour[:3], 1.0)
    return thing
