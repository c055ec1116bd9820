# SPDX-License-Identifier: MIT
"""Draw docs/method.svg: what becomes of an image, box by box, with the folder of each step.

Example: python tools/draw_method.py --png build/method.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use('svg')
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
import matplotlib.pyplot as plt

OUT = Path(__file__).resolve().parent.parent / 'docs' / 'method.svg'
INK, GREY = '#22314e', '#5c6b7f'
FILL = {'robot': '#fff3d6', 'method': '#e3ecf8', 'map': '#e2f3e6'}
WIDTH, HEIGHT = 2.5, 1.25

# name: (x, y, kind, title, what it does, folder)
Box = tuple[float, float, str, str, str, str]
BOXES: dict[str, Box] = {
    'image': (0, 2, 'robot', 'image', 'RGB, 224 x 224', ''),
    'features': (3.4, 2, 'method', '1  extract', 'ViT with adapters', 'features/'),
    'search': (6.8, 2, 'method', '2  retrieve', 'the k most similar places', 'maps/'),
    'rerank': (10.2, 2, 'method', '3  re-rank', 'count consistent matches', 'matching/'),
    'confidence': (10.2, 0, 'method', '4  weigh', 'confidence of each place', 'decision/'),
    'belief': (6.8, 0, 'method', '5  follow', 'Bayes filter over places', 'decision/'),
    'verify': (3.4, 0, 'method', '6  verify', 'two views, where asked', 'geometry/'),
    'answer': (0, 0, 'robot', 'answer', 'state, pose, reason', ''),
    'map': (8.5, 4, 'map', 'the map', 'features, poses,\ncalibration', 'maps/'),
    'odometry': (6.8, -2, 'robot', 'odometry', 'motion since last frame', ''),
}
# from, side, to, side, label
ARROWS = (
    ('image', 'right', 'features', 'left', ''),
    ('features', 'right', 'search', 'left', 'global\n(D,)'),
    ('search', 'right', 'rerank', 'left', 'k places'),
    ('rerank', 'bottom', 'confidence', 'top', 'match counts'),
    ('confidence', 'left', 'belief', 'right', 'p'),
    ('belief', 'left', 'verify', 'right', 'state'),
    ('verify', 'left', 'answer', 'right', ''),
    ('map', 'bottom', 'search', 'top', ''),
    ('map', 'bottom', 'rerank', 'top', ''),
    ('odometry', 'top', 'belief', 'bottom', ''),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--png', type=Path, help='write a picture to look at, too')
    given = parser.parse_args()
    plt.rcParams.update({'svg.hashsalt': 'selavpr', 'font.size': 10})
    figure, axes = plt.subplots(figsize=(11, 6.4))
    for box in BOXES.values():
        draw_box(axes, box)
    for start, leaving, end, arriving, label in ARROWS:
        draw_arrow(axes, side(start, leaving), side(end, arriving), label)
    draw_local_features(axes)
    axes.set(xlim=(-1.4, 11.7), ylim=(-2.8, 4.8), aspect='equal')
    axes.axis('off')
    figure.savefig(OUT, bbox_inches='tight', metadata={'Date': None})
    if given.png:
        figure.savefig(given.png, bbox_inches='tight', dpi=90)


def draw_box(axes: Axes, box: Box) -> None:
    x, y, kind, title, text, folder = box
    corner = (x - WIDTH / 2, y - HEIGHT / 2)
    axes.add_patch(
        FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle='round,pad=0,rounding_size=0.12',
                       facecolor=FILL[kind], edgecolor=INK)
    )  # fmt: skip
    axes.text(x, y + 0.34, title, ha='center', va='center', color=INK, weight='bold')
    axes.text(x, y - 0.02, text, ha='center', va='center', color=INK, size=8.5)
    axes.text(x, y - 0.45, folder, ha='center', va='center', color=GREY, size=8, style='italic')


def side(name: str, where: str) -> tuple[float, float]:
    """The middle of one side of a box."""
    x, y = BOXES[name][:2]
    dx = {'left': -WIDTH / 2, 'right': WIDTH / 2}.get(where, 0.0)
    dy = {'bottom': -HEIGHT / 2, 'top': HEIGHT / 2}.get(where, 0.0)
    return x + dx, y + dy


def draw_arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str
) -> None:
    axes.annotate('', end, start, arrowprops={'arrowstyle': '-|>', 'color': INK})
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    upright = start[0] == end[0]
    axes.text(
        x + (0.12 if upright else 0), y + (0 if upright else 0.12), label, size=8, color=GREY,
        ha='left' if upright else 'center', va='center' if upright else 'bottom',
    )  # fmt: skip


def draw_local_features(axes: Axes) -> None:
    """The local features go round the search, below it."""
    start, end = side('features', 'bottom'), side('rerank', 'bottom')
    style = 'bar,angle=0,fraction=0.0,armA=22,armB=22'
    arrow = {'arrowstyle': '-|>', 'color': INK, 'connectionstyle': style}
    axes.annotate('', (end[0] - 0.6, end[1]), (start[0], start[1]), arrowprops=arrow)
    axes.text(6.8, 1.06, 'local (61, 61, 128)', size=8, color=GREY, ha='center', va='bottom')


if __name__ == '__main__':
    main()
