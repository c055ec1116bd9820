# SPDX-License-Identifier: MIT
"""A training run as a picture: its losses, and what it recognised while it learned."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from selavpr_model.runtime.needs import needs

with needs('matplotlib', extra='train'):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTHED = 15  # steps of the running mean that is drawn over the losses


def draw_training(folder: Path) -> Path:
    """Read log.csv and validation.csv of a run and write training.png beside them."""
    figure = Figure(figsize=(9, 3.4), layout='constrained')
    losses, recalls = figure.subplots(1, 2)
    _draw_losses(losses, _columns(folder / 'log.csv'))
    _draw_recalls(recalls, _columns(folder / 'validation.csv'))
    path = folder / 'training.png'
    figure.savefig(path, dpi=110)
    return path


def _columns(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with path.open(newline='') as file:
        head, *rows = csv.reader(file)
    values = np.array(rows, np.float64).reshape(-1, len(head))
    return dict(zip(head, values.T, strict=True))


def _draw_losses(axes: Axes, log: dict[str, np.ndarray]) -> None:
    """Each loss over its own mean, so that all fit one axis."""
    for name, values in log.items():
        if name in ('step', 'rate') or not np.any(values):
            continue
        relative = values / values.mean()
        window = np.ones(min(SMOOTHED, len(values)))
        mean = np.convolve(relative, window / len(window), mode='valid')
        line = axes.plot(log['step'], relative, lw=0.4, alpha=0.4)[0]
        axes.plot(log['step'][len(window) - 1 :], mean, c=line.get_color(), label=name)
    axes.set(title='losses, over their mean', xlabel='step')
    if log:
        axes.legend()


def _draw_recalls(axes: Axes, recalls: dict[str, np.ndarray]) -> None:
    for name, values in recalls.items():
        if name.endswith('_r1'):
            style = '-' if '_reranked_' in name else '--'
            axes.plot(recalls['step'], values, style, marker='.', label=name.removesuffix('_r1'))
    axes.set(title='R@1 on validation queries', xlabel='step', ylabel='%')
    if recalls:
        axes.legend()
