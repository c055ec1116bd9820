# SPDX-License-Identifier: MIT
"""The paper's ablations: train what a recipe leaves out one by one, measure all alike.

A plan is a YAML file: a recipe that every run shares, what each run changes of it, and tables
whose rows are a run asked in some way. Runs and answers are kept in the folder, so the same
command goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import logging
from pathlib import Path
from typing import Any

from rich.table import Table

from selavpr_model.config import (
    DatasetConfig,
    EvaluationConfig,
    ExtractorConfig,
    MapConfig,
    RecognizerConfig,
)
from selavpr_model.config.options import Config, like, option
from selavpr_model.data.datasets import open_chosen
from selavpr_model.data.retrieval_sets import RetrievalSet
from selavpr_model.errors import ConfigError
from selavpr_model.evaluation.evaluate import evaluate
from selavpr_model.evaluation.metrics import RECALL_AT
from selavpr_model.features.extractor import Extractor, load_extractor
from selavpr_model.runtime.outputs import write_json
from selavpr_model.training.run import (
    make_recipe,
    read_yaml,
    Recipe,
    require_known,
    train,
)

log = logging.getLogger(__name__)
FROZEN = 'frozen'
"""The run that is none: the recipe's weights as they are."""
Scores = dict[str, dict[str, dict[str, list[float]]]]
"""Data set -> 'global' or 're-ranked' -> N -> [R@N, low, high] in percent, 95 % bootstrap."""


@dataclass(frozen=True, slots=True)
class RowConfig(Config):
    """One row of a table: which run, and how it is asked."""

    name: str = option('', 'as the table shows it')
    run: str = option(FROZEN, 'one of the runs, or frozen: the weights before any training')
    weights: str = option('', 'instead of a run: name of known weights or path to a file')
    candidates: int = option(20, 'places re-ranked', low=1, high=1000)
    blocks: int = like(ExtractorConfig, 'blocks', 'frozen: blocks used; 0: as the weights say')
    final_norm: str = like(ExtractorConfig, 'final_norm', 'frozen: LayerNorm after the last block')
    global_feature: str = like(
        ExtractorConfig, 'global_feature', 'global feature, as of the extractor'
    )
    local_head: str = like(ExtractorConfig, 'local_head', 'local features, as of the extractor')
    score: str = like(RecognizerConfig, 'score', 'matches that count, as of the recognizer')


@dataclass(frozen=True, slots=True)
class Plan:
    """runs: name -> recipe; tables: title -> rows; recalls: the N of R@N that tables show."""

    runs: Mapping[str, Recipe]
    tables: Mapping[str, tuple[RowConfig, ...]]
    recipe: Recipe = field(default_factory=Recipe)
    recalls: tuple[int, ...] = (1,)


