# SPDX-License-Identifier: MIT
"""The commands `selavpr map update` and `selavpr map prune`: they read recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.ask import extractor_of, MapWeights
from selavpr_model.cli.map import Map
from selavpr_model.cli.map_edit import Out, Overwrite
from selavpr_model.cli.map_show import describe, show
from selavpr_model.cli.options import Candidates, Computer, Fields, JsonOut, with_configs
from selavpr_model.config import TemporalConfig, UpdateConfig
from selavpr_model.runtime.outputs import require_outputs, write_json
from selavpr_ros.bags.options import BaseCamera, ImageTopic, open_source, parse_pose, say_report

TIME = TemporalConfig()  # as a node has it
Update = Annotated[UpdateConfig, Fields('session', 'novelty')]
Poses = Annotated[
    str,
    typer.Option(
        help='pose topic of a bag, tf:FRAME, or pose file, where its poses are in the frame of '
        'the map; none: poses come from the answers and the odometry'
    ),
]
Drive = Annotated[
    Path | None, typer.Option(help='bag, video or folder of a drive that is no part of the map')
]


@with_configs
def update(
    map_: Map,
    source: Annotated[Path, typer.Argument(help='bag, video, or folder of images of a drive')],
    computer: Computer,
    recognizer: Candidates,
    changes: Update,
    poses: Poses = 'none',
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    out: Out = None,
    overwrite: Overwrite = False,
    weights: MapWeights = '',
    json_out: JsonOut = None,
) -> None:
    """Add the looks of a later drive to a map, where the robot is sure of its place.

    If the command is killed, the old map stays, and the same command continues where it stopped.

    Example: selavpr map update maps/campus bags/today
    """
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.storage.reader import read_manifest
    from selavpr_model.update.update_map import update_map, UpdateConfigs

    require_outputs(out, json_out)
    frames, origin = open_source(source, poses, image_topic, parse_pose(base_camera))
    model = load_extractor(extractor_of(map_, weights, computer))
    configs = UpdateConfigs(changes, recognizer, TIME, poses != 'none')
    done = update_map(map_, frames, model, configs, out=out, source=origin, overwrite=overwrite)
    say_report(source, frames)
    say = 'was added before' if done.done else f'{done.localized} of {done.frames} LOCALIZED'
    looks = ', '.join(f'{count} {name}' for name, count in sorted(done.counts.items()))
    manifest = read_manifest(out or map_)
    show(f'map {out or map_}', {'drive': say, 'looks': looks or 'none', **describe(manifest)})
    write_json(json_out, {'counts': done.counts, 'frames': done.frames, **manifest['counts']})


@with_configs
def prune(
    map_: Map,
    computer: Computer,
    recognizer: Candidates,
    keep: Annotated[float, typer.Option(help='share of the places that stays')] = 0.5,
    drive: Drive = None,
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    out: Out = None,
    overwrite: Overwrite = False,
    weights: MapWeights = '',
    json_out: JsonOut = None,
) -> None:
    """Make a map smaller: leave out the views that the others show nearly as well.

    What that costs is measured, on the views left out and on a --drive, and kept in the manifest.

    Example: selavpr map prune maps/campus --keep 0.5 --out maps/small
    """
    from selavpr_model.evaluation.held_out import before_and_after
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.building.prune import prune as pruned
    from selavpr_model.maps.storage import writer
    from selavpr_model.maps.storage.source import PRUNED
    from selavpr_model.maps.storage.store import open_map, save_map
    from selavpr_model.recognizer import PlaceRecognizer

    target, whole = out or map_, open_map(map_)
    require_outputs(out, json_out)
    writer.require_free(target, overwrite or out is None)
    small = pruned(whole, keep, recognizer)
    told = small.source[PRUNED][-1]
    if drive is not None:
        frames, _ = open_source(drive, 'none', image_topic, parse_pose(base_camera))
        model = load_extractor(extractor_of(map_, weights, computer))
        before, after = (PlaceRecognizer(model, m, recognizer, TIME) for m in (whole, small))
        told['drive'] = {'path': str(drive), **before_and_after(frames, before, after)}
    save_map(small, target, overwrite=True)
    show(f'map {target}', describe(small.manifest))
    write_json(json_out, told)
