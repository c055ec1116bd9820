# SPDX-License-Identifier: MIT
"""VPR-Bench: query/, ref/ and ground_truth_new.npy, which lists the references of each query.

The file is a pickled array of objects; it is read by a reader that knows nothing but arrays and
numbers, so that it cannot run code.
"""

from __future__ import annotations

import io
from pathlib import Path
import pickle
from typing import Any

import numpy as np

from selavpr_model.config import EvaluationConfig
from selavpr_model.data.listing import list_images
from selavpr_model.data.retrieval_sets import image_set, RetrievalSet, Selection
from selavpr_model.errors import SourceError

TRUTHS = ('ground_truth_new.npy', 'ground_truth.npy')
ALLOWED = {
    ('numpy', 'ndarray'), ('numpy', 'dtype'),
    ('numpy.core.multiarray', '_reconstruct'), ('numpy._core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', 'scalar'), ('numpy._core.multiarray', 'scalar'),
    ('_codecs', 'encode'),
}  # fmt: skip


def fits(path: Path) -> bool:
    return (path / 'query').is_dir() and (path / 'ref').is_dir() and _truth(path) is not None


def load(path: Path, selection: Selection, config: EvaluationConfig) -> RetrievalSet:
    """Which references are right is what the file says; a tolerance is not asked for."""
    truth = _truth(path)
    assert truth is not None
    if selection.tolerance is not None or selection.split or selection.max_angle_deg is not None:
        raise SourceError(
            f'{path}: {truth.name} lists the right references; tolerance, split and heading do '
            'not apply, leave them out'
        )
    queries, references = list_images(path / 'query'), list_images(path / 'ref')
    listed = positives(truth, len(queries), len(references))
    protocol = f'VPR-Bench, positives as {truth.name} lists them'
    asked, known = (image_set(f, np.arange(float(len(f)))[:, None]) for f in (queries, references))
    return RetrievalSet(path.name, protocol, asked, known, 0.0, listed=tuple(listed))


def _truth(path: Path) -> Path | None:
    return next((path / name for name in TRUTHS if (path / name).is_file()), None)


class _OnlyArrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f'it holds {module}.{name}, which no table needs')
        return super().find_class(module, name)


def positives(path: Path, queries: int, references: int) -> list[np.ndarray]:
    """For each query the rising rows (n,) int64 of its references."""
    rows = _rows(path)
    found: dict[int, np.ndarray] = {}
    for k, row in enumerate(rows):
        try:
            query, right = (int(row[0]), row[1]) if len(row) == 2 else (k, row)
            wanted = np.unique(np.asarray(right, np.int64).reshape(-1))
        except (TypeError, ValueError, IndexError) as error:
            raise SourceError(f'{path}: row {k}: expected a query and its references') from error
        if not 0 <= query < queries or (
            len(wanted) and not 0 <= wanted[0] <= wanted[-1] < references
        ):
            raise SourceError(
                f'{path}: row {k}: expected images 0 to {queries - 1} of query/ and 0 to '
                f'{references - 1} of ref/, got query {query} and references '
                f'{wanted[:3].tolist()}...; are images missing?'
            )
        found[query] = wanted
    if len(found) != queries:
        raise SourceError(
            f'{path}: expected a row for each of {queries} images of query/, got {len(found)}; '
            'does it belong to them?'
        )
    return [found[k] for k in range(queries)]


def _rows(path: Path) -> list[Any]:
    data = io.BytesIO(path.read_bytes())
    try:
        version = np.lib.format.read_magic(data)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else (np.lib.format.read_array_header_2_0)
        )
        shape, _, dtype = read(data)
        if not dtype.hasobject:
            data.seek(0)
            return list(np.load(data, allow_pickle=False))
        return list(np.asarray(_OnlyArrays(data).load(), object).reshape(shape))
    except (ValueError, EOFError, TypeError, pickle.UnpicklingError, AttributeError,
            IndexError, KeyError, ImportError) as error:  # fmt: skip
        raise SourceError(
            f'{path}: expected an array of queries and references; {error}'
        ) from error
