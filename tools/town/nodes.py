# SPDX-License-Identifier: MIT
"""A few lines that make Cycles node graphs readable."""

from __future__ import annotations

from typing import Any

import bpy

Socket = bpy.types.NodeSocket
Colour = tuple[float, float, float]


class Graph:
    """Thin wrapper of a node tree: inputs are sockets (linked) or values (set)."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self.tree = tree
        tree.nodes.clear()

    def add(
        self, kind: str, inputs: dict[str | int, Any] | None = None, **settings: Any
    ) -> bpy.types.Node:
        """Add a node; `kind` without the ShaderNode prefix."""
        node = self.tree.nodes.new('ShaderNode' + kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            self._feed(node.inputs[name], value)
        return node

    def _feed(self, socket: Socket, value: Any) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif isinstance(value, tuple) and len(value) == 3 and socket.type == 'RGBA':
            socket.default_value = (*value, 1.0)
        else:
            socket.default_value = value

    def math(self, operation: str, a: Any, b: Any = 0.0, clamp: bool = False) -> Socket:
        """One scalar operation."""
        return self.add('Math', {0: a, 1: b}, operation=operation, use_clamp=clamp).outputs[0]

    def mix(self, factor: Any, a: Any, b: Any, blend: str = 'MIX') -> Socket:
        """Blend two colours by a factor in [0, 1]."""
        node = self.add('Mix', data_type='RGBA', blend_type=blend)
        for index, value in ((0, factor), (6, a), (7, b)):
            self._feed(node.inputs[index], value)
        return node.outputs[2]

    def ramp(self, value: Any, low: float, high: float) -> Socket:
        """Clamped linear step: 0 below low, 1 above high."""
        return self.add(
            'MapRange', {'Value': value, 'From Min': low, 'From Max': high}, clamp=True
        ).outputs[0]

    def noise(self, where: Any, scale: float, detail: float = 3.0) -> Socket:
        """Fractal noise about 0.5, `scale` in 1/m."""
        return self.add('TexNoise', {'Vector': where, 'Scale': scale, 'Detail': detail}).outputs[
            'Fac'
        ]

    def stretch(self, where: Any, scale: Colour) -> Socket:
        """Scale coordinates per axis."""
        return self.add('VectorMath', {0: where, 1: scale}, operation='MULTIPLY').outputs[0]

    def position(self) -> Socket:
        """Position in the map, metres."""
        return self.add('NewGeometry').outputs['Position']

    def uv(self) -> Socket:
        """Texture coordinates, metres along the surface."""
        return self.add('TexCoord').outputs['UV']

    def split(self, vector: Socket) -> list[Socket]:
        """x, y, z of a vector."""
        return list(self.add('SeparateXYZ', {0: vector}).outputs)

    def surface(self, **inputs: Any) -> bpy.types.Node:
        """Principled surface wired to the output; names with _ for spaces."""
        shader = self.add('BsdfPrincipled', {k.replace('_', ' '): v for k, v in inputs.items()})
        self.output(shader.outputs[0])
        return shader

    def output(self, shader: Socket) -> None:
        """Wire a shader to the material's output."""
        self.add('OutputMaterial', {'Surface': shader})