def read_plan(path: Path) -> Plan:
    """A YAML file: `recipe` (a file), `common` (changes for all), `runs`, `tables`, `recalls`."""
    values = read_yaml(path)
    require_known(values, ('recipe', 'runs', 'tables', 'common', 'recalls'))
    source = path.absolute().parent / str(values.get('recipe', ''))
    base = _merged(read_yaml(source), values.get('common') or {})
    runs = {
        # measured at the end, by the whole sets; to choose a step by them would favour some runs
        name: make_recipe({**_merged(base, changes or {}), 'validation': []}, source.parent)
        for name, changes in (values.get('runs') or {}).items()
    }
    tables = {
        title: tuple(RowConfig.from_dict(row) for row in rows)
        for title, rows in (values.get('tables') or {}).items()
    }
    for title, rows in tables.items():
        if len({row.name for row in rows}) < len(rows):
            raise ConfigError(f'{path}: {title}: expected a name of its own for each row')
    for row in (row for rows in tables.values() for row in rows):
        if row.run != FROZEN and row.run not in runs:
            names = ', '.join([FROZEN, *runs])
            raise ConfigError(f'{path}: row {row.name!r}: expected a run ({names}), got {row.run}')
    recalls = tuple(int(n) for n in values.get('recalls', (1,)))
    if not set(recalls) <= set(RECALL_AT):
        raise ConfigError(f'{path}: recalls: expected some of {RECALL_AT}, got {recalls}')
    return Plan(runs, tables, make_recipe(base, source.parent), recalls)


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` over `values`, section by section; lists are replaced."""
    merged = dict(values)
    for key, value in changes.items():
        deep = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = {**merged[key], **value} if deep else value
    return merged


def ablate(
    plan: Plan,
    out: Path,
    only: str = '',
    device: str = 'auto',
    progress: bool = True,
    on: Sequence[Path] = (),
) -> dict[str, dict[str, Scores]]:
    """Train what is not yet trained and measure it: title -> row -> scores.

    only: part of a title; the other tables are left out. on: other data sets than the recipe's
    validation. Writes ablations.json and ablations.md.
    """
    tables = {t: rows for t, rows in plan.tables.items() if only.lower() in t.lower()}
    if not tables:
        raise ConfigError(f'only: expected part of a title ({"; ".join(plan.tables)}), got {only}')
    other = [DatasetConfig(path=str(path.absolute())) for path in on]
    sets = [open_chosen(e, plan.recipe.base) for e in other or plan.recipe.validation]
    scores: dict[str, dict[str, Scores]] = {}
    for title, rows in tables.items():
        scores[title] = {}
        for row in rows:
            log.info('%s: %s', title, row.name)
            extractor = _load(plan, row, out, device, progress)
            scores[title][row.name] = _measure(extractor, row, sets, out, progress)
    write_json(out / 'ablations.json', scores)
    texts = [markdown(title, rows, plan.recalls) for title, rows in scores.items()]
    (out / 'ablations.md').write_text('\n\n'.join(texts) + '\n')
    return scores


def _load(plan: Plan, row: RowConfig, out: Path, device: str, progress: bool) -> Extractor:
    weights, side = row.weights or plan.recipe.weights, plan.recipe.train.image_px
    if row.run != FROZEN and not row.weights:
        recipe = plan.runs[row.run]
        weights = str(train(recipe, out / row.run, device=device, progress=progress))
        side = recipe.train.image_px
    return load_extractor(
        ExtractorConfig(
            weights=weights,
            blocks=row.blocks,
            final_norm=row.final_norm,
            global_feature=row.global_feature,
            local_head=row.local_head,
            image_height=side,
            image_width=side,
            device=device,
        )
    )


def _measure(
    extractor: Extractor, row: RowConfig, sets: list[RetrievalSet], out: Path, progress: bool
) -> Scores:
    """Scores of all sets, from the folder where these weights were asked this way before."""
    way = f'k{row.candidates}_{row.score}'
    kept = out / 'answers' / f'{extractor.identity.fingerprint[:16]}_{way}.json'
    scores: Scores = json.loads(kept.read_text()) if kept.is_file() else {}
    for data in sets:
        if data.name in scores:
            continue
        result = evaluate(
            data,
            extractor,
            MapConfig(),
            RecognizerConfig(candidates=row.candidates, score=row.score),
            EvaluationConfig(),
            progress,
        )
        orders = {'global': result.global_, 're-ranked': result.reranked}
        scores[data.name] = {
            name: {str(n): [v, *order.interval[n]] for n, v in order.recall.items()}
            for name, order in orders.items()
        }
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix('.part')
        part.write_text(json.dumps(scores))
        part.replace(kept)
    return {data.name: scores[data.name] for data in sets}


def cells(scores: Scores, recalls: Sequence[int]) -> list[str]:
    """'R@N (low-high)' of each set, global and re-ranked; the interval of the first N alone."""
    return [_cell(recall, recalls) for orders in scores.values() for recall in orders.values()]


def _cell(recall: Mapping[str, list[float]], recalls: Sequence[int]) -> str:
    value, low, high = recall[str(recalls[0])]
    more = ''.join(f' / {recall[str(n)][0]:.1f}' for n in recalls[1:])
    return f'{value:.1f} ({low:.0f}-{high:.0f}){more}'


def columns(rows: Mapping[str, Scores], recalls: Sequence[int]) -> list[str]:
    first: Scores = next(iter(rows.values()), {})
    head = f'R@{"/".join(map(str, recalls))} %'
    return [head, *(f'{data} {order}' for data, orders in first.items() for order in orders)]


def markdown(title: str, rows: Mapping[str, Scores], recalls: Sequence[int] = (1,)) -> str:
    """A table for a README."""
    head = columns(rows, recalls)
    lines = [[name, *cells(scores, recalls)] for name, scores in rows.items()]
    body = [head, ['---'] * len(head), *lines]
    return f'**{title}**\n\n' + '\n'.join('| ' + ' | '.join(line) + ' |' for line in body)


def table(title: str, rows: Mapping[str, Scores], recalls: Sequence[int] = (1,)) -> Table:
    """A table's rows for the terminal."""
    grid = Table(*columns(rows, recalls), title=title)
    for name, scores in rows.items():
        grid.add_row(name, *cells(scores, recalls))
    return grid
