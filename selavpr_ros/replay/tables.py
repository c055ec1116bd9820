# SPDX-License-Identifier: MIT
"""The summary of a replay for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from selavpr_model.evaluation.report.report import headline, is_scored, percent, share


def summary_table(title: str, summary: Mapping[str, Any]) -> Table:
    """The headline numbers, the loop closures and the latency of each stage."""
    table = Table(title=title, title_justify='left', show_header=False)
    for name, value, remark, mood in headline(summary):
        colour = {'good': 'green', 'bad': 'red'}.get(mood, '')
        table.add_row(name, f'[{colour}]{value}[/]' if colour else value, remark)
    scored, closures = is_scored(summary), summary['loop_closures']
    if scored:
        before = summary['global']
        table.add_row('Recall@10', percent(summary['recall_at_10']),
                      f'{percent(before["recall_at_10"])} before re-ranking')  # fmt: skip
    wrong = f'{closures["wrong"]} wrong' if scored else ''
    table.add_row('Loop closures', str(closures['published']), wrong)
    slam = summary.get('slam')
    if slam:
        remark = f'of {slam["revisits"]} revisits in SLAM mode, {slam["false_verified"]} wrong'
        table.add_row('Verified closures', share(summary['verified_closure_recall']), remark)
    stages = summary['latency_ms'].items()
    table.add_row('Stages, p50', '', ', '.join(f'{k} {v["p50"]:.0f} ms' for k, v in stages))
    table.add_row('Weights', summary['weights'], summary['note'])
    return table


SLAM_ROWS = {
    'source': 'source',
    'weights': 'weights',
    'keyframes': 'keyframes',
    'candidates': 'candidates',
    'verified': 'verified closures',
    'false_verified': '  wrong ones',
    'false_verified_frames': '  their frames',
    'precision': '  precision',
    'rejected': 'rejected closures',
    'rejected_although_right': '  right ones',
    'revisits': 'revisits',
    'revisits_closed': '  closed ones',
    'recall': '  recall',
    'links': 'closures in the pose graph',
    'links_refused': '  refused ones',
    'moved_m': 'farthest move of a place',
    'ape_odometry_m': 'error of the odometry (APE)',
    'ape_m': 'error of the map (APE)',
}


def slam_rows(summary: Mapping[str, Any], out: Path) -> dict[str, object]:
    """What a SLAM run gave, in words; `-` where there is nothing to divide by."""
    rows: dict[str, object] = {}
    for key, name in SLAM_ROWS.items():
        value = summary.get(key)
        if key in ('precision', 'recall') and value is not None:
            value = f'{100 * value:.1f} %'
        elif key.endswith('_m') and value is not None:
            value = f'{value:.2f} m'
        elif key == 'false_verified_frames' and value is not None:
            value = ', '.join(f'{later} with {earlier}' for later, earlier in value) or None
        if key in summary:
            rows[name] = '-' if value is None else value
    return {**rows, 'results': out}


def print_summary(title: str, summary: Mapping[str, Any], out: Path) -> None:
    """To the terminal, with where to look further."""
    console = Console()
    console.print(summary_table(title, summary))
    console.print(summary['source'], soft_wrap=True, markup=False, highlight=False)
    for name in ('report.html', 'summary.json'):
        console.print(f'{out / name}', soft_wrap=True)
