# SPDX-License-Identifier: MIT
"""The command `selavpr doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.options import Computer, JsonOut, with_configs
from selavpr_model.errors import ConfigError
from selavpr_model.runtime.outputs import require_outputs, write_json
from selavpr_ros.config import NodeConfig

DEFAULTS = NodeConfig()
Bag = Annotated[
    Path | None, typer.Argument(help='bag to look at; not given: the topics of the running robot')
]
Map = Annotated[
    Path | None, typer.Option('--map', help='folder of the map; not given: the line map is FAIL')
]
ImageTopic = Annotated[str, typer.Option(help='topic of the images; empty: the only one')]
OdomTopic = Annotated[str, typer.Option(help='topic of the odometry; empty: the only one')]
Namespace = Annotated[str, typer.Option(help='namespace of the robot')]
BaseFrame = Annotated[str, typer.Option(help='frame of the robot')]
OdomFrame = Annotated[str, typer.Option(help='frame of the odometry')]
BaseCamera = Annotated[
    str, typer.Option(help='T_base_camera as x,y,z,qx,qy,qz,qw; empty: from /tf_static and /tf')
]
QosImage = Annotated[
    str, typer.Option(help='QoS that the node asks of images: sensor_data or reliable')
]
PublishTf = Annotated[bool, typer.Option(help='check what the node needs to publish map -> odom')]
Seconds = Annotated[
    float, typer.Option(help='time to listen to the running robot, in s', min=0.5, max=600.0)
]


@with_configs
def doctor(
    computer: Computer,
    bag: Bag = None,
    map_: Map = None,
    image_topic: ImageTopic = '',
    odom_topic: OdomTopic = '',
    namespace: Namespace = '',
    base_frame: BaseFrame = DEFAULTS.base_frame,
    odom_frame: OdomFrame = DEFAULTS.odom_frame,
    base_camera: BaseCamera = '',
    qos_image: QosImage = DEFAULTS.qos_image,
    publish_tf: PublishTf = False,
    seconds: Seconds = 10.0,
    json_out: JsonOut = None,
) -> None:
    """Say what keeps a robot, or a bag, from being localised, and the cure.

    A line each for camera, odometry, TF, map and so on: OK, WARN or FAIL. The exit code is 1 if a
    line is FAIL.

    Example: selavpr doctor demo/winter --map maps/summer
    """
    from selavpr_ros.doctor import report
    from selavpr_ros.doctor.observation import Settings

    require_outputs(None, json_out)
    node = NodeConfig(
        base_frame=base_frame, odom_frame=odom_frame, base_camera=_mounting(base_camera),
        qos_image=qos_image, publish_tf=publish_tf,
    )  # fmt: skip
    settings = Settings(map_, image_topic, odom_topic, node, seconds)
    seen = report.observe(bag, settings, namespace)
    checks = report.examine(seen, settings, computer)
    report.show(seen.source, checks)
    write_json(json_out, report.summary(seen, checks, map_))
    if report.failed(checks):
        raise typer.Exit(1)


def _mounting(text: str) -> tuple[float, ...] | None:
    """x,y,z,qx,qy,qz,qw."""
    from selavpr_model.errors import InputError
    from selavpr_ros.convert.from_ros import checked_pose

    if not text:
        return None
    try:
        values = tuple(float(part) for part in text.strip('[] ').split(','))
        if len(values) != 7:
            raise ValueError(f'{len(values)} numbers')
        checked_pose(values)
    except (ValueError, InputError) as error:
        raise ConfigError(
            f'--base-camera: expected x,y,z,qx,qy,qz,qw in m with a unit quaternion, got {text!r} '
            f'({error})'
        ) from error
    return values
