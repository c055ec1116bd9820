# SPDX-License-Identifier: MIT
"""`selavpr evaluate`: recall of a data set, and what the confidence is worth."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from selavpr_model.cli.options import (
    Fields,
    JsonOut,
    SIZE,
    Size,
    sized,
    Trust,
    WholeModel,
    with_configs,
)
from selavpr_model.config import DatasetConfig, EvaluationConfig, MapConfig, RecognizerConfig
from selavpr_model.errors import ConfigError
from selavpr_model.runtime.outputs import require_outputs, write_json

logger = logging.getLogger(__name__)
Chosen = Annotated[
    DatasetConfig,
    Fields(
        'tolerance', 'split', 'floors', 'queries', 'names', 'query_folder',
        max_angle_deg='--heading',
    ),
]  # fmt: skip
Data = Annotated[
    Path, typer.Argument(help='folder of a data set, in one of the layouts of docs/training.md')
]
Plots = Annotated[
    Path | None,
    typer.Option(help='output folder for plots of the confidence; needs --absent or --sequence'),
]
Predictions = Annotated[
    Path | None,
    typer.Option(help='folder for pairs.txt (hloc) and preds/ (VPR-methods-evaluation)'),
]


@with_configs
def evaluate(
    data: Data,
    extractor: WholeModel,
    recognizer: Annotated[RecognizerConfig, Fields('score', candidates='--k')],
    storage: Annotated[MapConfig, Fields('local_dtype')],
    chosen: Chosen,
    trust: Trust,
    size: Size = SIZE,
    json_out: JsonOut = None,
    plots: Plots = None,
    predictions: Predictions = None,
) -> None:
    """Measure the recall of a data set, by the global feature alone and re-ranked.

    With --absent 0.3 it also scores the confidence when places are missing in the map.

    Example: selavpr evaluate data/essex3in1 --k 20 --json essex.json
    """
    extractor = sized(extractor, size)
    require_outputs(predictions, json_out, plots)
    _require_confidence(plots, trust)
    from rich.console import Console

    from selavpr_model.data.datasets import open_chosen
    from selavpr_model.evaluation import evaluate as evaluation
    from selavpr_model.evaluation import tables
    from selavpr_model.features.extractor import load_extractor

    images = open_chosen(dataclasses.replace(chosen, path=str(data)))
    _say_left_out(data, (*images.queries.files, *images.references.files))
    result = evaluation.evaluate(images, load_extractor(extractor), storage, recognizer, trust)
    Console().print(tables.table(result))
    if result.trust is not None:
        Console().print(tables.trust_table(result.trust))
    _write(result, data, plots, predictions)
    write_json(json_out, result.to_dict())


def _write(result: Any, data: Path, plots: Path | None, predictions: Path | None) -> None:
    """The files that were asked for, of an Evaluation."""
    if plots is not None and result.trust is not None:
        from selavpr_model.evaluation.trust_plots import write_plots

        write_plots(plots, result.trust)
    if predictions is not None:
        from selavpr_model.evaluation.export.pairs import write_orders

        write_orders(predictions, result.data, result.orders, data)


def _say_left_out(data: Path, files: Sequence[Path]) -> None:
    from selavpr_model.data.listing import left_out

    for why, count in left_out(sorted({file.parent for file in files})).items():
        logger.warning('%s: left out: %d %s', data, count, why)


def _require_confidence(plots: Path | None, trust: EvaluationConfig) -> None:
    if plots is not None and trust.absent == 0 and not trust.sequence:
        raise ConfigError(
            f'--plots: expected a confidence to draw, got none for {plots}; add --absent 0.3 '
            '(places missing in the map) or --sequence'
        )
