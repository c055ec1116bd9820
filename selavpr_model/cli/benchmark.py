# SPDX-License-Identifier: MIT
"""`selavpr benchmark`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.options import from_config, JsonOut
from selavpr_model.config import ExtractorConfig
from selavpr_model.runtime.native import limit_sets, SETS
from selavpr_model.runtime.outputs import require_outputs, write_json

DATA = Path('../shared/data')
EXTRA_STAGES: dict[str, Callable[[int], list[float]]] = {}
"""Stages that others add, such as selavpr_ros.cli: name -> rounds -> milliseconds of each."""


Plots = Annotated[
    Path | None, typer.Option(help='output folder for plots of the cost against map size and k')
]
Only = Annotated[
    str,
    typer.Option(
        help='stages to run, separated by commas: '
        'vits,vitl,engines,start,index,open,retention,publish; '
        'empty: all of them'
    ),
]
Quick = Annotated[
    bool, typer.Option('--quick', help='few rounds with small maps, to see whether it runs')
]
Images = Annotated[Path, typer.Option(help='folder of the images of the places in the map')]
Queries = Annotated[
    Path,
    typer.Option(
        help='folder of the query images; an image with the same name shows the same place'
    ),
]
Isa = Annotated[
    str,
    typer.Option(
        help='the best instruction set that our kernels, PyTorch and faiss may use, to compare '
        f'sets on one computer: {", ".join(SETS)}; empty: the best there is'
    ),
]
Data = Annotated[Path, typer.Option(help='folder that contains the data sets sped and ietower')]


def benchmark(
    json_out: JsonOut = None,
    plots: Plots = None,
    only: Only = '',
    quick: Quick = False,
    images: Images = DATA / 'sped' / 'ref',
    queries: Queries = DATA / 'sped' / 'query',
    data: Data = DATA,
    threads: Annotated[int, from_config(ExtractorConfig, 'threads')] = 0,
    isa: Isa = '',
) -> None:
    """Measure speed and size against the paper's plain pipeline, in one run.

    It takes about half an hour on two cores. Nothing else should run on the computer.

    Example: selavpr benchmark --json build/benchmark.json --plots build/benchmark
    """
    if isa:
        limit_sets(isa)
    from rich.console import Console

    from selavpr_model.benchmark import report
    from selavpr_model.benchmark import run as measuring
    from selavpr_model.benchmark.scale import QUICK, Scale
    from selavpr_model.runtime.threads import limit_threads

    require_outputs(json_out=json_out, plots=plots)
    if threads:
        limit_threads(threads)
    stages = [name.strip() for name in only.split(',') if name.strip()]
    folders = measuring.Images(images, queries, data)
    result = measuring.run(folders, QUICK if quick else Scale(), stages, EXTRA_STAGES)
    Console().print(report.table(result))
    write_json(json_out, report.to_json(result))
    if plots:
        report.plots(result, plots)
