# SPDX-License-Identifier: MIT
"""Options of commands that read a recording, and how it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from selavpr_model.data.source_report import Source
from selavpr_model.errors import ConfigError

ImageTopic = Annotated[str, typer.Option(help='image topic of a bag; empty: its only one')]
BaseCamera = Annotated[
    str,
    typer.Option(
        help='pose of the camera in the base frame, T_base_camera, as x,y,z,qx,qy,qz,qw (m); '
        'empty: taken from /tf_static'
    ),
]


def say_report(source: Path, recording: Source) -> None:
    """How many images were used, left out and why, and have a pose from what."""
    typer.echo(f'{source}: {recording.report.words()}')


def open_source(
    source: Path, poses: str, image_topic: str, base_camera: np.ndarray | None
) -> tuple[Source, dict[str, Any]]:
    """Frames of any source, and what the map says about where it is from."""
    from selavpr_ros.bags.recordings import open_recording, origin_of

    recording = open_recording(source, poses, image_topic, base_camera)
    return recording, origin_of(recording, source)


def parse_pose(text: str) -> np.ndarray | None:
    """x,y,z,qx,qy,qz,qw -> (4, 4); None for nothing; ConfigError for anything else."""
    from selavpr_model.errors import InputError
    from selavpr_ros.convert.from_ros import checked_pose

    if not text:
        return None
    try:
        values = tuple(float(part) for part in text.split(','))
        if len(values) != 7:
            raise ValueError(f'{len(values)} numbers')
        return checked_pose(values)
    except (ValueError, InputError) as error:
        raise ConfigError(
            f'--base-camera: expected x,y,z,qx,qy,qz,qw in m with a unit quaternion, got {text!r} '
            f'({error})'
        ) from error
