# SPDX-License-Identifier: MIT
"""Public layouts as tiny trees on disk."""

from __future__ import annotations

import csv
from pathlib import Path


def files(folder: Path, *names: str) -> None:
    """Empty files: opening a data set reads no image."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def table(path: Path, header: str, *rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([header.split(','), *rows])


def as_lists(data) -> list[list[int]]:
    return [rows.tolist() for rows in data.positives()]


def stems(images) -> list[str]:
    return [file.stem for file in images.files]
