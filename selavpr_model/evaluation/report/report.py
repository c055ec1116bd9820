# SPDX-License-Identifier: MIT
"""One HTML file that shows a replay: everything inlined, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from selavpr_model.decision.thresholds import Thresholds
from selavpr_model.evaluation import trust_plots
from selavpr_model.evaluation.report import plots
from selavpr_model.evaluation.report.examples import Example
from selavpr_model.evaluation.scoring import Score, trust_of
from selavpr_model.evaluation.trust import Trust
from selavpr_model.records import Place
from selavpr_model.runtime.needs import needs

with needs('jinja2', extra='report'):
    from jinja2 import Environment, Template


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a report shows. summary: see scoring.summarise; truth: stamp_ns -> T_map_camera."""

    title: str
    summary: Mapping[str, Any]
    scores: Sequence[Score]
    truth: Mapping[int, np.ndarray | None]
    places: Sequence[Place]
    needed: Thresholds | None = None
    examples: Sequence[Example] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def write_report(path: Path, report: Report) -> None:
    """Write the self-contained page."""
    path.write_text(render(report), encoding='utf-8')


def render(report: Report) -> str:
    """The page as HTML; the template escapes every text."""
    summary, start = report.summary, _start(report)
    return _template().render(
        title=report.title,
        subtitle=_subtitle(summary),
        note=summary.get('note'),
        cards=headline(summary),
        figures=_figures(report),
        examples=[_example(example, start) for example in report.examples],
        numbers=_numbers(summary),
        config=json.dumps(report.config, indent=2, default=str),
        summary=json.dumps(summary, indent=2, default=str),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    text = Path(__file__).with_name('report.html').read_text(encoding='utf-8')
    return Environment(autoescape=True, trim_blocks=True).from_string(text)


def headline(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(name, value, remark, mood) of the numbers that matter; mood: good, bad or empty."""
    cards = _scored(summary) if is_scored(summary) else _unscored(summary)
    total = summary.get('latency_ms', {}).get('total')
    if total:
        cards.append(('Latency', f'{total["p50"]:.0f} ms', f'p95 {total["p95"]:.0f} ms', ''))
    live = summary.get('live_agreement')
    if live:
        equal = live['equal'] == live['compared'] > 0
        remark = f'equal over DDS, {sum(summary["dropped_by_reason"].values())} dropped'
        value = f'{live["equal"]}/{live["compared"]}'
        cards.append(('Live = replay', value, remark, 'good' if equal else 'bad'))
    return cards


Card = tuple[str, str, str, str]


def is_scored(summary: Mapping[str, Any]) -> bool:
    """Whether any answer had a true pose."""
    return summary['frames_without_truth'] < summary['processed']


def _unscored(summary: Mapping[str, Any]) -> list[Card]:
    states, processed = summary['states'], summary['processed']
    cards = [
        (name.capitalize(), str(states[name]), f'of {processed} frames', '')
        for name in ('LOCALIZED', 'AMBIGUOUS', 'LOST')
    ]
    return [*cards, ('Scores', '–', 'no true poses; --truth TOPIC scores the answers', '')]


def _scored(summary: Mapping[str, Any]) -> list[Card]:
    before = summary['global']
    false = summary['false_accepts']
    cards = [
        ('Recall@1', percent(summary['recall_at_1']),
         f'{percent(before["recall_at_1"])} before re-ranking', ''),
        ('Recall@5', percent(summary['recall_at_5']),
         f'{percent(before["recall_at_5"])} before re-ranking', ''),
        ('Localized', share(summary['localized_fraction_in_map']),
         f'of {summary["in_map_frames"]} frames inside the map', ''),
        ('False accepts', str(false), f'of {summary["processed"]} frames',
         'bad' if false else 'good'),
        ('Lost outside', share(summary['lost_outside_map_fraction']),
         f'of {summary["outside_map_frames"]} frames outside the map', ''),
    ]  # fmt: skip
    error = summary.get('expected_calibration_error')
    if error is not None:
        cards.append(('Calibration error', f'{error:.3f}', 'of the confidence, 0 to 1', ''))
    return cards


def percent(value: float | None) -> str:
    """A number that is in percent, or a dash."""
    return '–' if value is None else f'{value:.1f} %'


def share(value: float | None) -> str:
    """A fraction in percent, or a dash."""
    return percent(None if value is None else 100.0 * value)


def _subtitle(summary: Mapping[str, Any]) -> str:
    parts = [f'{summary["processed"]} of {summary["frames"]} frames answered']
    if 'map' in summary:
        parts.append(f'map of {summary["map"]["places"]} places')
    if 'weights' in summary:
        parts.append(f'weights {summary["weights"]}')
    if 'fingerprint' in summary:
        parts.append(f'fingerprint {summary["fingerprint"][:12]}')
    return ' · '.join(parts)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its explanation; svg: the drawing; css: `wide` or empty."""

    title: str
    text: str
    svg: bytes
    css: str = ''

    @property
    def source(self) -> str:
        return _inlined('image/svg+xml', self.svg)


def _figures(report: Report) -> list[Figure]:
    scores = report.scores
    truths = [report.truth.get(s.prediction.stamp_ns) for s in scores]
    positions = [np.full(3, np.nan) if p.pose is None else p.pose[:3, 3] for p in report.places]
    figures = [
        Figure('Trajectory', 'True positions of the frames, coloured by the answer; grey: the '
               'places of the map. A red line leads from a wrong answer to where it put the '
               'robot.', plots.trajectory(scores, truths, np.array(positions).reshape(-1, 3))),
        Figure('Recall', 'Frames inside the map with a right place among the first N: as the '
               'global features rank them, and after re-ranking by matches.',
               plots.recall_curve(scores)),
        Figure('Over time', 'Answer, similarity and matches of the best place of each frame; '
               'dashed, where each frame is decided alone: what an accepted place needs at least.',
               plots.timeline(scores, report.needed), 'wide'),
    ]  # fmt: skip
    figures += _trust_figures(trust_of(scores))
    if report.summary.get('latency_ms'):
        drawn = plots.latency(report.summary['latency_ms'])
        figures.append(Figure('Latency by stage', 'Deterministic replay: p50 and p95.', drawn))
    return figures


def _trust_figures(trust: Trust) -> list[Figure]:
    if not trust.curves:
        return []
    figures = [
        Figure('Precision and recall', 'If the best place were accepted by one number alone; '
               'frames outside the map count as wrong.', trust_plots.curves(trust)),
        Figure('Recall at 100 % precision', 'Frames inside the map that each number accepts '
               'before its first wrong one.', trust_plots.full_precision(trust)),
    ]  # fmt: skip
    if trust.diagrams:
        text = (
            'Share of right answers among those of one confidence, and their number. On the '
            'dashed line a confidence is what it says.'
        )
        figures.append(Figure('Reliability', text, trust_plots.reliability_diagram(trust)))
    return figures


def _start(report: Report) -> int:
    return min((s.prediction.stamp_ns for s in report.scores), default=0)


def _example(example: Example, start_ns: int) -> dict[str, str]:
    _, jpeg = cv2.imencode(
        '.jpg', cv2.cvtColor(example.picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80]
    )
    score = example.choice.score
    return {
        'verdict': score.verdict,
        'source': _inlined('image/jpeg', jpeg.tobytes()),
        'title': example.choice.title,
        'caption': _caption(score, start_ns),
    }


def _inlined(kind: str, data: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def _caption(score: Score, start_ns: int) -> str:
    answer = score.prediction
    name = answer.names[0] or str(answer.place_ids[0])
    parts = [
        f'{answer.state.name} at {(answer.stamp_ns - start_ns) / 1e9:.1f} s, place {name}',
        f'{answer.matches[0]} matches, similarity {answer.similarities[0]:.3f}',
    ]
    if score.position_error_m is not None:
        parts.append(f'{score.position_error_m:.2f} m off')
    if answer.reason:
        parts.append(answer.reason)
    return ' · '.join(parts)


def _numbers(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of every plain or one-level number of the summary."""
    rows = []
    for key, value in summary.items():
        if isinstance(value, Mapping):
            value = ', '.join(f'{k} {v}' for k, v in value.items() if not isinstance(v, Mapping))
        if value not in ('', [], None):
            rows.append((key.replace('_', ' '), str(value)))
    return rows
