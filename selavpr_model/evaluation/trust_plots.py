# SPDX-License-Identifier: MIT
"""Precision-recall curves, reliability diagrams and recall at full precision, as SVG bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selavpr_model.evaluation.report.plots import figure_bytes, GRID, HALF, INK, STYLE
from selavpr_model.evaluation.trust import ALONE, MATCHES, OVER_TIME, SIMILARITY, TITLES, Trust
from selavpr_model.runtime.needs import needs

with needs('matplotlib', extra='report'):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {SIMILARITY: '#9aa3ad', MATCHES: '#e2a03f', ALONE: '#4f86c6', OVER_TIME: '#2da063'}


def write_plots(folder: Path, trust: Trust) -> None:
    """precision_recall.svg, full_precision.svg and reliability.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'precision_recall.svg').write_bytes(curves(trust))
    (folder / 'full_precision.svg').write_bytes(full_precision(trust))
    (folder / 'reliability.svg').write_bytes(reliability_diagram(trust))


def curves(trust: Trust) -> bytes:
    """Precision over recall of every number."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=HALF)
        axes = figure.subplots()
        for name, curve in trust.curves.items():
            label = f'{TITLES[name]}: {curve.auc:.3f}'
            axes.plot(100 * curve.recall, 100 * curve.precision, c=COLOURS[name], label=label)
        axes.set(xlabel='recall (%)', ylabel='precision (%)', xlim=(0, 101), ylim=(0, 102))
        if trust.curves:
            axes.legend(loc='lower left', title='area under the curve', alignment='left')
        else:
            _say_nothing(axes)
        return figure_bytes(figure)


def full_precision(trust: Trust) -> bytes:
    """How many of the places in the map are found before the first wrong one."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 2.4))
        axes = figure.subplots()
        names = list(trust.curves)
        values = [100 * trust.curves[n].recall_at_full_precision for n in names]
        axes.barh([TITLES[n] for n in names], values, color=[COLOURS[n] for n in names])
        for row, value in enumerate(values):
            axes.annotate(
                f'{value:.1f}', (value, row), (4, 0), textcoords='offset points', va='center'
            )
        axes.set(xlabel='recall at 100 % precision (%)', xlim=(0, 105))
        axes.invert_yaxis()
        axes.grid(False, axis='y')
        return figure_bytes(figure)


def reliability_diagram(trust: Trust) -> bytes:
    """Share of right answers over the confidence, and how many answers there are of each."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=HALF)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], c=INK, ls=(0, (4, 3)), lw=1)
        names = list(trust.diagrams)
        for number, name in enumerate(names):
            _draw(upper, lower, trust, name, (number - (len(names) - 1) / 2) / max(1, len(names)))
        upper.set(ylabel='share right', ylim=(-0.02, 1.05))
        lower.set(xlabel='confidence', ylabel='answers', xlim=(0, 1))
        if names:
            upper.legend(loc='lower left', bbox_to_anchor=(0, 1.0))
        else:
            _say_nothing(upper)
        return figure_bytes(figure)


def _say_nothing(axes: Axes) -> None:
    at = 0.5, 0.5
    axes.annotate('no candidate', at, xycoords='axes fraction', ha='center', color=INK)


def _draw(upper: Axes, lower: Axes, trust: Trust, name: str, shift: float) -> None:
    """Error bars: one standard deviation of a share of so many answers."""
    bins = trust.diagrams[name]
    confidence, right, counts = np.array([(b.confidence, b.right, b.count) for b in bins]).T
    spread = np.sqrt(confidence * (1 - confidence) / counts)
    label = f'{TITLES[name]}, error {trust.error(name):.3f}'
    upper.errorbar(
        confidence, right, spread, c=COLOURS[name], ecolor=GRID[:7], elinewidth=0.8, marker='o',
        ms=4, label=label,
    )  # fmt: skip
    centres = (np.floor(np.minimum(confidence, 0.999) * 10) + 0.5) / 10
    lower.bar(centres + 0.04 * shift, counts, 0.035, color=COLOURS[name])
