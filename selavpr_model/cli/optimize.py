# SPDX-License-Identifier: MIT
"""`selavpr map optimize`: a map that grew is made straight."""

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
    """Make a map straight that grew in SLAM mode: its odometry and loop closures give the poses.

    Closures that fit nothing else are refused. A session in its own odometry is aligned where at
    least three metric closures agree. Places whose poses were given stay. Thresholds are measured
    again.

    Example: selavpr map optimize build/slam/map --out build/maps/straight
    """
    from selavpr_model.slam.straight import optimize_map

    require_outputs(out, json_out)
    report = optimize_map(map_, out, overwrite)
    show(f'map {out or map_}', report.words())
    write_json(json_out, report.to_dict())
