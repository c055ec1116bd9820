# SPDX-License-Identifier: MIT
"""query/ and ref/: the k-th name, or the same name, shows one place."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from pathlib import Path
import re

import numpy as np

from selavpr_model.config import EvaluationConfig
from selavpr_model.data.layouts.nordland import load_vprbench
from selavpr_model.data.listing import list_images
from selavpr_model.data.retrieval_sets import image_set, ImageSet, RetrievalSet, Selection
from selavpr_model.errors import SourceError

logger = logging.getLogger(__name__)


def fits(path: Path) -> bool:
    return (path / 'query').is_dir() and (path / 'ref').is_dir()


def load(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    if selection.split:
        raise SourceError(
            f'{path}: query/ and ref/ have no splits, got {selection.split!r}; choose by names or '
            'by a range of the queries'
        )
    queries, references = list_images(path / 'query'), list_images(path / 'ref')
    vprbench = load_vprbench(path, queries, references, selection)
    if vprbench is not None:
        return vprbench
    frames = config.pair_tolerance if selection.tolerance is None else selection.tolerance
    places, rule = _places(queries, references)
    protocol = f'query/ and ref/, {rule}, tolerance {frames:g} frames'
    query_set = image_set(queries, places)
    answers = image_set(references, np.arange(len(references), dtype=np.float64)[:, None])
    if selection.names is not None:
        query_set = query_set.take(_named(query_set, selection.names))
        protocol += f', queries named {words(selection.names)}'
        if selection.training:  # a reference of a validation query is not for training
            answers = answers.take(_named(answers, selection.names))
    return RetrievalSet(path.name, protocol, query_set, answers, frames, negative_radius=frames)


def words(part: slice) -> str:
    """A slice as the user wrote it."""
    return f'{"" if part.start is None else part.start}:{"" if part.stop is None else part.stop}'


def _named(images: ImageSet, numbers: slice) -> np.ndarray:
    """(n,) int64 rows of the images whose names' last number is in the range."""
    found = [re.findall(r'\d+', file.stem) for file in images.files]
    if not all(found):
        name = next(f for f, digits in zip(images.files, found, strict=True) if not digits)
        raise SourceError(f'{name}: names: expected a number in each name to choose by')
    number = np.array([int(digits[-1]) for digits in found], np.int64)
    low = number >= (0 if numbers.start is None else numbers.start)
    return np.flatnonzero(low & (number < (np.inf if numbers.stop is None else numbers.stop)))


def _places(queries: Sequence[Path], references: Sequence[Path]) -> tuple[np.ndarray, str]:
    """(Q, 1) index of each query's place: its own rank, or its name where the numbers differ."""
    ranks = np.arange(len(queries), dtype=np.float64)
    if len(queries) == len(references):
        return ranks[:, None], 'k-th name = k-th place'
    row = {file.stem: i for i, file in enumerate(references)}
    if all(file.stem in row for file in queries):
        return np.array([float(row[f.stem]) for f in queries])[:, None], 'same name = same place'
    logger.warning(
        '%d queries and %d references with different names: the k-th of each show one place',
        len(queries),
        len(references),
    )
    return ranks[:, None], f'k-th name = k-th place ({len(queries)} and {len(references)})'
