# SPDX-License-Identifier: MIT
"""Pairs of images: what hloc matches, and what VPR-methods-evaluation writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from selavpr_model.data.retrieval_sets import RetrievalSet

MOST = 20  # candidates of a query
Answer = tuple[str, Sequence[str]]
"""Name of a query, and those of its candidates, best first."""


def write_pairs(path: Path, answers: Iterable[Answer], most: int = MOST) -> int:
    """hloc's `query reference` lines, `most` for each query; the number of lines is returned."""
    lines = [f'{query} {name}\n' for query, names in answers for name in names[:most]]
    path.write_text(''.join(lines), encoding='utf-8')
    return len(lines)


def write_orders(
    folder: Path, data: RetrievalSet, orders: Sequence[np.ndarray], root: Path
) -> None:
    """pairs.txt, names below `root`, and preds/ of an evaluation; orders: rows of references."""
    queries, references = data.queries.files, data.references.files
    found = [[references[row] for row in rows[:MOST]] for rows in orders]
    folder.mkdir(parents=True, exist_ok=True)
    named = [
        (_below(query, root), [_below(file, root) for file in files])
        for query, files in zip(queries, found, strict=True)
    ]
    write_pairs(folder / 'pairs.txt', named)
    right = [[references[row] for row in rows] for rows in data.positives()]
    write_predictions(folder, zip(queries, found, right, strict=True))


def _below(file: Path, root: Path) -> str:
    base = root.resolve()
    return file.relative_to(base).as_posix() if file.is_relative_to(base) else file.as_posix()


def write_predictions(
    folder: Path, answers: Iterable[tuple[Path, Sequence[Path], Sequence[Path]]]
) -> None:
    """VPR-methods-evaluation's preds/NNN.txt: a query, its candidates, the right ones; as paths.

    Its readers take the candidates up to the empty line behind them.
    """
    (folder / 'preds').mkdir(parents=True, exist_ok=True)
    for k, (query, found, right) in enumerate(answers):
        parts = (('Query path', [query]), ('Predictions paths', found), ('Positives paths', right))
        text = '\n'.join(f'{head}:\n' + ''.join(f'{p}\n' for p in paths) for head, paths in parts)
        (folder / 'preds' / f'{k:03d}.txt').write_text(text, encoding='utf-8')
