# SPDX-License-Identifier: MIT
"""Options that commands share that read recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from selavpr_model.cli.options import Fields
from selavpr_model.config import GeometryConfig, ReplayConfig
from selavpr_model.errors import ConfigError, InputError

ImageTopic = Annotated[str, typer.Option(help='image topic of a bag; empty: its only one')]
BaseCamera = Annotated[
    str,
    typer.Option(
        help='pose of the camera in the base frame, T_base_camera, as x,y,z,qx,qy,qz,qw (m); '
        'empty: taken from /tf_static'
    ),
]
Truth = Annotated[
    str,
    typer.Option(help='topic or file of the true poses, or tf:FRAME; none: nothing is scored'),
]
SlamTruth = Annotated[
    str,
    typer.Option(help='topic or file of true poses of a bag, or tf:FRAME; empty: its only one'),
]


def checked_recording(path: Path | None) -> Path | None:
    """ConfigError unless it is a .rrd file in an existing folder, or nothing."""
    if path is None:
        return None
    if path.suffix != '.rrd' or path.is_dir() or not path.absolute().parent.is_dir():
        raise ConfigError(
            f'--rerun: expected a file NAME.rrd in an existing folder, got {path}; rerun opens '
            'files of this name'
        )
    return path


Rerun = Annotated[
    Path | None,
    typer.Option(
        help='recording (NAME.rrd) for the rerun viewer: images, matches, map, belief over time',
        callback=checked_recording,
    ),
]
Rate = Annotated[ReplayConfig, Fields('rate')]
Geometry = Annotated[GeometryConfig, Fields(enabled='--geometry/--no-geometry')]


def parse_pose(text: str) -> np.ndarray | None:
    """x,y,z,qx,qy,qz,qw -> (4, 4); None for nothing; ConfigError for anything else."""
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
