# SPDX-License-Identifier: MIT
"""The `selavpr` command: all commands of selavpr_model, and those that read bags.

Nothing heavy is imported before a command runs, so that --help is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from selavpr_model.cli.app import app, run
from selavpr_model.cli.ask import extractor_of, MapWeights
from selavpr_model.cli.benchmark import EXTRA_STAGES
from selavpr_model.cli.map import map_app
from selavpr_model.cli.options import (
    Candidates,
    Computer,
    Fields,
    JsonOut,
    Keyframes,
    Model,
    Tolerance,
    with_configs,
)
from selavpr_model.config import MapConfig
from selavpr_model.errors import EngineError
from selavpr_model.runtime.outputs import require_outputs, write_json
from selavpr_ros.bags.options import BaseCamera, ImageTopic, open_source, parse_pose, say_report
from selavpr_ros.doctor.command import doctor
from selavpr_ros.replay.map_commands import prune, update
from selavpr_ros.replay.options import Geometry, Live, Rate, Recording, Rerun, SlamTruth, Truth


def publish_stage(rounds: int) -> list[float]:
    """The stage `publish` of `selavpr benchmark`: milliseconds that the node adds to a query.

    It runs in a process of its own; EngineError where ROS does not run.
    """
    import importlib.util
    import json
    import subprocess
    import sys

    if importlib.util.find_spec('rclpy') is None:
        raise EngineError('there is no rclpy here')
    command = [sys.executable, '-m', 'selavpr_ros.node.publish_benchmark', str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ['no message'])[-1]
        raise EngineError(f'ROS does not run here: {last}')
    return list(json.loads(done.stdout.splitlines()[-1]))


EXTRA_STAGES['publish'] = publish_stage
app.command()(doctor)
map_app.command('update')(update)
map_app.command('prune')(prune)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line."""
    run(app, argv)


@map_app.command('build')
@with_configs
def build_map(
    source: Annotated[Path, typer.Argument(help='bag, video, or folder of images, with poses')],
    out: Annotated[Path, typer.Option(help='folder of the map')],
    extractor: Model,
    keyframes: Keyframes,
    storage: Annotated[MapConfig, Fields('local_dtype', robot_mask='--mask')],
    poses: Annotated[
        str,
        typer.Option(
            help='pose topic of a bag, tf:FRAME for the camera in that frame of its /tf, or pose '
            'file (here or in the source); none: no poses; empty: the poses that are found'
        ),
    ] = '',
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    overwrite: Annotated[
        bool, typer.Option(help='replace a map that already exists in the folder')
    ] = False,
    json_out: JsonOut = None,
) -> None:
    """Build a map from a bag or a folder of images.

    If the command is killed, the same command continues where it stopped.

    Example: selavpr map build demo/summer --out maps/summer --poses /ground_truth/pose
    """
    from selavpr_model.cli.map import build_from
    from selavpr_ros.bags.recordings import map_frame_of

    require_outputs(out, json_out)
    frames, origin = open_source(source, poses, image_topic, parse_pose(base_camera))
    storage = dataclasses.replace(storage, frame_id=map_frame_of(frames))
    build_from(
        frames, out, source=origin, extractor=extractor, keyframes=keyframes, storage=storage,
        overwrite=overwrite, json_out=json_out,
    )  # fmt: skip
    say_report(source, frames)


def player() -> Callable[..., Any]:
    """What plays a bag to the node: the only part of a replay that needs ROS."""
    from selavpr_ros.replay.live import play

    return play


@app.command()
@with_configs
def replay(
    source: Recording,
    map_: Annotated[Path, typer.Option('--map', help='folder of the map')],
    out: Annotated[Path, typer.Option(help='output folder for predictions, summary and report')],
    computer: Computer,
    recognizer: Candidates,
    score: Tolerance,
    geometry: Geometry,
    pace: Rate,
    truth: Truth = 'none',
    live: Live = False,
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    weights: MapWeights = '',
    rerun: Rerun = None,
    json_out: JsonOut = None,
) -> None:
    """Find every frame of a recording in a map; with --truth, score the answers.

    Writes predictions.csv, trajectory.txt (TUM, of the base where it was LOCALIZED), summary.json
    and report.html. Two runs give equal predictions; --live compares them with the real node's.

    Example: selavpr replay demo/winter --map maps/summer --truth /ground_truth/pose --out build/w
    """
    from selavpr_ros.replay import offline
    from selavpr_ros.replay.request import Request
    from selavpr_ros.replay.tables import print_summary

    require_outputs(out, json_out)
    request = Request(
        source=source, map=map_, out=out, truth=truth, image_topic=image_topic,
        base_camera=parse_pose(base_camera), play=player() if live else None,
        extractor=extractor_of(map_, weights, computer), recognizer=recognizer,
        geometry=geometry, score=score, replay=pace, rerun=rerun,
    )  # fmt: skip
    summary = offline.run(request)
    print_summary(f'{source} in {map_}', summary, out)
    write_json(json_out, summary)


@app.command()
@with_configs
def slam(
    source: Annotated[Path, typer.Argument(help='bag, video, or folder of images')],
    out: Annotated[Path, typer.Option(help='output folder for map, closures, score and picture')],
    extractor: Model,
    keyframes: Keyframes,
    score: Tolerance,
    truth: SlamTruth = '',
    odometry: Annotated[
        bool, typer.Option(help="use the bag's odometry, or the folder's poses as odometry")
    ] = True,
    unit_m: Annotated[
        float, typer.Option(help="length in m of one unit of a folder's poses")
    ] = 1.0,
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    rerun: Rerun = None,
    json_out: JsonOut = None,
) -> None:
    """Run a recording in SLAM mode: grow a map, close loops and score them.

    A truth.png in the folder (white where two frames show one place) replaces poses as the truth.

    Example: selavpr slam demo/summer --truth /ground_truth/pose --out build/slam
    """
    from selavpr_model.cli.map_show import show
    from selavpr_ros.replay import slam as slam_replay
    from selavpr_ros.replay.tables import slam_rows

    require_outputs(out, json_out)
    request = slam_replay.SlamRequest(
        source, out, truth, odometry, unit_m, extractor,
        configs=slam_replay.SlamConfigs(keyframes=keyframes), score=score,
        image_topic=image_topic, base_camera=parse_pose(base_camera), rerun=rerun,
    )  # fmt: skip
    summary = slam_replay.run(request)
    show(f'slam {source}', slam_rows(summary, out))
    write_json(json_out, summary)


@app.command()
@with_configs
def demo(
    pace: Rate,
    out: Annotated[
        Path, typer.Option(help='output folder for map, predictions, summary and report')
    ] = (Path('build/demo')),
    data: Annotated[
        Path | None,
        typer.Option(
            help='folder with the bags summer/ and winter/; not given: demo/ of the repository'
        ),
    ] = None,
    rebuild: Annotated[bool, typer.Option(help='build the map even if it exists already')] = False,
    rerun: Rerun = None,
) -> None:
    """Map a rendered town in summer, find a winter drive in that map, and score the answers.

    Example: selavpr demo --out build/demo
    """
    from selavpr_ros.replay import demo as demonstration
    from selavpr_ros.replay.live import play
    from selavpr_ros.replay.tables import print_summary

    require_outputs(out)
    found = demonstration.find_data(data)
    summary = demonstration.run(out, found, play, rebuild, pace.rate, rerun)
    print_summary('demo: winter in the map of summer', summary, out)


if __name__ == '__main__':
    main()
