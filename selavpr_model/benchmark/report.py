# SPDX-License-Identifier: MIT
"""The benchmark's table and pictures."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

from rich.table import Table

from selavpr_model.benchmark.scale import GOALS, met, Result
from selavpr_model.runtime.needs import needs

SIZES = {'k': 1_000, 'm': 1_000_000, '': 1}


def table(result: Result) -> Table:
    """All figures; those with a goal first, and whether they reach it."""
    has = result.settings.get
    limit = f', no set beyond {has("isa_limit")}' if has('isa_limit') else ''
    grid = Table(title=f'benchmark: {has("machine")}, {has("threads")} threads{limit}')
    for column in ('figure', 'value', 'goal', 'met'):
        grid.add_column(column, justify='left' if column == 'figure' else 'right')
    for key in sorted(result.values, key=lambda k: (k not in GOALS, k)):
        value = result.values[key]
        goal = ' '.join(map(str, GOALS[key])) if key in GOALS else ''
        says = {None: '', True: '[green]yes[/]', False: '[red]no[/]'}[met(key, value)]
        grid.add_row(key, f'{value:,.4g}' if abs(value) < 1e4 else f'{value:,.0f}', goal, says)
    return grid


def to_json(result: Result) -> dict[str, Any]:
    """Flat: figures by their dotted keys, the settings, and which goals were met."""
    goals = {key: met(key, result.values[key]) for key in GOALS if key in result.values}
    rounded = {key: float(f'{value:.6g}') for key, value in sorted(result.values.items())}
    return {**rounded, **result.settings, 'goals_met': goals}


def plots(result: Result, folder: Path) -> list[Path]:
    """Cost against map size and against k, where both were measured; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        'map_size.png': (by_size(result), 'places in the map', 'ms a search, 100 nearest'),
        'k.png': (by_k(result), 'candidates re-ranked (k)', 'ms a query'),
    }
    return [_plot(folder / name, *what) for name, what in drawn.items() if what[0]]


Lines = dict[str, list[tuple[float, float]]]


def by_size(result: Result) -> Lines:
    """Name of a line -> (places, ms), rising."""
    lines: Lines = {}
    for key, value in result.values.items():
        if match := re.fullmatch(r'index\.(\d+)([km]?)\.(ms_flat|ms)', key):
            name = 'flat L2 (reference)' if match[3] == 'ms_flat' else 'selavpr'
            lines.setdefault(name, []).append((int(match[1]) * SIZES[match[2]], value))
    return {name: sorted(points) for name, points in lines.items()}


def by_k(result: Result) -> Lines:
    """Name of a line -> (k, ms of reading and comparing k places), rising."""
    lines: Lines = {}
    for key, value in result.values.items():
        match = re.fullmatch(r'ms\.rerank_(\w+)\.k(\d+)\.(p50|reference)', key)
        if match and (match[3] == 'p50' or match[1] == 'exact'):
            name = 'reference' if match[3] == 'reference' else match[1]
            lines.setdefault(name, []).append((int(match[2]), value))
    return {name: sorted(points) for name, points in lines.items()}


def _plot(path: Path, lines: Lines, x: str, y: str) -> Path:
    with needs('matplotlib', extra='report'):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker='o', label=name)
    axes.set(xscale='log', yscale='log', xlabel=x, ylabel=y)
    axes.grid(True, which='major', alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    return path
