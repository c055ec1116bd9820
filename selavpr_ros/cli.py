# SPDX-License-Identifier: MIT
"""The `selavpr` entry point: all commands of selavpr_model, and those that read bags.

Nothing heavy is imported before a command runs, so that --help is quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
from pathlib import Path
from typing import Annotated, Any, TYPE_CHECKING

import typer

from selavpr_model.cli.app import app, from_config, run
from selavpr_model.cli.map import map_app
from selavpr_model.config import (
    ExtractorConfig,
    GeometryConfig,
    KeyframeConfig,
    MapConfig,
    RecognizerConfig,
    ReplayConfig,
    ScoreConfig,
)
from selavpr_model.errors import ConfigError
from selavpr_model.runtime.outputs import require_outputs, write_json

if TYPE_CHECKING:
    import numpy as np

    from selavpr_model.records import Frame

EXTRACTOR, KEYFRAMES, STORAGE = ExtractorConfig(), KeyframeConfig(), MapConfig()
RECOGNIZER, SCORE, REPLAY = RecognizerConfig(), ScoreConfig(), ReplayConfig()
GEOMETRY = GeometryConfig()

ImageTopic = Annotated[str, typer.Option(help='of a bag; empty: the only one')]
BaseCamera = Annotated[
    str, typer.Option(help='T_base_camera as x,y,z,qx,qy,qz,qw; empty: from /tf_static')
]
DistanceM = Annotated[float, from_config(KeyframeConfig, 'distance_m')]
AngleDeg = Annotated[float, from_config(KeyframeConfig, 'angle_deg')]
TimeS = Annotated[float, from_config(KeyframeConfig, 'time_s')]
PositionM = Annotated[float, from_config(ScoreConfig, 'position_m')]
HeadingDeg = Annotated[float, from_config(ScoreConfig, 'heading_deg')]
Json = Annotated[Path | None, typer.Option('--json', help='write the result here, too')]
Device = Annotated[str, from_config(ExtractorConfig, 'device')]
Precision = Annotated[str, from_config(ExtractorConfig, 'precision')]
Threads = Annotated[int, from_config(ExtractorConfig, 'threads')]


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line."""
    run(app, argv)


@map_app.command('build')
def build_map(
    source: Annotated[Path, typer.Argument(help='folder of images with poses, or ROS 2 bag')],
    out: Annotated[Path, typer.Option(help='folder of the map')],
    poses: Annotated[
        str,
        typer.Option(
            help='pose topic of a bag, or pose file here or in the folder; none: without; '
            'empty: found'
        ),
    ] = '',
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    weights: Annotated[str, from_config(ExtractorConfig, 'weights')] = EXTRACTOR.weights,
    random_weights: Annotated[bool, from_config(ExtractorConfig, 'random_weights')] = False,
    device: Device = EXTRACTOR.device,
    precision: Precision = EXTRACTOR.precision,
    threads: Threads = EXTRACTOR.threads,
    distance_m: DistanceM = KEYFRAMES.distance_m,
    angle_deg: AngleDeg = KEYFRAMES.angle_deg,
    time_s: TimeS = KEYFRAMES.time_s,
    local_dtype: Annotated[str, from_config(MapConfig, 'local_dtype')] = STORAGE.local_dtype,
    overwrite: Annotated[bool, typer.Option(help='replace the map that is there')] = False,
    out_json: Json = None,
) -> None:
    """Build a map. Killed, the same command goes on where it stopped.

    Example: selavpr map build demo/summer --out maps/summer --poses /ground_truth/pose
    """
    from selavpr_model.cli.map import build_from

    require_outputs(out, out_json)
    frames, origin = open_source(source, poses, image_topic, parse_pose(base_camera))
    extractor = dataclasses.replace(
        EXTRACTOR, weights=weights, random_weights=random_weights, device=device,
        precision=precision, threads=threads,
    )  # fmt: skip
    build_from(
        frames,
        out,
        source=origin,
        extractor=extractor,
        keyframes=KeyframeConfig(distance_m=distance_m, angle_deg=angle_deg, time_s=time_s),
        storage=dataclasses.replace(STORAGE, local_dtype=local_dtype),
        overwrite=overwrite,
        json_out=out_json,
    )


def open_source(
    source: Path, poses: str, image_topic: str, base_camera: np.ndarray | None
) -> tuple[Iterable[Frame], dict[str, Any]]:
    """Frames of a bag or of a folder of images, and what the map says about where it is from."""
    from selavpr_model.data.image_folder import ImageFolder
    from selavpr_ros.bags.recordings import open_recording

    found = open_recording(source, poses, image_topic, base_camera)
    if isinstance(found, ImageFolder):
        return found, {'kind': 'folder', 'path': str(source), 'poses': str(found.pose_source)}
    return found, {'kind': 'bag', 'path': str(source), 'image': found.image_topic,
                   'poses': found.pose_topic}  # fmt: skip


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


