# SPDX-License-Identifier: MIT
"""`selavpr ask`: where in a map were these photographs taken?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from selavpr_model.cli.options import Candidates, Computer, JsonOut, with_configs
from selavpr_model.config import ExtractorConfig
from selavpr_model.errors import InputError
from selavpr_model.runtime.outputs import require_outputs, write_json

MapWeights = Annotated[
    str, typer.Option(help='name or file of weights; empty: those that the map was built with')
]


def extractor_of(map_: Path, weights: str, computer: ExtractorConfig) -> ExtractorConfig:
    """The configuration the map was built with, or the usual one for other weights.

    computer: its device, precision and threads are taken.
    """
    from selavpr_model.maps.storage.reader import read_manifest

    own = {'weights': weights} if weights else read_manifest(map_)['configs'].get('extractor', {})
    return dataclasses.replace(
        ExtractorConfig.from_dict(own),
        device=computer.device,
        precision=computer.precision,
        threads=computer.threads,
    )


@with_configs
def ask(
    map_: Annotated[Path, typer.Argument(metavar='MAP', help='folder of the map')],
    images: Annotated[list[Path], typer.Argument(help='photographs, or folders of them')],
    computer: Computer,
    recognizer: Candidates,
    out: Annotated[
        Path | None,
        typer.Option(help='folder for pictures of the matches, and pairs.txt for hloc'),
    ] = None,
    weights: MapWeights = '',
    json_out: JsonOut = None,
) -> None:
    """Say of each photograph where in a map it was taken, and draw the match.

    Each stands alone: no odometry, no belief over time. The pose is that of the camera.

    Example: selavpr ask maps/campus photo1.jpg photo2.jpg --out build/ask
    """
    from selavpr_model.evaluation import ask as asking
    from selavpr_model.features.extractor import load_extractor
    from selavpr_model.maps.storage.store import open_map
    from selavpr_model.recognizer import PlaceRecognizer

    require_outputs(json_out=json_out, out=out)
    files = asking.photographs(images)
    extractor = load_extractor(extractor_of(map_, weights, computer))
    place_map = open_map(map_, extractor.identity)
    asked = PlaceRecognizer(extractor, place_map, recognizer)
    answers = list(asking.ask(asked, files, drawn=out is not None))
    if not answers:
        raise InputError(f'{files[0]}: expected photographs, none of {len(files)} can be read')
    rows = [answer.to_dict() for answer in answers]
    _show(rows, len(files))
    if out is not None:
        asking.write_answers(out, answers)
        typer.echo(f'{out}: pictures of the matches, pairs.txt, answers.json')
    write_json(json_out, rows)


def _show(rows: list[dict[str, Any]], asked: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table('photograph', 'state', 'place', 'confidence', 'matches', 'x, y, z in m')
    for row in rows:
        pose, confidence = row['pose'], row['confidence']
        table.add_row(
            Path(row['image']).name,
            row['state'],
            '-' if row['place_id'] is None else f'{row["place_id"]} {row["place"]}'.strip(),
            '-' if confidence is None else f'{confidence:.2f}',
            '-' if row['matches'] is None else str(row['matches']),
            '-' if pose is None else ', '.join(f'{v:.2f}' for v in pose[:3]),
        )
    console = Console()
    console.print(table)
    for row in rows:
        if row['state'] != 'LOCALIZED':
            name = Path(row['image']).name
            console.print(
                f'{name}: {row["reason"]}', soft_wrap=True, markup=False, highlight=False
            )
    if len(rows) < asked:
        console.print(f'{asked - len(rows)} of {asked} could not be read')
