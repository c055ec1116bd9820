# SPDX-License-Identifier: MIT
"""A result of `selavpr evaluate` for people to read."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from selavpr_model.decision.reliability import chance_error
from selavpr_model.evaluation import metrics
from selavpr_model.evaluation.evaluate import Evaluation, Ranking
from selavpr_model.evaluation.trust import TITLES, Trust


def table(result: Evaluation) -> Table:
    """What a person wants to read of a result, for rich to print."""
    values = result.to_dict()
    title = f'{values["data"]}: {values["queries"]} queries, {values["places"]} places'
    grid = Table(title=title, caption='\n'.join(_caption(values)), caption_justify='left')
    for column in ('order', *(f'R@{n} %' for n in metrics.RECALL_AT), 'AP', 'R@100P %'):
        grid.add_column(column, justify='left' if column == 'order' else 'right', no_wrap=True)
    grid.add_row('global', *_cells(result.global_))
    grid.add_row(f're-ranked {values["k"]}', *_cells(result.reranked))
    return grid


def trust_table(trust: Trust) -> Table:
    """What each number is worth as a reason to trust the best place."""
    needed = trust.min_precision
    grid = Table(title='trusting the best place by', title_justify='left')
    for column in (
        '',
        'AUC',
        'R@100P %',
        'ECE',
        'by chance',
        f'P at {needed:g}',
        'of',
    ):
        grid.add_column(column, justify='right' if column else 'left', no_wrap=True)
    for name, curve in trust.curves.items():
        error, (precision, count) = trust.error(name), trust.accepted.get(name, (None, 0))
        grid.add_row(
            TITLES[name],
            f'{curve.auc:.3f}',
            f'{100 * curve.recall_at_full_precision:.1f}',
            '' if error is None else f'{error:.3f}',
            '' if error is None else f'{chance_error(trust.diagrams[name]):.3f}',
            '' if precision is None else f'{100 * precision:.1f} %',
            str(count) if name in trust.accepted else '',
        )
    return grid


def _caption(values: dict[str, Any]) -> list[str]:
    missing, spent = values['queries_without_positives'], values['ms_per_query']['p50']
    left_out = ', left out of R@N' if values['config']['evaluation']['absent'] > 0 else ''
    lines = [
        values['protocol']
        + (f'; {missing} queries without positives{left_out}' if missing else ''),
        f'{values["weights"]} ({values["fingerprint"][:12]}), {values["local_features"]}',
        f'{values["device"]} {values["precision"]}, {spent:.0f} ms a query',
    ]
    return [*lines, values['note']] if values['note'] else lines


def _cells(ranking: Ranking) -> list[str]:
    recalls = []
    for n, value in ranking.recall.items():
        low, high = ranking.interval[n]
        recalls.append(f'{value:.1f} [dim]{low:.0f}-{high:.0f}[/]')
    full = 100 * ranking.curve.recall_at_full_precision
    return [*recalls, f'{ranking.curve.auc:.3f}', f'{full:.1f}']
