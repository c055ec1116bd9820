# SPDX-License-Identifier: MIT
"""The figures of the report, each as SVG bytes that read on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import io
from typing import Any

import numpy as np

from selavpr_model.decision.thresholds import Thresholds
from selavpr_model.evaluation.metrics import recall_of_hits
from selavpr_model.evaluation.scoring import first_rights, Score
from selavpr_model.runtime.needs import needs

with needs('matplotlib', extra='report'):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

INK, GRID, MAP = '#7d8590', '#7d859040', '#9aa3ad'
COLOURS = {
    'right': '#2da063',
    'wrong': '#e5484d',
    'ambiguous': '#e2a03f',
    'lost': '#4f86c6',
    'outside': '#9b7fc4',
    'unknown': '#9aa3ad',
}
MARKERS = {
    'right': 'o',
    'wrong': 'X',
    'ambiguous': '^',
    'lost': 's',
    'outside': 'D',
}
STYLE = {
    'font.size': 9.0,
    'axes.edgecolor': GRID,
    'axes.labelcolor': INK,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': GRID,
    'grid.linewidth': 0.6,
    'legend.frameon': False,
    'legend.labelcolor': INK,
    'lines.linewidth': 1.6,
    'svg.hashsalt': 'selavpr',
    'text.color': INK,
    'xtick.color': INK,
    'ytick.color': INK,
}
HALF = (5.6, 4.4)  # inches of a figure beside another
DENSE = 2000  # points above which a scatter is drawn as pixels, to keep the file small


def figure_bytes(figure: Figure) -> bytes:
    """The drawn figure as SVG."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format='svg', transparent=True, bbox_inches='tight', dpi=150,
        metadata={'Date': None},
    )  # fmt: skip
    return buffer.getvalue()


def trajectory(scores: Sequence[Score], truths: Sequence[Any], places: np.ndarray) -> bytes:
    """truths: (4, 4) or None for each score; places: (N, 3), NaN where unknown; metres."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=HALF)
        axes = figure.subplots()
        points = np.array([np.full(3, np.nan) if T is None else T[:3, 3] for T in truths])
        points = points.reshape(-1, 3)
        a, b = _widest_axes(np.concatenate([points, places.reshape(-1, 3)]))
        axes.plot(places[:, a], places[:, b], '.', ms=5, c=MAP, alpha=0.6, label='map')
        _draw_wrong_links(axes, scores, points, (a, b))
        for verdict, colour in COLOURS.items():
            chosen = [i for i, s in enumerate(scores) if s.verdict == verdict]
            if chosen and verdict in MARKERS:
                axes.scatter(
                    points[chosen, a], points[chosen, b], s=26, c=colour, lw=0,
                    marker=MARKERS[verdict], label=f'{verdict} ({len(chosen)})',
                    rasterized=len(chosen) > DENSE, zorder=4 if verdict == 'wrong' else 3,
                )  # fmt: skip
        axes.set(aspect='equal', xlabel=f'{"xyz"[a]} (m)', ylabel=f'{"xyz"[b]} (m)')
        axes.set_adjustable('datalim')
        axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.12), ncols=4, handletextpad=0.2)
        return figure_bytes(figure)


def _widest_axes(points: np.ndarray) -> tuple[int, int]:
    """The two axes that show the most: x and y for a robot on the ground."""
    finite = points[np.isfinite(points).all(axis=1)]
    extent = np.ptp(finite, axis=0) if len(finite) else np.array([2.0, 1.0, 0.0])
    a, b = sorted(np.argsort(-extent, kind='stable')[:2])
    return int(a), int(b)


def _draw_wrong_links(
    axes: Axes, scores: Sequence[Score], points: np.ndarray, shown: tuple[int, int]
) -> None:
    for score, truth in zip(scores, points, strict=True):
        if score.verdict == 'wrong' and score.prediction.pose is not None:
            ends = np.array([truth, score.prediction.pose[:3]])
            axes.plot(*ends[:, shown].T, c=COLOURS['wrong'], lw=0.8, alpha=0.7)


def timeline(scores: Sequence[Score], needed: Thresholds | None) -> bytes:
    """Verdict, similarity and matches of the best place over time, with what is asked of it."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.4))
        strip, similarity, matches = figure.subplots(3, 1, sharex=True, height_ratios=(1, 3, 3))
        stamps = np.array([s.prediction.stamp_ns for s in scores], np.int64)
        seconds = (stamps - stamps.min()) / 1e9 if len(stamps) else stamps.astype(float)
        _draw_strip(strip, scores, seconds)
        tops = np.array([(p.similarities or (np.nan,))[0] for p in _answers(scores)])
        counts = np.array([(p.matches or (np.nan,))[0] for p in _answers(scores)])
        _draw_series(similarity, scores, seconds, tops, needed.similarity if needed else None)
        _draw_series(matches, scores, seconds, counts, needed.matches if needed else None)
        similarity.set_ylabel('similarity')
        matches.set(ylabel='matches', xlabel='time (s)')
        figure.align_ylabels()
        return figure_bytes(figure)


