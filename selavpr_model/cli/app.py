# SPDX-License-Identifier: MIT
"""The `selavpr` command: what needs no ROS. selavpr_ros.cli adds the rest and is its entry point.

Nothing heavy is imported before a command runs, so that --help is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import logging
from pathlib import Path
import sys
from typing import Annotated, Any, TYPE_CHECKING

import typer

from selavpr_model.cli.ablate import ablate
from selavpr_model.cli.benchmark import benchmark
from selavpr_model.cli.export import export
from selavpr_model.cli.map import map_app
from selavpr_model.cli.train import train
from selavpr_model.cli.weights import weights_app
from selavpr_model.config import (
    Config,
    EvaluationConfig,
    ExtractorConfig,
    MapConfig,
    RecognizerConfig,
)
from selavpr_model.config.options import problem_of
from selavpr_model.errors import ConfigError, SelaVPRError
from selavpr_model.runtime.outputs import require_outputs, write_json
from selavpr_model.runtime.threads import share_cores

if TYPE_CHECKING:
    from selavpr_model.data.datasets import RetrievalSet

logger = logging.getLogger(__name__)
EXTRACTOR, STORAGE, RECOGNIZER = ExtractorConfig(), MapConfig(), RecognizerConfig()
EVALUATION = EvaluationConfig()
LEVELS = ('debug', 'info', 'warning', 'error')

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={'help_option_names': ['-h', '--help']},
    help='Recognise places in images: build maps, localise in them, measure how well.\n\n'
    'Example: selavpr evaluate data/essex3in1',
)
app.command()(export)
app.add_typer(weights_app, name='weights', epilog='Example: selavpr weights list')
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
    else:
        return
    print(f'selavpr: {" ".join(line.split())}', file=sys.stderr)
    raise SystemExit(1)


def _of_the_system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    about = f'{error.filename}: {reason}' if error.filename else reason
    return f'{about}; check the path, its permissions and the disk, or see --log-level debug'


def from_config(config: type[Config], name: str, *flags: str) -> Any:
    """An option with the help, unit and range of a configuration's field.

    A value outside of it is refused by the name of the option.
    """
    field = next(f for f in dataclasses.fields(config) if f.name == name)
    meta = field.metadata
    unit = f' ({meta["unit"]})' if meta['unit'] else ''
    choices = f': {" | ".join(map(str, meta["choices"]))}' if meta['choices'] else ''

    def check(param: typer.CallbackParam, value: Any) -> Any:
        problem = problem_of(field, value)
        if problem:
            raise ConfigError(f'{param.opts[0]}: {problem}')
        return value

    return typer.Option(*flags, help=f'{meta["help"]}{unit}{choices}', callback=check)


def _version(asked: bool) -> None:
    if asked:
        from selavpr_model.runtime.version import software_version

        typer.echo(f'selavpr {software_version()}')
        raise typer.Exit


@app.callback()
def main(
    log_level: Annotated[str, typer.Option(help=' | '.join(LEVELS))] = 'warning',
    version: Annotated[
        bool, typer.Option('--version', callback=_version, is_eager=True, help='show the version')
    ] = False,
) -> None:
    if log_level.lower() not in LEVELS:
        raise ConfigError(f'--log-level: expected one of {", ".join(LEVELS)}; got {log_level!r}')
    logging.basicConfig(level=log_level.upper(), format='%(levelname)s %(name)s: %(message)s')


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help='folder of a data set; see the README for which')],
    weights: Annotated[str, from_config(ExtractorConfig, 'weights')] = EXTRACTOR.weights,
    k: Annotated[int, from_config(RecognizerConfig, 'candidates', '--k')] = RECOGNIZER.candidates,
    score: Annotated[str, from_config(RecognizerConfig, 'score')] = RECOGNIZER.score,
    tolerance: Annotated[
        float | None,
        typer.Option(help='same place up to this far: frames, or m for @utm@; none: as usual'),
    ] = None,
    out: Annotated[
        Path | None, typer.Option('--json', help='write the result and its settings here')
    ] = None,
    split: Annotated[
        str, typer.Option(help='train, val or test, as the data set has it; MSLS: cities, too')
    ] = '',
    floors: Annotated[str, typer.Option(help='of frames.csv: some floors, by comma')] = '',
    queries: Annotated[str, typer.Option(help='some of the queries, such as 330: or :50')] = ':',
    names: Annotated[
        str, typer.Option(help='of query/ and ref/: queries by the number in the name, as 400:')
    ] = ':',
    query_folder: Annotated[
        str, typer.Option(help='of an @utm@ tree: such as queries_night; Nordland: the season')
    ] = '',
    heading: Annotated[
        float | None,
        typer.Option(help='same place up to this turn (deg), where headings are known'),
    ] = None,
    absent: Annotated[float, from_config(EvaluationConfig, 'absent')] = EVALUATION.absent,
    absent_seed: Annotated[int, from_config(EvaluationConfig, 'absent_seed')] = (
        EVALUATION.absent_seed
    ),
    sequence: Annotated[bool, from_config(EvaluationConfig, 'sequence')] = False,
    plots: Annotated[
        Path | None, typer.Option(help='folder for pictures of what the confidence is worth')
    ] = None,
    size: Annotated[str, typer.Option(help='input size in px, such as 224 or 224x448 (h x w)')] = (
        f'{EXTRACTOR.image_height}x{EXTRACTOR.image_width}'
    ),
    local_dtype: Annotated[str, from_config(MapConfig, 'local_dtype')] = STORAGE.local_dtype,
    local_head: Annotated[str, from_config(ExtractorConfig, 'local_head')] = EXTRACTOR.local_head,
    global_feature: Annotated[
        str, from_config(ExtractorConfig, 'global_feature')
    ] = EXTRACTOR.global_feature,
    blocks: Annotated[int, from_config(ExtractorConfig, 'blocks')] = EXTRACTOR.blocks,
    final_norm: Annotated[str, from_config(ExtractorConfig, 'final_norm')] = EXTRACTOR.final_norm,
    resize: Annotated[str, from_config(ExtractorConfig, 'resize')] = EXTRACTOR.resize,
    device: Annotated[str, from_config(ExtractorConfig, 'device')] = EXTRACTOR.device,
    precision: Annotated[str, from_config(ExtractorConfig, 'precision')] = EXTRACTOR.precision,
    threads: Annotated[int, from_config(ExtractorConfig, 'threads')] = EXTRACTOR.threads,
    random_weights: Annotated[bool, from_config(ExtractorConfig, 'random_weights')] = False,
) -> None:
    """Measure the recall of a data set, global only and re-ranked.

    With --absent 0.3 also what the confidence is worth when places are missing in the map.

    Example: selavpr evaluate data/essex3in1 --k 20 --json essex.json
    """
    height, width = parse_size(size)
    extractor = ExtractorConfig(
        weights=weights, random_weights=random_weights, blocks=blocks, final_norm=final_norm,
        global_feature=global_feature, local_head=local_head,
        image_height=height, image_width=width, resize=resize,
        device=device, precision=precision, threads=threads,
    )  # fmt: skip
    recognizer = RecognizerConfig(candidates=k, score=score)
    settings = extractor, MapConfig(local_dtype=local_dtype), recognizer
    require_outputs(json_out=out, plots=plots)
    _require_confidence(plots, absent, sequence)
    chosen = _open(data, tolerance, split, floors, queries, names, query_folder, heading)
    asked = EvaluationConfig(absent=absent, absent_seed=absent_seed, sequence=sequence)
    _evaluate(chosen, *settings, asked, out, plots)


def _require_confidence(plots: Path | None, absent: float, sequence: bool) -> None:
    if plots is not None and absent == 0 and not sequence:
        raise ConfigError(
            f'--plots: expected a confidence to draw, got none for {plots}; add --absent 0.3 '
            '(places missing in the map) or --sequence'
        )


def _open(
    path: Path,
    tolerance: float | None,
    split: str,
    floors: str,
    queries: str,
    names: str,
    query_folder: str,
    heading: float | None,
) -> RetrievalSet:
    from selavpr_model.data.datasets import open_dataset, parse_slice

    return open_dataset(
        path,
        tolerance,
        split=split,
        floors=[floor.strip() for floor in floors.split(',') if floor.strip()],
        query_slice=None if queries == ':' else parse_slice(queries),
        names=None if names == ':' else parse_slice(names),
        queries=query_folder,
        max_angle_deg=heading,
    )


def _evaluate(
    data: RetrievalSet,
    extractor: ExtractorConfig,
    storage: MapConfig,
    recognizer: RecognizerConfig,
    config: EvaluationConfig,
    out: Path | None,
    plots: Path | None,
) -> None:
    from rich.console import Console

    from selavpr_model.evaluation import evaluate as evaluation
    from selavpr_model.evaluation import tables
    from selavpr_model.features.extractor import load_extractor

    result = evaluation.evaluate(data, load_extractor(extractor), storage, recognizer, config)
    Console().print(tables.table(result))
    if result.trust is not None:
        Console().print(tables.trust_table(result.trust))
        if plots is not None:
            from selavpr_model.evaluation.trust_plots import write_plots

            write_plots(plots, result.trust)
    write_json(out, result.to_dict())


def parse_size(text: str) -> tuple[int, int]:
    """`224` or `224x448` -> (height, width) in px; ConfigError for anything else."""
    parts = text.lower().split('x')
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f'--size: expected N or HEIGHTxWIDTH such as 224x448, got {text!r}')
    return int(parts[0]), int(parts[-1])
