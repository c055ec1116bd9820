# SPDX-License-Identifier: MIT
"""`selavpr ablate`: the paper's ablation tables, from one plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.options import from_config
from selavpr_model.config import ExtractorConfig
from selavpr_model.runtime.outputs import require_outputs


def ablate(
    plan: Annotated[
        Path, typer.Argument(help='plan of runs and tables, such as config/ablations.yaml')
    ],
    out: Annotated[
        Path, typer.Option(help='folder of the runs; stopped runs continue there')
    ] = Path('build/ablations'),
    only: Annotated[
        str, typer.Option(help='text in the titles of the tables to make; empty: all tables')
    ] = '',
    on: Annotated[
        list[Path] | None,
        typer.Option(
            help='folder of a data set to measure on, instead of the validation sets of the '
            'recipe; can be repeated'
        ),
    ] = None,
    device: Annotated[str, from_config(ExtractorConfig, 'device')] = 'auto',
) -> None:
    """Train with parts left out, one by one, and measure what each is worth.

    Example: selavpr ablate config/ablations.yaml --only 'Table 4'
    """
    from rich.console import Console

    from selavpr_model.training import ablate as ablation

    require_outputs(out)
    table_plan = ablation.read_plan(plan)
    tables = ablation.ablate(table_plan, out, only, device, on=on or ())
    console = Console()
    for title, rows in tables.items():
        console.print(ablation.table(title, rows, table_plan.recalls))
    console.print(f'{out / "ablations.md"}')
