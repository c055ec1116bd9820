# SPDX-License-Identifier: MIT
"""The line Camera of the diagnostics: the calibration, and whether it is missed."""

from __future__ import annotations

from selavpr_ros.node import qos
from selavpr_ros.node.context import Context
from selavpr_ros.node.health.health import OK, Part, WARN
from selavpr_ros.node.incoming.camera import CameraInput
from selavpr_ros.node.inputs import Inputs

TYPE = 'sensor_msgs/msg/CameraInfo'
GRACE_S = 1.5  # after activation, for the discovery of the other nodes


class CameraLine:
    """Reads the other parts and changes nothing."""

    def __init__(self, context: Context, inputs: Inputs) -> None:
        self._context, self._inputs = context, inputs

    @property
    def _camera(self) -> CameraInput:
        return self._inputs.camera

    def part(self) -> Part:
        camera = self._camera
        values: dict[str, object] = {
            'topic': camera.topic,
            'publishers': qos.describe_ends(self._inputs.ends(camera.topic)),
            'received': camera.received,
            'calibration': camera.about(),
            'images': 'rectified: P is used' if camera.rectified else 'raw: K and D are used',
        }
        if not self._context.processing:
            return Part('Camera', OK, 'not processing images', values)
        if trouble := self._trouble():
            return Part('Camera', WARN, trouble, values)
        return Part('Camera', OK, camera.about(), values)

    def _trouble(self) -> str | None:
        camera = self._camera
        if camera.alternates:
            ends = qos.describe_ends(self._inputs.ends(camera.topic))
            return (
                f'calibrations take turns on {camera.topic}, published by {ends}; remap, so that '
                'that of these images is left'
            )
        if camera.problem is not None:
            kept = 'the last good one is used' if camera.known else 'geometry does without'
            return f'{camera.topic}: {camera.problem} ({kept})'
        if camera.known:
            return camera.misfit
        is_needed = self._needs and self._context.active_s >= GRACE_S
        return self._missing() if is_needed else None

    @property
    def _needs(self) -> str:
        """The parameter that asks for a calibration; '' where none does."""
        given = self._context.parameters
        if given.geometry.enabled:
            return 'geometry.enabled is true'
        return 'slam.verify is always' if given.slam.verify == 'always' else ''

    def _missing(self) -> str:
        topic = self._camera.topic
        ends = self._inputs.ends(topic)
        text = f'{self._needs}, but no calibration came on {topic}, so geometry checks nothing; '
        if ends:
            return text + f'it is published by {qos.describe_ends(ends)}: check that it runs'
        others = [t for t in self._inputs.topics_of(TYPE) if t != topic]
        name = others[0] if others else '/your/camera_info'
        there = f'there is {", ".join(others)}: ' if others else 'nobody publishes it: '
        return text + there + f'remap -r camera_info:={name} (launch: camera_info_topic)'
