# SPDX-License-Identifier: MIT
"""`selavpr train`: learn adapters from a recipe in a YAML file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from selavpr_model.cli.options import from_config
from selavpr_model.config import ExtractorConfig
from selavpr_model.runtime.outputs import require_outputs

logger = logging.getLogger(__name__)
Out = Annotated[
    Path | None,
    typer.Option(help='folder of the run; not given: build/train/<name of the recipe>'),
]


def train(
    config: Annotated[
        Path, typer.Argument(help='YAML file of the recipe, such as config/train_vits14.yaml')
    ],
    out: Out = None,
    until: Annotated[
        int, typer.Option(help='step after which to stop; 0: at the end of the recipe', min=0)
    ] = 0,
    device: Annotated[str, from_config(ExtractorConfig, 'device')] = 'auto',
) -> None:
    """Train adapters and local features; the same command continues a stopped run.

    With several processes: torchrun --nproc-per-node 2 --no-python selavpr train CONFIG

    Example: selavpr train config/train_vits14.yaml --out build/train/vits14
    """
    from selavpr_model.runtime.distributed import process_group, rank
    from selavpr_model.training.run import read_recipe
    from selavpr_model.training.run import train as run

    recipe = read_recipe(config)
    folder = out or Path('build') / 'train' / config.stem
    require_outputs(folder)
    with process_group():
        try:
            weights = run(recipe, folder, until or None, device)
        except KeyboardInterrupt:
            logger.warning('stopped; the same command goes on from the last checkpoint')
            raise
        if rank() == 0:
            typer.echo(f'{weights}')
