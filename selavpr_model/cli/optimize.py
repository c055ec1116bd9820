# SPDX-License-Identifier: MIT
"""`selavpr map optimize`: the pose graph of a map that grew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.map import Map, show
from selavpr_model.cli.options import JsonOut
from selavpr_model.runtime.outputs import require_outputs, write_json


def optimize(
    map_: Map,
    out: Annotated[
        Path | None, typer.Option(help='folder of the new map; not given: the map is replaced')
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help='replace a map that already exists in the folder of --out')
    ] = False,
    json_out: JsonOut = None,
) -> None:
    """Optimise the pose graph of a map from SLAM mode: odometry and loop closures give the poses.

    Closures that contradict the others are rejected. A session in the frame of its own odometry is
    aligned if at least three metric closures agree. Places whose poses were given stay where they
    are. The thresholds of the map are measured again.

    Example: selavpr map optimize build/slam/map --out build/maps/straight
    """
    from selavpr_model.slam.straight import optimize_map

    require_outputs(out, json_out)
    report = optimize_map(map_, out, overwrite)
    show(f'map {out or map_}', report.words())
    write_json(json_out, report.to_dict())
