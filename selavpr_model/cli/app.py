# SPDX-License-Identifier: MIT
"""The `selavpr` command: what needs no ROS. selavpr_ros.cli adds the rest.

Nothing heavy is imported before a command runs, so that --help is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
import logging
import sys
from typing import Annotated

import typer

from selavpr_model.cli.ablate import ablate
from selavpr_model.cli.ask import ask
from selavpr_model.cli.benchmark import benchmark
from selavpr_model.cli.evaluate import evaluate
from selavpr_model.cli.export import export
from selavpr_model.cli.features import features
from selavpr_model.cli.map import map_app
from selavpr_model.cli.map_edit import edit
from selavpr_model.cli.optimize import optimize
from selavpr_model.cli.train import train
from selavpr_model.cli.weights import weights_app
from selavpr_model.errors import ConfigError, SelaVPRError
from selavpr_model.runtime.interrupt import INTERRUPTED
from selavpr_model.runtime.threads import share_cores

logger = logging.getLogger(__name__)
LEVELS = ('debug', 'info', 'warning', 'error')

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={'help_option_names': ['-h', '--help']},
    help='Recognise places in images: build maps, localise in them, measure how well.\n\n'
    'Example: selavpr map build demo/summer --out maps/summer --poses /ground_truth/pose',
)
app.command()(evaluate)
app.command()(ask)
app.command()(features)
app.command()(export)
app.add_typer(weights_app, name='weights', epilog='Example: selavpr weights list')
map_app.command()(edit)
map_app.command()(optimize)
app.add_typer(map_app, name='map', epilog='Example: selavpr map info maps/campus')
app.command()(train)
app.command()(ablate)
app.command()(benchmark)


def run(app: typer.Typer, argv: Sequence[str] | None = None) -> None:
    """Run a command line; the one place where an error becomes a line and exit code 1.

    SelaVPRError, and what the system says about files; anything else is a bug with a traceback.
    """
    share_cores()
    try:
        app(args=None if argv is None else list(argv))
    except SelaVPRError as error:
        line = str(error)
    except OSError as error:
        logger.debug('where it failed', exc_info=True)
        line = _of_the_system(error)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    else:
        return
    print(f'selavpr: {" ".join(line.split())}', file=sys.stderr)
    raise SystemExit(1)


def _of_the_system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    about = f'{error.filename}: {reason}' if error.filename else reason
    return f'{about}; check the path, its permissions and the disk, or see --log-level debug'


def _version(shown: bool) -> None:
    if shown:
        from selavpr_model.runtime.version import software_version

        typer.echo(f'selavpr {software_version()}')
        raise typer.Exit


@app.callback()
def main(
    log_level: Annotated[
        str, typer.Option(help=f'least severity that is logged: {" | ".join(LEVELS)}')
    ] = 'warning',
    version: Annotated[
        bool, typer.Option('--version', callback=_version, is_eager=True, help='show the version')
    ] = False,
) -> None:
    if log_level.lower() not in LEVELS:
        raise ConfigError(f'--log-level: expected one of {", ".join(LEVELS)}; got {log_level!r}')
    logging.basicConfig(level=log_level.upper(), format='%(levelname)s %(name)s: %(message)s')