def _answers(scores: Sequence[Score]) -> list[Any]:
    return [score.prediction for score in scores]


def _draw_strip(axes: Axes, scores: Sequence[Score], seconds: np.ndarray) -> None:
    """One coloured bar a frame, as wide as the time to the next."""
    steps = np.diff(seconds)
    usual = float(np.median(steps)) if len(steps) else 1.0
    widths = np.append(np.clip(steps, 0.0, 2.0 * usual), usual)
    colours = [COLOURS[s.verdict] for s in scores]
    axes.bar(seconds, 1.0, width=widths, align='edge', color=colours, edgecolor=colours, lw=0.3)
    axes.set(yticks=[], ylim=(0, 1))
    axes.spines['left'].set_visible(False)
    for verdict in dict.fromkeys(s.verdict for s in scores):
        axes.bar(0, 0, color=COLOURS[verdict], label=verdict)
    if scores:
        axes.legend(loc='lower left', bbox_to_anchor=(0, 1.0), ncols=6, handlelength=0.8)
    axes.grid(False)


def _draw_series(
    axes: Axes, scores: Sequence[Score], seconds: np.ndarray, values: np.ndarray,
    threshold: float | None,
) -> None:  # fmt: skip
    axes.plot(seconds, values, c=GRID, lw=0.8)
    colours = [COLOURS[s.verdict] for s in scores]
    axes.scatter(seconds, values, s=9, c=colours, lw=0, zorder=3, rasterized=len(values) > DENSE)
    if threshold is not None:
        axes.axhline(threshold, c=INK, ls=(0, (4, 3)), lw=1)
        axes.annotate(
            f'needed: {threshold:.3g}', (1, threshold), (0, 3), va='bottom', ha='right',
            xycoords=('axes fraction', 'data'), textcoords='offset points', fontsize=8,
        )  # fmt: skip


def recall_curve(scores: Sequence[Score]) -> bytes:
    """Recall at N inside the map, before and after re-ranking."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=HALF)
        axes = figure.subplots()
        depth = max((len(s.rights) for s in scores), default=1) or 1
        ns = range(1, depth + 1)
        lowest = 100.0
        for order, colour in (('global', INK), ('reranked', '#2da063')):
            percents = recall_of_hits(first_rights(scores, order), ns)
            axes.plot(list(ns), list(percents.values()), c=colour, marker='.', label=order)
            lowest = min(lowest, percents[1])
        axes.set(xlabel='N', ylabel='recall at N (%)', ylim=(_floor(lowest), 101))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc='lower right')
        return figure_bytes(figure)


def _floor(percent: float) -> float:
    """Where an axis of percents starts: a round number, some way below."""
    return max(0.0, 10.0 * (percent // 10) - 10.0) if percent == percent else 0.0


def latency(stages: Mapping[str, Mapping[str, float]]) -> bytes:
    """stages: name -> p50 and p95 in ms."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=HALF)
        axes = figure.subplots()
        names = list(stages)
        middle = [stages[n]['p50'] for n in names]
        high = [stages[n]['p95'] for n in names]
        axes.barh(names, high, color='#4f86c655', height=0.55, label='p95')
        axes.barh(names, middle, color='#4f86c6', height=0.55, label='p50')
        for row, (p50, p95) in enumerate(zip(middle, high, strict=True)):
            axes.annotate(
                f'{p50:.1f} / {p95:.1f}', (p95, row), (4, 0), textcoords='offset points',
                va='center', fontsize=8,
            )  # fmt: skip
        axes.set(xlabel='ms a frame', xlim=(0, 1.2 * max([*high, 1e-3])))
        axes.invert_yaxis()
        axes.grid(False, axis='y')
        axes.legend(loc='lower right', bbox_to_anchor=(1.0, 1.0), ncols=2)
        return figure_bytes(figure)