@app.command()
def replay(
    bag: Annotated[Path, typer.Argument(help='ROS 2 bag')],
    map_: Annotated[Path, typer.Option('--map', help='folder of the map')],
    out: Annotated[Path, typer.Option(help='folder for predictions, summary and report')],
    truth: Annotated[str, typer.Option(help='topic of the true poses; none: nothing is scored')],
    live: Annotated[bool, typer.Option(help='also play it to the node over DDS')] = False,
    rate: Annotated[float, from_config(ReplayConfig, 'rate')] = REPLAY.rate,
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    weights: Annotated[str, typer.Option(help='name or file; empty: as the map was built')] = '',
    device: Device = EXTRACTOR.device,
    precision: Precision = EXTRACTOR.precision,
    threads: Threads = EXTRACTOR.threads,
    k: Annotated[int, from_config(RecognizerConfig, 'candidates', '--k')] = RECOGNIZER.candidates,
    position_m: PositionM = SCORE.position_m,
    heading_deg: HeadingDeg = SCORE.heading_deg,
    geometry: Annotated[
        bool, from_config(GeometryConfig, 'enabled', '--geometry/--no-geometry')
    ] = GEOMETRY.enabled,
    out_json: Json = None,
) -> None:
    """Find every frame of a bag in a map and score the answers against true poses.

    Reads the bag itself, so that two runs give equal predictions; with --live the same bag is
    also played to the real node, and the answers are compared.

    Example: selavpr replay demo/winter --map maps/summer --truth /ground_truth/pose --out build/w
    """
    from selavpr_ros.replay import offline as replaying
    from selavpr_ros.replay.tables import print_summary

    require_outputs(out, out_json)
    extractor = extractor_of(map_, weights)
    request = replaying.Request(
        bag=bag,
        map=map_,
        out=out,
        truth=truth,
        image_topic=image_topic,
        base_camera=parse_pose(base_camera),
        live=live,
        extractor=dataclasses.replace(
            extractor, device=device, precision=precision, threads=threads
        ),
        recognizer=RecognizerConfig(candidates=k),
        geometry=dataclasses.replace(GEOMETRY, enabled=geometry),
        score=ScoreConfig(position_m=position_m, heading_deg=heading_deg),
        replay=dataclasses.replace(REPLAY, rate=rate),
    )
    summary = replaying.run(request)
    print_summary(f'{bag} in {map_}', summary, out)
    write_json(out_json, summary)


@app.command()
def slam(
    source: Annotated[Path, typer.Argument(help='ROS 2 bag, or folder of images')],
    out: Annotated[Path, typer.Option(help='folder for map, closures, score and picture')],
    truth: Annotated[str, typer.Option(help='topic of the true poses in a bag')] = '',
    odometry: Annotated[
        bool, typer.Option(help="use the bag's odometry, or the folder's poses as such")
    ] = True,
    unit_m: Annotated[float, typer.Option(help="a folder's unit of length in m")] = 1.0,
    image_topic: ImageTopic = '',
    base_camera: BaseCamera = '',
    weights: Annotated[str, from_config(ExtractorConfig, 'weights')] = EXTRACTOR.weights,
    device: Device = EXTRACTOR.device,
    precision: Precision = EXTRACTOR.precision,
    threads: Threads = EXTRACTOR.threads,
    distance_m: DistanceM = KEYFRAMES.distance_m,
    angle_deg: AngleDeg = KEYFRAMES.angle_deg,
    time_s: TimeS = KEYFRAMES.time_s,
    position_m: PositionM = SCORE.position_m,
    heading_deg: HeadingDeg = SCORE.heading_deg,
    out_json: Json = None,
) -> None:
    """Drive a recording in SLAM mode: grow a map, close loops and score them.

    A truth.png in the folder (white where two frames show one place) is used before poses.

    Example: selavpr slam demo/summer --truth /ground_truth/pose --out build/slam
    """
    from selavpr_model.cli.map import show
    from selavpr_ros.replay import slam as slam_replay
    from selavpr_ros.replay.tables import slam_rows

    require_outputs(out, out_json)
    extractor = dataclasses.replace(
        EXTRACTOR, weights=weights, device=device, precision=precision, threads=threads
    )
    keyframes = KeyframeConfig(distance_m=distance_m, angle_deg=angle_deg, time_s=time_s)
    request = slam_replay.SlamRequest(
        source, out, truth, odometry, unit_m, extractor,
        configs=slam_replay.SlamConfigs(keyframes=keyframes),
        score=ScoreConfig(position_m=position_m, heading_deg=heading_deg),
        image_topic=image_topic, base_camera=parse_pose(base_camera),
    )  # fmt: skip
    summary = slam_replay.run(request)
    show(f'slam {source}', slam_rows(summary, out))
    write_json(out_json, summary)


def extractor_of(map_: Path, weights: str) -> ExtractorConfig:
    """The configuration the map was built with, or the usual one for other weights."""
    from selavpr_model.maps.storage.reader import read_manifest

    if weights:
        return ExtractorConfig(weights=weights)
    return ExtractorConfig.from_dict(read_manifest(map_)['configs'].get('extractor', {}))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help='folder for map, predictions, summary and report')] = (
        Path('build/demo')
    ),
    data: Annotated[
        Path | None, typer.Option(help='folder with summer/ and winter/; default: demo/')
    ] = None,
    rebuild: Annotated[bool, typer.Option(help='build the map even if it is there')] = False,
    rate: Annotated[float, from_config(ReplayConfig, 'rate')] = REPLAY.rate,
) -> None:
    """Map a town in summer, drive through it again in winter, and say where that was.

    Example: selavpr demo --out build/demo
    """
    from selavpr_ros.replay import demo as demonstration
    from selavpr_ros.replay.tables import print_summary

    require_outputs(out)
    summary = demonstration.run(out, demonstration.find_data(data), rebuild, rate)
    print_summary('demo: winter in the map of summer', summary, out)


if __name__ == '__main__':
    main()
