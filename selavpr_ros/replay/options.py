# SPDX-License-Identifier: MIT
"""Options that the commands share that replay recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.options import Fields
from selavpr_model.config import GeometryConfig, ReplayConfig
from selavpr_model.errors import ConfigError

Recording = Annotated[
    Path, typer.Argument(help='bag (ROS 2 or 1), video, or folder of images of any layout')
]
Live = Annotated[bool, typer.Option(help='also play the bag to the node over DDS; a bag only')]
Truth = Annotated[
    str,
    typer.Option(
        help='topic of a bag or file of the true poses, or tf:FRAME; empty: those that are found; '
        'none: nothing is scored'
    ),
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
