# SPDX-License-Identifier: MIT
"""`selavpr map`: look at a map, check it; and what `map build` does for any source of frames."""

from __future__ import annotations

from collections.abc import Iterable
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from selavpr_model.cli.map_show import covered_lines, describe, megabytes, show
from selavpr_model.cli.options import JsonOut
from selavpr_model.config import ExtractorConfig, KeyframeConfig, MapConfig
from selavpr_model.records import Frame
from selavpr_model.runtime.outputs import require_outputs, write_json

logger = logging.getLogger(__name__)
map_app = typer.Typer(
    help='Build, show, check, merge, update, prune and edit maps.', no_args_is_help=True
)
MASK = 'the robot covers {:.1%} of its image, marked here; what lies there matches nothing'
Map = Annotated[Path, typer.Argument(metavar='MAP', help='folder of the map')]


@map_app.command()
def info(map_: Map, json_out: JsonOut = None) -> None:
    """Show what a map holds: model, storage, distance driven, area, looks, gaps, names.

    Below, a drawing of the image says where the robot sees itself, if it does.

    Example: selavpr map info maps/campus
    """
    from selavpr_model.errors import MapDataError
    from selavpr_model.maps.building.coverage import coverage
    from selavpr_model.maps.robot_mask import drawn
    from selavpr_model.maps.storage.reader import read_manifest
    from selavpr_model.maps.storage.store import open_map

    require_outputs(json_out=json_out)
    manifest, covered, mask = read_manifest(map_), None, None
    try:
        place_map = open_map(map_)
        covered, mask = coverage(place_map).to_dict(), place_map.robot_mask
    except MapDataError as error:  # the manifest is shown all the same
        logger.warning('what it covers is not known: %s', error)
    show(f'map {map_}', {**describe(manifest), **covered_lines(covered or {})})
    if mask is not None:
        typer.echo(f'{MASK.format(mask.mean())}\n{drawn(mask)}')
    drawing = None if mask is None else drawn(mask).splitlines()
    write_json(json_out, {**manifest, 'coverage': covered, 'robot_mask': drawing})


@map_app.command()
def check(
    map_: Map,
    deep: Annotated[
        bool,
        typer.Option('--deep', help='also decode every feature and image, and search every place'),
    ] = False,
    json_out: JsonOut = None,
) -> None:
    """Verify every byte of a map; if something is wrong, print one line and exit with 1.

    Example: selavpr map check maps/campus --deep
    """
    from selavpr_model.errors import MapDataError
    from selavpr_model.maps.building.inspect import problems
    from selavpr_model.maps.storage.store import open_map
    from selavpr_model.runtime.progress import progress_bar

    require_outputs(json_out=json_out)
    place_map = open_map(map_, everything=True)
    rows = progress_bar(range(len(place_map) if deep else 0), 'check', deep, unit='place')
    faults = [fault for row in rows for fault in problems(place_map, row)]
    size = sum(entry['bytes'] for entry in place_map.manifest['files'].values())
    result = {'places': len(place_map), 'bytes': size, 'deep': deep, 'problems': faults}
    write_json(json_out, result)
    if faults:
        more = f' (and {len(faults) - 1} more)' if len(faults) > 1 else ''
        raise MapDataError(f'{map_}: {faults[0]}{more}; build the map again')
    depth = 'every byte, feature and image' if deep else 'every byte'
    show(
        f'map {map_} is sound',
        {'places': len(place_map), 'size': megabytes(size), 'checked': depth},
    )


@map_app.command()
def merge(
    maps: Annotated[list[Path], typer.Argument(help='folders of the maps to join, one or more')],
    out: Annotated[Path, typer.Option(help='folder of the new map')],
    overwrite: Annotated[
        bool, typer.Option(help='replace a map that already exists in the folder')
    ] = False,
    json_out: JsonOut = None,
) -> None:
    """Join maps of one model and one frame of poses; thresholds are measured on the joined map.

    Sessions keep their names. A place id that is taken is replaced; the manifest says by which.
    A map that grew in SLAM mode is in a frame of its own: it is aligned where at least three
    loop closures with it agree, else its places give no pose.

    Example: selavpr map merge maps/ground maps/first --out maps/building
    """
    from selavpr_model.maps.building.merge import merge_maps
    from selavpr_model.slam.join import join

    require_outputs(out, json_out)
    merged = merge_maps(maps, out, overwrite, join=join)
    show(f'map {out}', describe(merged.manifest))
    write_json(json_out, merged.manifest)


FORMATS = ('tum', 'colmap', 'kapture')


@map_app.command('export')
def export_map(
    map_: Map,
    out: Annotated[Path, typer.Option(help='file (tum) or folder (colmap, kapture) to write')],
    format_: Annotated[str, typer.Option('--format', help=' | '.join(FORMATS))] = 'tum',
) -> None:
    """Write the poses of a map's places for other programs.

    tum: a trajectory of the camera, as evo reads it. colmap, kapture: cameras and poses of the
    images by their names, world-to-camera, no points.

    Example: selavpr map export maps/campus --format colmap --out build/sparse
    """
    from selavpr_model.errors import ConfigError
    from selavpr_model.evaluation.export import models, trajectory
    from selavpr_model.maps.storage.store import open_map

    if format_ not in FORMATS:
        raise ConfigError(f'--format: expected one of {", ".join(FORMATS)}; got {format_!r}')
    place_map = open_map(map_)
    if format_ == 'tum':
        if out.is_dir() or not out.absolute().parent.is_dir():
            raise ConfigError(f'--out: expected a file in an existing folder, got {out}')
        written = trajectory.write_tum(out, trajectory.mapped(models.posed(place_map)))
    else:
        require_outputs(out)
        write = models.write_colmap if format_ == 'colmap' else models.write_kapture
        written = write(out, place_map)
    typer.echo(f'{out}: {written} of {len(place_map)} places, as {format_}')


def build_from(
    frames: Iterable[Frame],
    out: Path,
    *,
    source: dict[str, Any],
    extractor: ExtractorConfig | None = None,
    keyframes: KeyframeConfig | None = None,
    storage: MapConfig | None = None,
    overwrite: bool = False,
    json_out: Path | None = None,
) -> None:
    """What `selavpr map build` does with any source: load the model, build, save, show."""
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.building.shards import build_map_in_shards
    from selavpr_model.maps.storage.writer import require_free
    from selavpr_model.runtime.distributed import process_group, rank

    require_free(out, overwrite=True)  # a folder that is no map is refused before the model loads
    model = load_extractor(extractor)
    try:
        with process_group():
            place_map = build_map_in_shards(
                frames, model, out, keyframes=keyframes, config=storage, source=source,
                overwrite=overwrite,
            )  # fmt: skip
            first = rank() == 0
    except KeyboardInterrupt:
        logger.warning('stopped; the same command goes on from here')
        raise
    if not first:
        return
    show(f'map {out}', describe(place_map.manifest))
    write_json(json_out, place_map.manifest)
